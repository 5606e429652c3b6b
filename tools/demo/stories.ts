import { traceIdOf } from "../../src/call/sessions.ts";
import type { Owned } from "../../src/domain/owned.ts";
import { closedCall, COMPLETED, type DemoCall, endOf, openCall } from "./calls.ts";
import type { Dice } from "./dice.ts";
import { type DemoSandbox, SONNET } from "./fleet.ts";
import type { DemoSession } from "./sessions.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** Its model, whatever the sandbox's is. */
export const RUNAWAY_MODEL = "claude-opus-4-8";
const CONTEXT_TOKENS = 120_000;
/** Each so many calls, a new line at the head of the prompt makes the cache useless. */
const CACHE_BREAKS_EVERY = 6;

/**
 * An agent that repeats a failing test with a prompt that changes at its head. It sends three
 * helpers that do the same.
 */
export function runawaySession(sandbox: DemoSandbox, start: number, { sessionId, calls: count, dice }: {
  readonly sessionId: string;
  readonly calls: number;
  readonly dice: Dice;
}): DemoSession {
  const traceId = traceIdOf(sessionId);
  const helpers = Array.from({ length: 3 }, () => ({ agentId: `agent-${dice.hex(8)}`, agentType: "general-purpose" }));
  const promptId = dice.uuid();
  const calls: DemoCall[] = [];
  let now = start;
  for (let n = 0; n < count; n++) {
    const isMiss = n % CACHE_BREAKS_EVERY === 0;
    const fresh = dice.around(1_200);
    const written = isMiss ? CONTEXT_TOKENS + fresh : fresh;
    const helper = n % 5 === 4 ? { ...helpers[Math.floor(n / 5) % helpers.length]!, requestClass: "subagent" } : {};
    const call = openCall(
      sandbox,
      { ...{ createdAt: now, traceId, promptId, requestedModel: RUNAWAY_MODEL }, ...helper },
      dice,
    );
    const tokens = {
      inputTokens: dice.whole(3, 9),
      ...{ cacheCreationInputTokens: written, cacheCreation5mTokens: written },
      cacheReadInputTokens: isMiss ? 0 : CONTEXT_TOKENS,
      outputTokens: dice.around(900),
      stopReason: "tool_use",
    };
    const ttft = dice.around(1_800, 0.3);
    const ended = closedCall(call, { tokens, ending: COMPLETED, ttft, duration: ttft + tokens.outputTokens * 14 }, {
      dice,
      sandbox,
    });
    calls.push(ended);
    now = endOf(ended) + dice.around(6 * SECOND_MS);
  }
  const { workspaceId, sandboxId } = sandbox;
  const trace = {
    id: traceId,
    workspaceId,
    sandboxId,
    source: "claude-code",
    createdAt: start,
    updatedAt: calls.at(-1)!.call.createdAt,
  };
  return { trace, calls };
}

/** A call that a suspension cuts at that moment. */
export function cutCall(sandbox: DemoSandbox, cutAt: number, dice: Dice): DemoSession {
  const duration = 9 * SECOND_MS;
  const createdAt = cutAt - duration;
  const { workspaceId, sandboxId } = sandbox;
  const trace = { id: traceIdOf(dice.uuid()), workspaceId, sandboxId, source: "claude-code", createdAt, updatedAt: createdAt };
  const tokens = { inputTokens: 11, cacheCreationInputTokens: 21_000, cacheCreation5mTokens: 21_000, outputTokens: 380 };
  const ending = { outcome: "stopped", accuracy: "estimated", status: 200, errorType: "suspended" } as const;
  const call = openCall(sandbox, { createdAt, traceId: trace.id }, dice);
  return { trace, calls: [closedCall(call, { tokens, ending, ttft: 1_900, duration }, { dice, sandbox })] };
}

export interface DemoBatch extends DemoSession {
  readonly batch: Owned;
}

/** A batch that labels tickets at night: each line is a row at half the price. */
export function nightlyBatch(sandbox: DemoSandbox, start: number, dice: Dice): DemoBatch {
  const id = `msgbatch_01${dice.hex(22)}`;
  const { workspaceId, sandboxId } = sandbox;
  const trace = { id: `at-${dice.ulid(start)}`, workspaceId, sandboxId, source: "auto", createdAt: start, updatedAt: start };
  const made = openCall(
    sandbox,
    {
      ...{ createdAt: start, traceId: trace.id, kind: "batch_line", batchId: id, requestedModel: SONNET },
      ...{ streaming: false, messagesHash: null, maxTokens: null, requestBytes: 0 },
    },
    dice,
  );
  const calls = Array.from({ length: dice.whole(30, 90) }, (_, n): DemoCall => {
    const call = { ...made, id: `ar-${dice.ulid(start)}`, customId: `ticket-${String(n + 1).padStart(4, "0")}` };
    const tokens = {
      inputTokens: dice.around(1_900),
      outputTokens: dice.around(160),
      serviceTier: "batch",
      stopReason: "end_turn",
    };
    const { closing } = closedCall(call, { tokens, ending: COMPLETED, ttft: 0, duration: 0 }, { dice, sandbox });
    return { call, closing: { ...closing, status: null, upstreamRequestId: null, ttft: null, duration: null } };
  });
  const batch: Owned = { id, kind: "batch", workspaceId, sandboxId, createdAt: start, call: made, dueAt: start + DAY_MS / 24 };
  return { trace, calls, batch };
}
