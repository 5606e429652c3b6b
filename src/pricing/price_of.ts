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
  type Unpriced,
  type UnpricedUses,
} from "../domain/price.ts";
import type { PriceList, RefusalPeriod } from "./price_list.ts";
import { bandFor, modelRatesAt, type RateBand, type RateList, type RatePeriod, ratesOf, spanAt } from "./rates.ts";

const STANDARD_PERCENT = 100;
/**
 * Tokens x pico-dollars x three factors in percent: the one division undoes them all. So a unit is
 * an atto-dollar.
 */
export const UNITS_PER_NANO = 1_000n * BigInt(STANDARD_PERCENT) ** 3n;

/**
 * Prices rows by that list, each as its seller bills it, in exact integers with one rounding a row,
 * half up.
 *
 * Every token of a call is paid at the tier of its prompt, times the factors for its place, for the
 * service tier that served it, and for fast if the model offers it; factors multiply. A line of a
 * batch counts as batch if its answer names no service tier. The factors hold for all calls of a
 * row: the wire does not tell them apart.
 *
 * Uses of server tools are paid by the piece without factors: a batch's searches cost what others
 * do (https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool, "Batch
 * requests"). Uses without a price are named beside the cost. If a model has no price, or none in
 * that service tier or for one of the kinds of its tokens, the whole row has none.
 *
 * A refusal before any output costs nothing, and needs no price, if the list says so of its
 * category.
 */
export function priceOf(list: PriceList, billings: Billings): PriceOf {
  const charged = chargedBy(list, billings);

  return (priced, at) => {
    if (isNothing(priced)) return { isPriced: true, nanoDollars: 0, version: list.version, unpricedUses: {}, isCertain: true };
    const parts = charged(priced, at);
    if (!parts.isPriced) return parts;
    let units = 0n;
    for (const { quantity, unitPrice } of parts.charges) units += quantity * unitPrice;
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

interface Charged {
  readonly isPriced: true;
  readonly charges: readonly Charge[];
  readonly unpricedUses: UnpricedUses;
  readonly isCertain: boolean;
}

function chargedBy(list: PriceList, billings: Billings): (priced: Priced, at: number) => Charged | Unpriced {
  const rates = ratesOf(list);

  return (priced, at) => {
    const billing = billings.get(priced.provider);
    if (billing === undefined) return unpriced("model", priced.servedModel);
    const billed = billedCallsOf(priced, { rates, billing, at });
    const { calls } = billed;
    let { isCertain } = billed;
    const isServed = priced.servedModel !== null && !(isRefusedBeforeOutput(priced) && calls.length === 0);
    if (isServed && periodOf(priced.servedModel, { rates, billing, at }) === null) return unpriced("model", priced.servedModel);
    const charges: Charge[] = [];
    for (const call of calls) {
      const period = periodOf(call.model, { rates, billing, at });
      if (period === null) return unpriced("model", call.model);
      const terms = termsOf(priced, { call, period, billing });
      if (terms === null) return unpriced("tier", call.model);
      if (!addCharges(charges, call, { terms, billing })) return unpriced("token_kind", call.model);
      isCertain &&= terms.isCertain && call.mayCostLess !== true;
    }
    return { isPriced: true, charges, unpricedUses: addTools(charges, priced, { rates, at }), isCertain };
  };
}

/** False if the list has no price for a kind of the call's tokens. */
function addCharges(
  charges: Charge[],
  call: BilledCall,
  { terms: { band, factor, names }, billing }: { readonly terms: Terms; readonly billing: Billing },
): boolean {
  for (const kind of billing.kinds) {
    const quantity = call[kind];
    if (quantity === undefined || quantity === 0n) continue;
    const rate = band.rates[kind];
    if (rate === undefined) return false;
    charges.push({ of: { kind, model: call.model! }, quantity, unitPrice: rate * factor, terms: names });
  }
  return call.hasUnknownKind !== true;
}

/** Returns the uses without a price. */
function addTools(
  charges: Charge[],
  priced: Priced,
  { rates, at }: { readonly rates: RateList; readonly at: number },
): UnpricedUses {
  const unpricedUses: Record<string, number> = {};
  for (const [tool, uses] of Object.entries(priced.serverToolUse)) {
    const isCount = Number.isSafeInteger(uses) && uses > 0;
    if (!isCount) continue;
    const period = spanAt(rates.tools.get(priced.provider)?.get(tool) ?? [], at);
    if (period === null) {
      unpricedUses[tool] = uses;
      continue;
    }
    charges.push({
      of: { kind: "tool", tool },
      quantity: BigInt(uses),
      unitPrice: period.nanoPerUse * UNITS_PER_NANO,
      terms: [],
    });
  }
  return unpricedUses;
}

export interface Paying {
  readonly rates: RateList;
  readonly billing: Billing;
  readonly at: number;
}

/** The calls of a row that are paid for; not certain if some only may be. */
export function billedCallsOf(
  priced: Priced,
  { rates, billing, at }: Paying,
): { readonly calls: readonly BilledCall[]; readonly isCertain: boolean } {
  const all = billing.callsOf(priced);
  if (all.every(({ outcome }) => outcome === "answered")) return { calls: all, isCertain: true };
  const rule = billing.billsRefusalsAsListed ? spanAt(rates.refusals, at) : null;
  const billings = all.map((call) => ({ call, isBilled: isBilled(call.outcome, { rule, priced }) }));
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

/** What holds for a model; null if it has no price at that time. */
export function periodOf(model: string | null, { rates, billing, at }: Paying): RatePeriod | null {
  return model === null ? null : modelRatesAt(rates.models, model, { at, namesOf: billing.namesOf });
}

function isNothing(priced: Priced): boolean {
  return priced.servedModel === null && priced.iterations.length === 0 &&
    priced.inputTokens + priced.outputTokens + priced.cacheCreationInputTokens + priced.cacheReadInputTokens === 0 &&
    Object.values(priced.serverToolUse).every((uses) => uses === 0);
}

/** At what a call's tokens are paid. */
export interface Terms {
  readonly band: RateBand;
  /** What every token's rate is multiplied by, in percent to the third power. */
  readonly factor: bigint;
  /** Of the factors that change a price, and of the size of prompt. */
  readonly names: readonly string[];
  /** False if the place is not known and may cost less. */
  readonly isCertain: boolean;
}

const NO_NAMES: readonly string[] = [];
/** The name of a place that a row does not tell. */
const UNKNOWN_PLACE = "place-unknown";

/** Null if the model has no price in the service tier that served it. */
export function termsOf(
  priced: Pick<Priced, "kind" | "serviceTier" | "inferenceGeo" | "speed">,
  { call, period, billing }: { readonly call: BilledCall; readonly period: RatePeriod; readonly billing: Billing },
): Terms | null {
  const band = bandFor(call.prompt, period);
  const { kind, inferenceGeo, speed } = priced;
  const serviceTier = priced.serviceTier ?? (billing.asksTierBySpeed ? speed : null);
  const tier = serviceTier === null ? (kind === "batch_line" ? "batch" : "standard") : billing.serviceTiers.get(serviceTier);
  const tierPercent = tier === undefined ? undefined : tierPercentOf(tier, { band, billing });
  if (tierPercent === undefined) return null;
  const place = placeOf(inferenceGeo, { model: call.model!, billing });
  const fastPercent = speed === "fast" && !billing.asksTierBySpeed ? period.fastPercent : STANDARD_PERCENT;
  const factor = BigInt(tierPercent * place.percent * fastPercent);
  const isPlain = tier === "standard" && place.name === null && fastPercent === STANDARD_PERCENT && band.promptFrom === 0n;
  if (isPlain) return { band, factor, names: NO_NAMES, isCertain: true };
  const names = [
    ...(tier === "standard" ? [] : [tier!]),
    ...(fastPercent === STANDARD_PERCENT ? [] : ["fast"]),
    ...(place.name === null ? [] : [place.name]),
    ...(band.promptFrom > 0n ? [`prompt-from-${band.promptFrom}`] : []),
  ];
  return { band, factor, names, isCertain: place.name !== UNKNOWN_PLACE };
}

function tierPercentOf(
  tier: "standard" | keyof RateBand["serviceTierPercent"],
  { band, billing }: { readonly band: RateBand; readonly billing: Billing },
): number | undefined {
  if (tier === "standard") return STANDARD_PERCENT;
  return band.serviceTierPercent[tier] ?? (tier === "batch" ? billing.factors.batchPercent : undefined);
}

interface PlaceTerms {
  readonly percent: number;
  /** Null: the place changes nothing. */
  readonly name: string | null;
}

const ANYWHERE: PlaceTerms = { percent: STANDARD_PERCENT, name: null };

function placeOf(geo: string | null, { model, billing }: { readonly model: string; readonly billing: Billing }): PlaceTerms {
  const { geoPercent, otherGeoPercent = STANDARD_PERCENT, unnamedGeoPercent = STANDARD_PERCENT } = billing.factors;
  const percent = geo === null ? unnamedGeoPercent : Object.hasOwn(geoPercent, geo) ? geoPercent[geo]! : otherGeoPercent;
  if (percent === STANDARD_PERCENT || billing.isSameEverywhere?.(model)) return ANYWHERE;
  if (percent === null) return { percent: billing.factors.mostGeoPercent!, name: UNKNOWN_PLACE };
  return { percent, name: geo ?? UNKNOWN_PLACE };
}

function unpriced(why: Unpriced["why"], model: string | null): Unpriced {
  return { isPriced: false, why, model };
}
