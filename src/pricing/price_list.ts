import type { ServiceTier } from "../domain/price.ts";

/**
 * A dated price list, as data; the operator's price file has the same shape. Prices are decimals in
 * text, as the price pages print them, and never pass through a float.
 */
export interface PriceList {
  /** Changes whenever any price does; stored with every cost. */
  readonly version: string;
  /** By model id without its date. Periods are in the order of their dates. */
  readonly models: Readonly<Record<string, readonly PricePeriod[]>>;
  /** Anthropic's, by the counter's name in rows. A free tool is at "0"; others are unpriced. */
  readonly serverTools: ToolPrices;
  /** Those of others, by the seller's name in rows. */
  readonly sellerTools: Readonly<Record<string, ToolPrices>>;
  /** Which refusals before any output are billed, in the order of the dates. */
  readonly refusals: readonly RefusalPeriod[];
}

export type ToolPrices = Readonly<Record<string, readonly ToolPeriod[]>>;

/**
 * Categories of refusals before any output, as the wire names them; null: it names no category. If
 * the category is unknown or in neither list, the call is priced in full and its cost is not
 * certain.
 */
export interface RefusalPeriod {
  readonly from: string;
  /** Paid like any other call. */
  readonly billed: readonly (string | null)[];
  /** Not paid. `others`: all that is not billed. */
  readonly notBilled: readonly (string | null)[] | "others";
}

/** No earlier price is known, so this one holds for every call before as well. */
export const FROM_THE_FIRST = "1970-01-01";

/** When prices hold. */
interface Dated {
  /** The day from whose start in UTC on they hold, `2026-10-07`. */
  readonly from: string;
  /** The day at whose start they end, and nothing is known. Left out: they hold until the next. */
  readonly until?: string;
}

/** The prices of one model for some time. */
export interface PricePeriod extends Dated {
  /**
   * What `speed: "fast"` costs, in percent of these prices; null if it is not offered and billed as
   * standard.
   */
  readonly fastPercent: number | null;
  /** By size of prompt, the smallest first. */
  readonly tiers: readonly PriceTier[];
}

/**
 * US dollars per million tokens, with at most six decimal places. A call with tokens of a kind that
 * is left out is unpriced: no other kind's price is taken for it.
 */
export interface PriceTier {
  /** For prompts (input, cache writes and reads of a call) of at least so many tokens; first 0. */
  readonly promptFrom: number;
  readonly input: string;
  /** Cache writes, by how long they live. */
  readonly write5m?: string;
  readonly write1h?: string;
  readonly write30m?: string;
  readonly write12h?: string;
  readonly read?: string;
  readonly output: string;
  readonly audioInput?: string;
  readonly audioOutput?: string;
  /** Audio that was read from the cache. */
  readonly cachedAudio?: string;
  /** What the service tiers that served a call cost, in percent of these prices. */
  readonly serviceTierPercent?: { readonly [T in ServiceTier]?: number };
}

export interface ToolPeriod extends Dated {
  /** US dollars a use, with at most nine decimal places. */
  readonly usdPerUse: string;
}

/** The period that holds at that time (ms since the epoch), or null if none does. */
export function periodAt<P extends Dated>(periods: readonly P[], at: number): P | null {
  const last = periods.findLast(({ from }) => Date.parse(from) <= at);
  return last === undefined || (last.until !== undefined && Date.parse(last.until) <= at) ? null : last;
}

/** The list with other prices over it: they hold from their first day on, the list's own before. */
export function withPrices(list: PriceList, over: PriceList): PriceList {
  return {
    version: over.version,
    models: merged(list.models, over.models),
    serverTools: merged(list.serverTools, over.serverTools),
    sellerTools: {
      ...list.sellerTools,
      ...Object.fromEntries(
        Object.entries(over.sellerTools).map(([seller, tools]) => {
          return [seller, merged(Object.hasOwn(list.sellerTools, seller) ? list.sellerTools[seller]! : {}, tools)];
        }),
      ),
    },
    refusals: after(list.refusals, over.refusals),
  };
}

type ByName<P> = Readonly<Record<string, readonly P[]>>;

function merged<P extends Dated>(ours: ByName<P>, theirs: ByName<P>): ByName<P> {
  const entries = Object.entries(theirs).map(([name, periods]) => {
    return [name, after(Object.hasOwn(ours, name) ? ours[name]! : [], periods)] as const;
  });
  return { ...ours, ...Object.fromEntries(entries) };
}

function after<P extends { readonly from: string }>(ours: readonly P[], theirs: readonly P[]): readonly P[] {
  const [first] = theirs;
  return first === undefined ? ours : [...ours.filter(({ from }) => from < first.from), ...theirs];
}
