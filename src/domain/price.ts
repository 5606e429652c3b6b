import type { UsageReading } from "./reading.ts";
import type { Price } from "./repricing.ts";
import type { Accuracy, OpenCall } from "./usage.ts";

/** What of a row decides its price; everything else of it (the requested model too) does not. Counts are tokens. */
export type Priced =
  & Pick<OpenCall, "kind">
  & Pick<
    UsageReading,
    | "servedModel"
    | "stopReason"
    | "refusalCategory"
    | "inputTokens"
    | "outputTokens"
    | "cacheCreationInputTokens"
    | "cacheCreation5mTokens"
    | "cacheCreation1hTokens"
    | "cacheReadInputTokens"
    | "serverToolUse"
    | "serviceTier"
    | "inferenceGeo"
    | "speed"
    | "iterations"
  >;

/** Tokens that one model is paid for at one size of prompt. */
export interface BilledCall {
  /** Null where no answer named it. */
  readonly model: string | null;
  /** Input, cache writes and cache reads of the call: what chooses the tier. */
  readonly prompt: bigint;
  readonly input: bigint;
  readonly write5m: bigint;
  readonly write1h: bigint;
  readonly read: bigint;
  readonly output: bigint;
  readonly outcome: CallOutcome;
}

/**
 * `refused`: the row's own attempt, declined before any output; the row may know the category. `passed_on`: an attempt that
 * was declined before any output and that another model took over from; its category is not in the row.
 */
export type CallOutcome = "answered" | "refused" | "passed_on";

/** How a provider bills what a row holds. Pure; never throws. */
export interface Billing {
  /** The calls that a row is paid for: more than one if the provider calls models in turn. */
  readonly callsOf: (priced: Priced) => readonly BilledCall[];
  /** What the price of a token is multiplied by, in percent: by the `inferenceGeo` and in a batch. */
  readonly factors: { readonly geoPercent: Readonly<Record<string, number>>; readonly batchPercent: number };
}

/** What a row cost, or why it is not known. */
export type Cost = KnownCost | Unpriced;

export interface KnownCost {
  readonly isPriced: true;
  /**
   * Whole nano-dollars, rounded once, half up; never negative, and at most `MAX_COST`. A safe integer, so that it needs no
   * care on its way through SQLite, JSON and worker messages. Sums of rows may be greater: those are added up by the
   * database, or as bigint.
   */
  readonly nanoDollars: number;
  /** The price list that made it. */
  readonly version: string;
  /** Uses that no list has a price for, by counter; they are not in `nanoDollars`. Mostly empty. */
  readonly unpricedUses: UnpricedUses;
  /**
   * False if the provider may not have billed all of it: then `nanoDollars` is the most that it can be. So it is with
   * what was declined before any output, unless the list knows whether its category is billed.
   */
  readonly isCertain: boolean;
}

/** By counter as the wire names it: how often it was used. */
export type UnpricedUses = Readonly<Record<string, number>>;

/** Never shown as nothing, never summed as zero. */
export interface Unpriced {
  readonly isPriced: false;
  /**
   * `model`: there is no price for `model` at that time, or tokens were used and no answer named a model (null).
   * `size`: the counts are beyond anything that can be paid: more than `MAX_COST`.
   */
  readonly why: "model" | "size";
  /** The model without a price; for another `why` the served one. */
  readonly model: string | null;
}

/**
 * Ten thousand dollars, in nano-dollars: the most that one call can cost. A full context and a full output of the dearest
 * model cost below a hundred. The totals of a database overflow at 2^63 nano-dollars, which are 900,000 calls at this bound.
 */
export const MAX_COST = 10_000_000_000_000;

/** The stop reason of a call that was declined. */
const REFUSAL = "refusal";

/**
 * Whether the upstream declined the call before it had written anything. Told from what a row keeps, so that a call costs the
 * same whenever it is priced.
 */
export function isRefusedBeforeOutput({ stopReason, outputTokens }: Pick<UsageReading, "stopReason" | "outputTokens">): boolean {
  return stopReason === REFUSAL && outputTokens === 0;
}

/**
 * What pricing makes of a row whose counts are trusted so far. A cost that is not certain is not exact. A call that was
 * declined before any output has no count that was estimated, so its accuracy is its cost's.
 */
export function priceIn(
  cost: Cost,
  { accuracy, reading }: { readonly accuracy: Accuracy; readonly reading: UsageReading },
): Price {
  if (!cost.isPriced) return { cost: null, priceVersion: null, unpricedUses: {}, accuracy };
  const isDeclined = isRefusedBeforeOutput(reading);
  return {
    cost: cost.nanoDollars,
    priceVersion: cost.version,
    unpricedUses: cost.unpricedUses,
    accuracy: !cost.isCertain ? "estimated" : isDeclined ? "exact" : accuracy,
  };
}

/**
 * What a row costs that was admitted at that time (milliseconds since the epoch): a call is priced at its own time, so that
 * pricing it again gives the same while its price list is the same. Pure, and never throws, whatever the upstream wrote.
 *
 * The caller asks only for what it knows: a row of accuracy `unknown` has counts of zero that mean nothing, and would cost
 * nothing here. A row in which no model is named and nothing was used (the upstream refused the call) costs nothing indeed.
 */
export type PriceOf = (priced: Priced, at: number) => Cost;
