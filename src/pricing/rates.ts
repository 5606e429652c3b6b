import { SERVICE_TIERS, type ServiceTier, TOKEN_KINDS, type TokenKind } from "../domain/price.ts";
import type { PriceList, PricePeriod, PriceTier, RefusalPeriod, ToolPrices } from "./price_list.ts";

/** In pico-dollars a token: a million is $1 per million tokens. Left out: there is no price. */
export type Rates = { readonly [K in TokenKind]?: bigint };

/** The rates of one size of prompt. */
export interface RateBand {
  readonly promptFrom: bigint;
  readonly rates: Rates;
  readonly serviceTierPercent: { readonly [T in ServiceTier]?: number };
}

export interface RatePeriod extends Span {
  readonly fastPercent: number;
  /** The greatest prompt first. */
  readonly bands: readonly RateBand[];
}

export interface ToolRate extends Span {
  readonly nanoPerUse: bigint;
}

/** Milliseconds since the epoch; the end is not in it. */
interface Span {
  readonly startsAt: number;
  readonly endsAt: number;
}

/** A price list, read for arithmetic. Throws a RangeError for a price that it could not hold. */
export interface RateList {
  readonly models: ReadonlyMap<string, readonly RatePeriod[]>;
  /** By seller and counter. */
  readonly tools: ReadonlyMap<string, ReadonlyMap<string, readonly ToolRate[]>>;
  readonly refusals: readonly (RefusalPeriod & Span)[];
}

const STANDARD_PERCENT = 100;
/** Whose tools `serverTools` of the list has. */
const FIRST_SELLER = "anthropic";

export function ratesOf(list: PriceList): RateList {
  const tools = Object.entries({ [FIRST_SELLER]: list.serverTools, ...list.sellerTools });
  return {
    models: new Map(Object.entries(list.models).map(([name, periods]) => [name, periods.map(periodOf)])),
    tools: new Map(tools.map(([seller, prices]) => [seller, toolRatesOf(prices)])),
    refusals: list.refusals.map((period) => ({ ...period, ...spanOf(period) })),
  };
}

/**
 * What holds for a served model at that time; null if it has no price. A release that is listed by
 * its full id has its own prices from their first day on, and those of its other names before.
 */
export function modelRatesAt(
  models: RateList["models"],
  served: string,
  { at, namesOf }: { readonly at: number; readonly namesOf: (served: string) => readonly string[] },
): RatePeriod | null {
  const own = models.get(served);
  if (own !== undefined && own[0]!.startsAt <= at) return spanAt(own, at);
  for (const name of namesOf(served)) {
    const periods = models.get(name);
    if (periods !== undefined && periods[0]!.startsAt <= at) return spanAt(periods, at);
  }
  return null;
}

/** Spans are in the order of their starts. */
export function spanAt<S extends Span>(spans: readonly S[], at: number): S | null {
  for (let n = spans.length - 1; n >= 0; n--) {
    const span = spans[n]!;
    if (span.startsAt <= at) return at < span.endsAt ? span : null;
  }
  return null;
}

/** The band in which that prompt lies. */
export function bandFor(prompt: bigint, { bands }: RatePeriod): RateBand {
  return bands.find(({ promptFrom }) => prompt >= promptFrom)!;
}

function periodOf(period: PricePeriod): RatePeriod {
  return {
    ...spanOf(period),
    fastPercent: period.fastPercent ?? STANDARD_PERCENT,
    bands: period.tiers.map(bandOf).reverse(),
  };
}

function bandOf(tier: PriceTier): RateBand {
  const { promptFrom, serviceTierPercent: percents = {} } = tier;
  const rates = TOKEN_KINDS.flatMap((kind) => tier[kind] === undefined ? [] : [[kind, scaled(tier[kind], 6)] as const]);
  const serviceTiers = SERVICE_TIERS.flatMap((name) => percents[name] === undefined ? [] : [[name, percents[name]] as const]);
  return {
    promptFrom: BigInt(promptFrom),
    rates: Object.fromEntries(rates),
    serviceTierPercent: Object.fromEntries(serviceTiers),
  };
}

function toolRatesOf(prices: ToolPrices): ReadonlyMap<string, readonly ToolRate[]> {
  const read = (period: ToolPrices[string][number]) => ({ ...spanOf(period), nanoPerUse: scaled(period.usdPerUse, 9) });
  return new Map(Object.entries(prices).map(([counter, periods]) => [counter, periods.map(read)]));
}

function spanOf({ from, until }: { readonly from: string; readonly until?: string }): Span {
  return { startsAt: Date.parse(from), endsAt: until === undefined ? Infinity : Date.parse(until) };
}

/** A decimal times 10 ** places, digit by digit. Throws a RangeError if it has more places. */
function scaled(decimal: string, places: number): bigint {
  const [, whole, fraction = ""] = /^(\d+)(?:\.(\d+))?$/.exec(decimal) ?? [];
  if (whole === undefined || fraction.length > places) {
    throw new RangeError(`Cannot read a price as a decimal with at most ${places} places: it is "${decimal}"`);
  }
  return BigInt(whole + fraction.padEnd(places, "0"));
}
