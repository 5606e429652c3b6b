import type { Link } from "../domain/retry.ts";
import type { Accuracy, Closing } from "../domain/usage.ts";
import { linkOf } from "./retries.ts";
import { integer, integerOrNull, type Row, text, unpricedUsesOf } from "./row_decoders.ts";

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
  readonly partly_priced_count: number;
  readonly retry_count: number;
  readonly retried_cost: number;
}

/** Of a row that is already there, what it was counted as. */
export interface Counted {
  readonly accuracy: Accuracy;
  readonly cost: number | null;
  readonly unpricedUses: Closing["unpricedUses"];
  readonly link: Link;
  readonly reading: Pick<
    Closing["reading"],
    "inputTokens" | "outputTokens" | "cacheCreationInputTokens" | "cacheReadInputTokens"
  >;
}

/** Of a row of `usage`, integers as bigints. */
export function countedOf(row: Row): Counted {
  return {
    // The column holds what `Accuracy` names: only rows of ours are ever written.
    accuracy: text(row, "accuracy") as Accuracy,
    cost: integerOrNull(row, "cost"),
    unpricedUses: unpricedUsesOf(row),
    link: linkOf(row),
    reading: {
      inputTokens: integer(row, "input_tokens"),
      outputTokens: integer(row, "output_tokens"),
      cacheCreationInputTokens: integer(row, "cache_creation_input_tokens"),
      cacheReadInputTokens: integer(row, "cache_read_input_tokens"),
    },
  };
}

/** What another link of a row that stays as it is moves: never anything but what stands in totals of links. */
export function countsOfLinks(cost: number | null, links: { readonly from: Link; readonly to: Link }): Counts {
  const { from, to } = links;
  return {
    ...NO_COUNTS,
    retry_count: Number(to.retryOf !== null) - Number(from.retryOf !== null),
    retried_cost: (Number(to.isAskedAgain) - Number(from.isAskedAgain)) * (cost ?? 0),
  };
}

const NO_COUNTS: Counts = {
  request_count: 0,
  input_tokens: 0,
  output_tokens: 0,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  cost: 0,
  estimated_cost: 0,
  estimated_count: 0,
  unknown_count: 0,
  unpriced_count: 0,
  partly_priced_count: 0,
  retry_count: 0,
  retried_cost: 0,
};

export const COUNT_COLUMNS = Object.keys(NO_COUNTS) as readonly (keyof Counts)[];

/** What a row adds to the totals; with `sign` -1 what it takes from them when it is replaced. */
export function countsOf({ accuracy, cost, unpricedUses, reading, link }: Counted, sign: 1 | -1): Counts {
  const isUnknown = accuracy === "unknown";
  const isEstimated = accuracy === "estimated";
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
    partly_priced_count: Object.keys(unpricedUses).length > 0 ? sign : 0,
    retry_count: link.retryOf === null ? 0 : sign,
    retried_cost: link.isAskedAgain ? sign * (cost ?? 0) : 0,
  };
}
