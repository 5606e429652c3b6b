import type { CacheValue, CacheValueOf } from "../domain/cache.ts";
import type { Billings } from "../domain/price.ts";
import { billedCallsOf, factorsOf, modelRatesOf, ratesFor, UNITS_PER_NANO } from "./price_of.ts";
import type { PriceList } from "./price_list.ts";

/** What the cache was worth: at the tier, place, speed and batch discount of the call itself. */
export function cacheValueOf(list: PriceList, billings: Billings): CacheValueOf {
  const rateOf = modelRatesOf(list);

  return (cached, { missedTokens }) => {
    const billing = billings.get(cached.provider);
    if (billing === undefined) return null;
    let [saved, premium, missCost] = [0n, 0n, 0n];
    let missed = BigInt(missedTokens);
    // What is not billed costs nothing with the cache, and would have cost nothing without it.
    for (
      const call of billedCallsOf({ ...cached, serverToolUse: {}, tokenParts: {} }, { list, billing, at: cached.createdAt }).calls
    ) {
      const period = rateOf(call.model, cached.createdAt);
      if (period === null) return null;
      const rates = ratesFor(call, period);
      const factors = factorsOf(cached, { period, billing });
      saved += call.read * (rates.input - rates.read) * factors;
      premium += (call.write5m * (rates.write5m - rates.input) + call.write1h * (rates.write1h - rates.input)) * factors;
      const missed5m = smaller(missed, call.write5m);
      const missed1h = smaller(missed - missed5m, call.write1h);
      missCost += (missed5m * (rates.write5m - rates.read) + missed1h * (rates.write1h - rates.read)) * factors;
      missed -= missed5m + missed1h;
    }
    const value: CacheValue = { saved: nanoOf(saved), writePremium: nanoOf(premium), missCost: nanoOf(missCost) };
    return Object.values(value).every(Number.isSafeInteger) ? value : null;
  };
}

/** Half up, below zero too. */
function nanoOf(units: bigint): number {
  const doubled = 2n * units + UNITS_PER_NANO;
  const whole = doubled / (2n * UNITS_PER_NANO);
  return Number(doubled < 0n && whole * 2n * UNITS_PER_NANO !== doubled ? whole - 1n : whole);
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
