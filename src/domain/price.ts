import type { Reading } from "./reading.ts";
import type { OpenCall } from "./usage.ts";

/** What of a row decides its price; everything else of it (the requested model too) does not. Counts are tokens. */
export type Priced =
  & Pick<OpenCall, "kind">
  & Pick<
    Reading,
    | "servedModel"
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

/** What a row cost, or why nobody can say. */
export type Cost = KnownCost | Unpriced;

export interface KnownCost {
  readonly isPriced: true;
  /**
   * Whole nano-dollars, rounded once, half up; never negative. A safe integer, so that it needs no care on its way through
   * SQLite, JSON and worker messages: 2^53 nano-dollars are nine million dollars. Sums of rows may be greater: those are
   * added up by the database, or as bigint.
   */
  readonly nanoDollars: number;
  /** The price list that made it. */
  readonly version: string;
}

/** Never shown as nothing, never summed as zero. */
export interface Unpriced {
  readonly isPriced: false;
  /**
   * `model`: there is no price for `model` at that time, or tokens were used and no answer named a model (null).
   * `server_tool`: the upstream counted uses of a tool that has no price, not even a price of nothing.
   * `size`: the counts are beyond anything that can be paid: more than 2^53 nano-dollars.
   */
  readonly why: "model" | "server_tool" | "size";
  /** The model without a price; for another `why` the served one. */
  readonly model: string | null;
  /** The counter as the wire names it; null where `why` is something else. */
  readonly serverTool: string | null;
}

/**
 * What a row costs that was admitted at that time (milliseconds since the epoch): a call is priced at its own time, so that
 * pricing it again gives the same while its price list is the same. Pure, and never throws, whatever the upstream wrote.
 *
 * The caller asks only for what it knows: a row of trust `unknown` has counts of zero that mean nothing, and would cost
 * nothing here. A row in which no model is named and nothing was used (the upstream refused the call) costs nothing indeed.
 */
export type PriceOf = (priced: Priced, at: number) => Cost;
