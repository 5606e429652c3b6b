import {
  type BilledCall,
  type Billing,
  type Billings,
  type CallOutcome,
  type Charge,
  type ChargesOf,
  isRefusedBeforeOutput,
  MAX_COST,
  type Priced,
  type PriceOf,
  TOKEN_KINDS,
  type TokenKind,
  type Unpriced,
  type UnpricedUses,
} from "../domain/price.ts";
import { modelPeriodAt, periodAt, type PriceList, type PriceTier, type RefusalPeriod } from "./price_list.ts";

export type Rates = { readonly [K in TokenKind]: bigint };

interface RateTier {
  readonly promptFrom: bigint;
  readonly rates: Rates;
}

export interface RatePeriod {
  readonly from: string;
  readonly fastPercent: bigint;
  /** The greatest prompt first. In pico-dollars a token: a million is $1 per million tokens. */
  readonly tiers: readonly RateTier[];
}

const STANDARD_PERCENT = 100n;
/**
 * Tokens x pico-dollars x three factors in percent: the one division undoes them all. So a unit is
 * an atto-dollar.
 */
export const UNITS_PER_NANO = 1_000n * STANDARD_PERCENT ** 3n;

/**
 * Prices rows by that list, each as its seller bills it, in exact integers with one rounding a row,
 * half up.
 *
 * Every token of a call is paid at the tier of its prompt, times the factors for its place, for a
 * batch, and for fast if the model offers it; factors multiply. A line of a batch counts as batch
 * if its answer names no service tier. `priority` is paid as standard: what a commitment costs is
 * agreed elsewhere. The factors hold for all calls of a row: the wire does not tell them apart.
 *
 * Uses of server tools are paid by the piece without factors: a batch's searches cost what others
 * do (https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool, "Batch
 * requests"). Uses without a price are named beside the cost. If a model has no price, the whole
 * row has none.
 *
 * A refusal before any output costs nothing, and needs no price, if the list says so of its
 * category.
 */
export function priceOf(list: PriceList, billings: Billings): PriceOf {
  const charged = chargedBy(list, billings);

  return (priced, at) => {
    if (isNothing(priced)) return { isPriced: true, nanoDollars: 0, version: list.version, unpricedUses: {}, isCertain: true };
    const parts = charged(priced, at);
    if (!parts.isPriced) return unpriced("model", parts.stranger);
    const units = parts.charges.reduce((sum, { quantity, unitPrice }) => sum + quantity * unitPrice, 0n);
    const nano = (units + UNITS_PER_NANO / 2n) / UNITS_PER_NANO;
    if (nano > MAX_COST) return unpriced("size", priced.servedModel);
    const { unpricedUses, isCertain } = parts;
    return { isPriced: true, nanoDollars: Number(nano), version: list.version, unpricedUses, isCertain };
  };
}

/** The parts that `priceOf` adds up. */
export function chargesOf(list: PriceList, billings: Billings): ChargesOf {
  const charged = chargedBy(list, billings);
  return (priced, at) => {
    const parts = charged(priced, at);
    return parts.isPriced ? parts.charges : null;
  };
}

type Charged =
  | {
    readonly isPriced: true;
    readonly charges: readonly Charge[];
    readonly unpricedUses: UnpricedUses;
    readonly isCertain: boolean;
  }
  | { readonly isPriced: false; readonly stranger: string | null };

function chargedBy(list: PriceList, billings: Billings): (priced: Priced, at: number) => Charged {
  const rateOf = modelRatesOf(list);
  const serverTools = ratesBy(list.serverTools, ({ from, usdPerUse }) => ({ from, nanoPerUse: scaled(usdPerUse, 9) }));

  return (priced, at) => {
    const billing = billings.get(priced.provider);
    if (billing === undefined) return { isPriced: false, stranger: priced.servedModel };
    const { calls, isCertain } = billedCallsOf(priced, { list, billing, at });
    const isServed = priced.servedModel !== null && !(isRefusedBeforeOutput(priced) && calls.length === 0);
    const asked = isServed ? [{ model: priced.servedModel }, ...calls] : calls;
    const stranger = asked.find(({ model }) => rateOf(model, at) === null);
    if (stranger !== undefined) return { isPriced: false, stranger: stranger.model };
    const charges = calls.flatMap((call) => tokenCharges(call, { priced, period: rateOf(call.model, at)!, billing }));
    const unpricedUses: Record<string, number> = {};
    for (const [tool, uses] of Object.entries(priced.serverToolUse)) {
      const isCount = Number.isSafeInteger(uses) && uses > 0;
      if (!isCount) continue;
      const period = periodAt(serverTools.get(tool) ?? [], at);
      if (period === null) {
        unpricedUses[tool] = uses;
        continue;
      }
      const unitPrice = period.nanoPerUse * UNITS_PER_NANO;
      charges.push({ of: { kind: "tool", tool }, quantity: BigInt(uses), unitPrice, terms: [] });
    }
    return { isPriced: true, charges, unpricedUses, isCertain };
  };
}

function tokenCharges(
  call: BilledCall,
  { priced, period, billing }: { readonly priced: Priced; readonly period: RatePeriod; readonly billing: Billing },
): Charge[] {
  const { promptFrom, rates } = tierFor(call, period);
  const factors = factorsOf(priced, { period, billing });
  const terms = [...termsOf(priced, { period, billing }), ...(promptFrom > 0n ? [`prompt-from-${promptFrom}`] : [])];
  return TOKEN_KINDS.filter((kind) => call[kind] > 0n).map((kind) => ({
    of: { kind, model: call.model! },
    quantity: call[kind],
    unitPrice: rates[kind] * factors,
    terms,
  }));
}

/** The calls of a row that are paid for; not certain if some only may be. */
export function billedCallsOf(
  priced: Priced,
  { list, billing, at }: { readonly list: PriceList; readonly billing: Billing; readonly at: number },
): { readonly calls: readonly BilledCall[]; readonly isCertain: boolean } {
  const rule = periodAt(list.refusals, at);
  const billings = billing.callsOf(priced).map((call) => ({ call, isBilled: isBilled(call.outcome, { rule, priced }) }));
  return {
    calls: billings.filter(({ isBilled }) => isBilled !== false).map(({ call }) => call),
    isCertain: billings.every(({ call, isBilled }) => isBilled !== null || call.prompt === 0n),
  };
}

/** Null: the list does not say. */
function isBilled(
  outcome: CallOutcome,
  { rule, priced: { refusalCategory } }: { readonly rule: RefusalPeriod | null; readonly priced: Priced },
): boolean | null {
  if (outcome === "answered") return true;
  if (rule === null) return null;
  const isOnlyUnbilled = rule.notBilled === "others" && rule.billed.length === 0;
  if (outcome === "passed_on" || refusalCategory === null) return isOnlyUnbilled ? false : null;
  const category = refusalCategory === "" ? null : refusalCategory;
  if (rule.billed.includes(category)) return true;
  return rule.notBilled === "others" || rule.notBilled.includes(category) ? false : null;
}

/** The rates of a model at a time (ms since the epoch); null if it has no price. */
export function modelRatesOf(list: PriceList): (model: string | null, at: number) => RatePeriod | null {
  const models = ratesBy(list.models, ({ from, fastPercent, tiers }) => ({
    from,
    fastPercent: fastPercent === null ? STANDARD_PERCENT : BigInt(fastPercent),
    tiers: tiers.map((tier) => ({ promptFrom: BigInt(tier.promptFrom), rates: ratesOf(tier) })).reverse(),
  }));
  return (model, at) => model === null ? null : modelPeriodAt(models, model, at);
}

function isNothing(priced: Priced): boolean {
  return priced.servedModel === null && priced.iterations.length === 0 &&
    priced.inputTokens + priced.outputTokens + priced.cacheCreationInputTokens + priced.cacheReadInputTokens === 0 &&
    Object.values(priced.serverToolUse).every((uses) => uses === 0);
}

/** Of the tier in which the call's prompt lies. */
export function ratesFor(call: Pick<BilledCall, "prompt">, period: RatePeriod): Rates {
  return tierFor(call, period).rates;
}

function tierFor(call: Pick<BilledCall, "prompt">, period: RatePeriod): RateTier {
  return period.tiers.find(({ promptFrom }) => call.prompt >= promptFrom)!;
}

/** What every token of the row is multiplied by, in percent to the third power. */
export function factorsOf(
  priced: FactorsOn,
  { period, billing: { factors } }: { readonly period: RatePeriod; readonly billing: Billing },
): bigint {
  const geo = priced.inferenceGeo ?? "";
  return (Object.hasOwn(factors.geoPercent, geo) ? BigInt(factors.geoPercent[geo]!) : STANDARD_PERCENT) *
    (isBatch(priced) ? BigInt(factors.batchPercent) : STANDARD_PERCENT) *
    (priced.speed === "fast" ? period.fastPercent : STANDARD_PERCENT);
}

type FactorsOn = Pick<Priced, "kind" | "serviceTier" | "inferenceGeo" | "speed">;

/** The names of the factors of `factorsOf` that change a price. */
function termsOf(
  priced: FactorsOn,
  { period, billing: { factors } }: { readonly period: RatePeriod; readonly billing: Billing },
): string[] {
  const geo = priced.inferenceGeo ?? "";
  return [
    ...(isBatch(priced) ? ["batch"] : []),
    ...(priced.speed === "fast" && period.fastPercent !== STANDARD_PERCENT ? ["fast"] : []),
    ...(Object.hasOwn(factors.geoPercent, geo) ? [geo] : []),
  ];
}

function isBatch({ kind, serviceTier }: FactorsOn): boolean {
  return serviceTier === null ? kind === "batch_line" : serviceTier === "batch";
}

function unpriced(why: Unpriced["why"], model: string | null): Unpriced {
  return { isPriced: false, why, model };
}

function ratesBy<P, R>(
  periods: Readonly<Record<string, readonly P[]>>,
  read: (period: P) => R,
): ReadonlyMap<string, readonly R[]> {
  return new Map(Object.entries(periods).map(([name, list]) => [name, list.map(read)]));
}

function ratesOf({ promptFrom: _, ...prices }: PriceTier): Rates {
  return Object.fromEntries(Object.entries(prices).map(([name, price]) => [name, scaled(price, 6)])) as Rates;
}

/** A decimal times 10 ** places, digit by digit. Throws a RangeError if it has more places. */
function scaled(decimal: string, places: number): bigint {
  const [, whole, fraction = ""] = /^(\d+)(?:\.(\d+))?$/.exec(decimal) ?? [];
  if (whole === undefined || fraction.length > places) {
    throw new RangeError(`Cannot read a price as a decimal with at most ${places} places: it is "${decimal}"`);
  }
  return BigInt(whole + fraction.padEnd(places, "0"));
}
