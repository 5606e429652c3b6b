import type { UsageReading } from "./reading.ts";
import type { Price } from "./repricing.ts";
import type { Accuracy, OpenCall } from "./usage.ts";

/** What of a row decides its price; the requested model, for one, does not. Counts are tokens. */
export type Priced =
  & Pick<OpenCall, "kind" | "provider">
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
    | "tokenParts"
    | "serviceTier"
    | "inferenceGeo"
    | "speed"
    | "iterations"
  >;

/** Tokens that one model is paid for at one size of prompt. No token is in two counts. */
export interface BilledCall extends TokenCounts {
  /** As the answer named it; null if none did. */
  readonly model: string | null;
  /** Input, cache writes and cache reads of the call: what chooses the tier. */
  readonly prompt: bigint;
  readonly outcome: CallOutcome;
  /** Some of the tokens are of a kind that no list has a price for. */
  readonly hasUnknownKind?: boolean;
  /** Some of the input may not be billed. */
  readonly mayCostLess?: boolean;
}

/** Left out: none. */
export type TokenCounts = { readonly [K in TokenKind]?: bigint };

/**
 * `refused`: the row's own attempt, declined before any output; the row may have the category.
 * `passed_on`: declined before any output, and another model took over; the row has no category of
 * it.
 */
export type CallOutcome = "answered" | "refused" | "passed_on";

/**
 * Kinds of tokens that have prices of their own. Cache writes are told apart by how long they live:
 * minutes or hours.
 */
export const TOKEN_KINDS = [
  ...["input", "write5m", "write1h", "write30m", "write12h", "read", "output"] as const,
  ...["audioInput", "audioOutput", "cachedAudio"] as const,
] as const;
export type TokenKind = (typeof TOKEN_KINDS)[number];

/**
 * Service tiers that a price list may have a factor for; it has none for `standard`. OpenAI calls
 * `priority` `fast` too.
 */
export const SERVICE_TIERS = ["priority", "flex", "batch", "ultrafast"] as const;
export type ServiceTier = (typeof SERVICE_TIERS)[number];

/** So much of one thing at one price: a part of what a row costs. */
export interface Charge {
  readonly of: ChargedThing;
  /** Tokens, or uses of a tool. Never zero. */
  readonly quantity: bigint;
  /** Of a single token or use, with all factors, in atto-dollars (10^-18 US dollars). */
  readonly unitPrice: bigint;
  /** What makes it another price than the standard one: a tier, fast, a place, a size of prompt. */
  readonly terms: readonly string[];
}

/** A server tool is named by its counter on the wire; its price does not depend on the model. */
export type ChargedThing =
  | { readonly kind: TokenKind; readonly model: string }
  | { readonly kind: "tool"; readonly tool: string };

/** Whose invoice has the row, and what it names the service. */
export interface Seller {
  readonly name: string;
  readonly service: string;
}

/** What a row is charged for at that time; null if a model or the seller of it has no price. */
export type ChargesOf = (priced: Priced, at: number) => readonly Charge[] | null;

/** How the rows of one seller are invoiced. */
export interface Tariff {
  readonly seller: Seller;
  readonly chargesOf: ChargesOf;
  readonly tokensOf: Billing["tokensOf"];
}

/** How a seller bills what a row holds. Pure; never throws. */
export interface Billing {
  readonly seller: Seller;
  /** An answer whose client left is billed to its end, so that reading on costs nothing. */
  readonly billsInterrupted: boolean;
  /** The calls that a row is paid for: several if the provider calls models in turn. */
  readonly callsOf: (priced: Priced) => readonly BilledCall[];
  /** The kinds of tokens that they may have. */
  readonly kinds: readonly TokenKind[];
  /** The row's own counts, for a row without a price. */
  readonly tokensOf: (priced: Priced) => TokenCounts;
  /** Names that the price list may have for a served model, if it does not have that one itself. */
  readonly namesOf: (served: string) => readonly string[];
  /** By the name of a service tier in rows. Any other is unpriced. */
  readonly serviceTiers: ReadonlyMap<string, ServiceTier | "standard">;
  /** A row's `speed` is the service tier that was asked for. It counts if no answer named one. */
  readonly asksTierBySpeed?: true;
  readonly factors: Factors;
  /** Such a model costs the same in every place. */
  readonly isSameEverywhere?: (served: string) => boolean;
  /** Left out: the list's rules about refusals are not known to hold for its invoices. */
  readonly billsRefusalsAsListed?: true;
}

/** What a token's price is multiplied by, in percent. */
export interface Factors {
  /** By the row's `inferenceGeo`. */
  readonly geoPercent: Readonly<Record<string, number>>;
  /** Of every other place, and of none. Null: not known, and at most `mostGeoPercent`. */
  readonly otherGeoPercent?: number | null;
  readonly unnamedGeoPercent?: number | null;
  /** Stands here if one of the two is null. */
  readonly mostGeoPercent?: number;
  /** In a batch, if the list has no other factor for the model. Left out: unpriced. */
  readonly batchPercent?: number;
}

/** By the seller's name in rows (`OpenCall.provider`). Rows of any other seller are unpriced. */
export type Billings = ReadonlyMap<string, Billing>;

/** What a row cost, or why it is not known. */
export type Cost = KnownCost | Unpriced;

export interface KnownCost {
  readonly isPriced: true;
  /**
   * Whole nano-dollars, rounded once, half up, from 0 to `MAX_COST`: a safe integer in SQLite, JSON
   * and worker messages. Sums may be greater, so the database adds them, or a bigint does.
   */
  readonly nanoDollars: number;
  /** The price list that made it. */
  readonly version: string;
  /** Uses that no list has a price for, by counter; not in `nanoDollars`. */
  readonly unpricedUses: UnpricedUses;
  /**
   * False if the provider may not have billed all of it; then `nanoDollars` is an upper bound. It
   * is for a refusal before any output, unless the list knows whether its category is billed.
   */
  readonly isCertain: boolean;
}

/** By counter as the wire names it: how often it was used. */
export type UnpricedUses = Readonly<Record<string, number>>;

/** Never shown as nothing, never summed as zero. */
export interface Unpriced {
  readonly isPriced: false;
  /**
   * `model`: its seller has no price for `model` at that time, or no answer named it (null).
   * `tier`: the model has no price in the tier that served it. `token_kind`: some of its
   * tokens are of a kind without a price. `size`: the cost is more than `MAX_COST`.
   */
  readonly why: "model" | "tier" | "token_kind" | "size";
  /** The model without a price; for another `why` the served one. */
  readonly model: string | null;
}

/**
 * Ten thousand dollars, in nano-dollars: the most that one call can cost. A full context and output
 * of the dearest model cost below a hundred. A database's totals overflow at 2^63: 900,000 such
 * calls.
 */
export const MAX_COST = 10_000_000_000_000;

/** The stop reason of a call that was declined. */
const REFUSAL = "refusal";

/**
 * Whether the upstream declined the call before any output. Derived from what a row keeps, so that
 * a call costs the same whenever it is priced.
 */
export function isRefusedBeforeOutput({ stopReason, outputTokens }: Pick<UsageReading, "stopReason" | "outputTokens">): boolean {
  return stopReason === REFUSAL && outputTokens === 0;
}

/**
 * The price of a row whose counts have that accuracy. A cost that is not certain is not exact. A
 * refusal before any output has no estimated count, so its accuracy is its cost's.
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
 * What a row costs that was admitted `at` (milliseconds since the epoch): it costs the same again
 * under the same price list. Pure; never throws. Do not ask for a row of accuracy `unknown`: its
 * counts are zero and mean nothing. A row without a model and without usage costs nothing.
 */
export type PriceOf = (priced: Priced, at: number) => Cost;
