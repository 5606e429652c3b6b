import { EMPTY_READING, type UsageReading } from "../../src/domain/reading.ts";
import { priceIn } from "../../src/domain/price.ts";
import { type Accuracy, type Closing, NO_COST, type OpenCall, type Outcome, UNSAID } from "../../src/domain/usage.ts";
import { PRICES } from "../../src/pricing/prices.ts";
import { priceOf } from "../../src/pricing/price_of.ts";
import { anthropic } from "../../src/providers/anthropic/anthropic.ts";
import { BILLINGS } from "../../src/providers/billings.ts";
import type { Dice } from "./dice.ts";
import type { DemoSandbox } from "./fleet.ts";

/** A call that has ended. */
export interface DemoCall {
  readonly call: OpenCall;
  readonly closing: Closing;
}

/** How a call went; a plain answer has none of these. */
export interface Ending {
  readonly outcome: Outcome;
  readonly accuracy: Accuracy;
  readonly status: number | null;
  readonly errorType: string | null;
}

export const COMPLETED: Ending = { outcome: "completed", accuracy: "exact", status: 200, errorType: null };

export interface DemoAnswer {
  readonly tokens: Partial<UsageReading>;
  readonly ending: Ending;
  readonly ttft: number;
  readonly duration: number;
}

/** The run of the proxy that recorded the month. */
export const INSTANCE = "demo-month";

const price = priceOf(PRICES, BILLINGS);
const BYTES_A_TOKEN = 4;

/** The row's first half, with what the sandbox always says. */
export function openCall(
  sandbox: DemoSandbox,
  given: Partial<OpenCall> & Pick<OpenCall, "createdAt" | "traceId">,
  dice: Dice,
): OpenCall {
  const { workspaceId, sandboxId, model, client, credentialId } = sandbox;
  return {
    ...UNSAID,
    ...{ id: `ar-${dice.ulid(given.createdAt)}`, instanceId: INSTANCE, workspaceId, sandboxId, client, credentialId },
    ...{ kind: "message", provider: anthropic.seller, requestedModel: model, streaming: true, maxTokens: 32_000 },
    tokenId: tokenIdOf(sandbox),
    requestBytes: 4_000,
    messagesHash: dice.hex(64),
    ...given,
  };
}

export function tokenIdOf({ sandboxId }: Pick<DemoSandbox, "sandboxId">): string {
  return `lt-demo-${sandboxId}`;
}

/** The row's second half, priced as the proxy prices it. */
export function closedCall(
  call: OpenCall,
  { tokens, ending, ttft, duration }: DemoAnswer,
  { dice, sandbox }: { readonly dice: Dice; readonly sandbox: DemoSandbox },
): DemoCall {
  const { outcome, accuracy, status, errorType } = ending;
  const answered = status === 200;
  const reading: UsageReading = answered
    ? {
      ...EMPTY_READING,
      ...{ servedModel: call.requestedModel, serviceTier: "standard", inferenceGeo: sandbox.inferenceGeo, errorType },
      messageId: `msg_01${dice.hex(22)}`,
      ...tokens,
    }
    : { ...EMPTY_READING, errorType };
  const prompt = reading.inputTokens + reading.cacheCreationInputTokens + reading.cacheReadInputTokens;
  return {
    call: answered ? { ...call, requestBytes: prompt * BYTES_A_TOKEN + 2_000 } : call,
    closing: {
      ...{ outcome, status, ttft: answered ? ttft : null, duration, reading },
      upstreamRequestId: status === null ? null : `req_01${dice.hex(22)}`,
      ...accuracy === "unknown"
        ? { accuracy, ...NO_COST }
        : priceIn(price({ ...reading, kind: call.kind, provider: call.provider }, call.createdAt), {
          accuracy,
          reading,
        }),
    },
  };
}

export function endOf({ call, closing }: DemoCall): number {
  return call.createdAt + (closing.duration ?? 0);
}
