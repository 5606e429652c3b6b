import { EMPTY_READING, type UsageReading } from "./reading.ts";
import type { Observe } from "./observe.ts";
import { priceIn, type PriceOf } from "./price.ts";
import type { AnswerDialect } from "./provider.ts";
import { ABSURD_USAGE, type Accuracy, type Closing, NO_COST, type OpenCall } from "./usage.ts";

export interface AccountingDeps {
  readonly priceOf: PriceOf;
  readonly observe: Observe;
}

/** What an answer used, how accurate that is, and what it cost. */
type Account = Pick<Closing, "reading" | "accuracy" | "cost" | "priceVersion" | "unpricedUses">;

/** Unknown usage has no cost; it is not free. `accuracy` is that of `read` before it is priced. */
export function accountOf(
  read: UsageReading,
  { accuracy, call, answer, deps }: {
    readonly accuracy: Accuracy;
    readonly call: OpenCall;
    readonly answer: Pick<AnswerDialect, "estimate">;
    readonly deps: AccountingDeps;
  },
): Account {
  if (read.hasAbsurdCount) {
    deps.observe.absurdUsage(call.id, read.servedModel);
    return { reading: withoutCounts(read), accuracy: "unknown", ...NO_COST };
  }
  if (accuracy === "unknown") return { reading: read, accuracy, ...NO_COST };
  const reading = accuracy === "estimated" ? answer.estimate(read, call) : read;
  const cost = deps.priceOf({ ...reading, kind: call.kind, provider: call.provider }, call.createdAt);
  if (!cost.isPriced) deps.observe.unpriced(call.id, cost);
  else if (Object.keys(cost.unpricedUses).length > 0) {
    deps.observe.partlyPriced(call.id, { model: reading.servedModel, uses: cost.unpricedUses });
  }
  return { reading, ...priceIn(cost, { accuracy, reading }) };
}

/** If one count cannot be believed, neither can the others, and no total may hold them. */
function withoutCounts(read: UsageReading): UsageReading {
  const { messageId, servedModel, stopReason, refusalCategory, serviceTier, inferenceGeo, speed } = read;
  return {
    ...EMPTY_READING,
    ...{ messageId, servedModel, stopReason, refusalCategory, serviceTier, inferenceGeo, speed },
    errorType: ABSURD_USAGE,
  };
}

/**
 * Exact if the upstream named input and final output. Estimated if it named only the input, or if
 * content has come of an answer whose input can be estimated.
 */
export function accuracyOf(reading: UsageReading): Accuracy {
  const { hasInput, hasContent, hasFinalOutput, isInputEstimable } = reading;
  if (!hasInput) return isInputEstimable && hasContent ? "estimated" : "unknown";
  return hasFinalOutput ? "exact" : "estimated";
}
