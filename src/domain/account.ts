import { EMPTY_READING, type Reading } from "./reading.ts";
import type { Observe } from "./observe.ts";
import { priceIn, type PriceOf } from "./price.ts";
import type { Provider } from "./provider.ts";
import { ABSURD_USAGE, type Closing, NO_COST, type OpenCall, type Trust } from "./usage.ts";

export interface AccountingDeps {
  readonly priceOf: PriceOf;
  readonly observe: Observe;
  readonly provider: Provider;
}

/** Of a closing, what an answer was read as, how far that holds, and what it cost. */
type Account = Pick<Closing, "reading" | "trust" | "cost" | "priceVersion" | "unpricedUses">;

/** What nothing is known of has no cost; it is not free. `trust`: what `read` deserves as it was read. */
export function accountOf(
  read: Reading,
  { trust, call, world }: {
    readonly trust: Trust;
    readonly call: OpenCall;
    readonly world: AccountingDeps;
  },
): Account {
  if (read.hasAbsurdCount) {
    world.observe.absurdUsage(call.id, read.servedModel);
    return { reading: withoutCounts(read), trust: "unknown", ...NO_COST };
  }
  if (trust === "unknown") return { reading: read, trust, ...NO_COST };
  const reading = trust === "estimated" ? world.provider.estimate(read) : read;
  const cost = world.priceOf({ ...reading, kind: call.kind }, call.createdAt);
  if (!cost.isPriced) world.observe.unpriced(call.id, cost);
  else if (Object.keys(cost.unpricedUses).length > 0) {
    world.observe.partlyPriced(call.id, { model: reading.servedModel, uses: cost.unpricedUses });
  }
  return { reading, ...priceIn(cost, { trust, reading }) };
}

/** If one count cannot be believed, neither can the others; and no total may ever hold it. */
function withoutCounts(read: Reading): Reading {
  const { messageId, servedModel, stopReason, refusalCategory, serviceTier, inferenceGeo, speed } = read;
  return {
    ...EMPTY_READING,
    ...{ messageId, servedModel, stopReason, refusalCategory, serviceTier, inferenceGeo, speed },
    errorType: ABSURD_USAGE,
  };
}

/** Exact where the upstream named input and final output, estimated where at least the input, else unknown. */
export function trustOf(reading: Reading): Trust {
  if (!reading.hasInput) return "unknown";
  return reading.hasFinalOutput ? "exact" : "estimated";
}
