import { accuracyOf } from "../domain/account.ts";
import { priceIn } from "../domain/price.ts";
import type { UsageReading } from "../domain/reading.ts";
import type { RunningCall } from "../domain/running_call.ts";
import { cutClientString } from "../domain/text.ts";
import { clientOf } from "./clients.ts";
import type { Deps } from "./deps.ts";
import type { LiveCall } from "./live_call.ts";
import type { OpenRow } from "./record.ts";
import { headersWithout } from "./token_filter.ts";

/** The call as far as it is known now. It counts and logs nothing, so it may be asked for often. */
export function runningCall({ incoming, caller, upstream, row, route, reading, deps }: LiveCall): RunningCall {
  const { sandbox: { workspaceId, sandboxId } } = caller;
  const ageMs = Math.round(deps.elapsed() - incoming.arrivedAt);
  const known = {
    ...{ id: incoming.requestId, workspaceId, sandboxId, route, ageMs, worker: null },
    ...{ provider: upstream.seller, upstream: upstream.name },
  };
  if (row === null) {
    const client = clientOf(
      { headers: headersWithout(incoming.request.headers, [caller.token]), userId: undefined },
      deps.clients,
    );
    return {
      ...known,
      ...{ traceId: null, model: null, status: null, createdAt: deps.now() - ageMs },
      client: client === null ? null : cutClientString(client),
      ...NOTHING_USED,
    };
  }
  const { status, kept } = row.soFar(reading());
  const { traceId, client, createdAt, requestedModel } = row.call;
  const model = kept.servedModel ?? (requestedModel || null);
  return { ...known, traceId, model, status, client, createdAt, ...usedSoFar(kept, row, deps) };
}

type Used = Pick<
  RunningCall,
  "accuracy" | "inputTokens" | "outputTokens" | "cacheCreationInputTokens" | "cacheReadInputTokens" | "cost"
>;

export const NOTHING_USED: Used = {
  accuracy: "unknown",
  inputTokens: null,
  outputTokens: null,
  cacheCreationInputTokens: null,
  cacheReadInputTokens: null,
  cost: null,
};

function usedSoFar(read: UsageReading, { call, dialect }: OpenRow, { priceOf }: Deps): Used {
  const accuracy = read.hasAbsurdCount ? "unknown" : accuracyOf(read);
  if (accuracy === "unknown") return NOTHING_USED;
  const reading = accuracy === "estimated" ? dialect.answer.estimate(read, call) : read;
  const { kind, provider, createdAt } = call;
  const { inputTokens, outputTokens, cacheCreationInputTokens, cacheReadInputTokens } = reading;
  const { cost, accuracy: ofCost } = priceIn(priceOf({ ...reading, kind, provider }, createdAt), { accuracy, reading });
  return { accuracy: ofCost, inputTokens, outputTokens, cacheCreationInputTokens, cacheReadInputTokens, cost };
}
