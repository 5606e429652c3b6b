import type { Closing, Trust } from "../domain/usage.ts";

/** What of closed rows stands in totals, by its column: of one row, or with a minus of one that is replaced. */
export interface Counts {
  readonly request_count: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cache_creation_input_tokens: number;
  readonly cache_read_input_tokens: number;
  readonly cost: number;
  readonly estimated_cost: number;
  readonly estimated_count: number;
  readonly unknown_count: number;
  readonly unpriced_count: number;
}

/** Of a row that is already there, what it was counted as. */
export interface Counted {
  readonly trust: Trust;
  readonly cost: number | null;
  readonly reading: Pick<
    Closing["reading"],
    "inputTokens" | "outputTokens" | "cacheCreationInputTokens" | "cacheReadInputTokens"
  >;
}

/** What a row adds to the totals; with `sign` -1 what it takes from them when it is replaced. */
export function countsOf({ trust, cost, reading }: Counted, sign: 1 | -1): Counts {
  const isUnknown = trust === "unknown";
  const isEstimated = trust === "estimated";
  return {
    request_count: sign,
    input_tokens: sign * reading.inputTokens,
    output_tokens: sign * reading.outputTokens,
    cache_creation_input_tokens: sign * reading.cacheCreationInputTokens,
    cache_read_input_tokens: sign * reading.cacheReadInputTokens,
    cost: sign * (cost ?? 0),
    estimated_cost: isEstimated ? sign * (cost ?? 0) : 0,
    estimated_count: isEstimated ? sign : 0,
    unknown_count: isUnknown ? sign : 0,
    unpriced_count: cost === null && !isUnknown ? sign : 0,
  };
}
