import type { CacheValue, CacheValueOf } from "../domain/cache.ts";
import type { BilledCall, Billings, TokenKind } from "../domain/price.ts";
import { billedCallsOf, periodOf, termsOf, UNITS_PER_NANO } from "./price_of.ts";
import type { PriceList } from "./price_list.ts";
import { type Rates, ratesOf } from "./rates.ts";

/** Kinds of writes, those that are paid less first. */
const WRITES = ["write5m", "write30m", "write1h", "write12h"] as const satisfies readonly TokenKind[];
/** Kinds of reads, and what the tokens would be without the cache. */
const READS = [["read", "input"], ["cachedAudio", "audioInput"]] as const satisfies readonly (readonly [TokenKind, TokenKind])[];

/** What the cache was worth: at the tiers, place and speed of the call itself. */
export function cacheValueOf(list: PriceList, billings: Billings): CacheValueOf {
  const rates = ratesOf(list);

  return (cached, { missedTokens }) => {
    const billing = billings.get(cached.provider);
    if (billing === undefined) return null;
    const paying = { rates, billing, at: cached.createdAt };
    let [saved, premium, missCost] = [0n, 0n, 0n];
    let missed = BigInt(missedTokens);
    // What is not billed costs nothing with the cache, and would have cost nothing without it.
    for (const call of billedCallsOf({ ...cached, serverToolUse: {} }, paying).calls) {
      const period = periodOf(call.model, paying);
      const terms = period === null ? null : termsOf(cached, { call, period, billing });
      if (terms === null) return null;
      const worth = worthOf(call, { rates: terms.band.rates, missed });
      if (worth === null) return null;
      saved += worth.saved * terms.factor;
      premium += worth.premium * terms.factor;
      missCost += worth.missCost * terms.factor;
      missed -= worth.missed;
    }
    const value: CacheValue = { saved: nanoOf(saved), writePremium: nanoOf(premium), missCost: nanoOf(missCost) };
    return Object.values(value).every(Number.isSafeInteger) ? value : null;
  };
}

interface Worth {
  readonly saved: bigint;
  readonly premium: bigint;
  readonly missCost: bigint;
  /** So many of the missed tokens are of this call. */
  readonly missed: bigint;
}

/** In pico-dollars. Null if a kind of the call's tokens has no price. */
function worthOf(call: BilledCall, { rates, missed }: { readonly rates: Rates; readonly missed: bigint }): Worth | null {
  let [saved, premium, missCost, left] = [0n, 0n, 0n, missed];
  for (const [kind, plain] of READS) {
    const tokens = call[kind] ?? 0n;
    if (tokens === 0n) continue;
    const [rate, plainRate] = [rates[kind], rates[plain]];
    if (rate === undefined || plainRate === undefined) return null;
    saved += tokens * (plainRate - rate);
  }
  for (const kind of WRITES) {
    const tokens = call[kind] ?? 0n;
    if (tokens === 0n) continue;
    const { [kind]: rate, input, read } = rates;
    if (rate === undefined || input === undefined) return null;
    premium += tokens * (rate - input);
    const again = smaller(left, tokens);
    if (again === 0n) continue;
    if (read === undefined) return null;
    missCost += again * (rate - read);
    left -= again;
  }
  return { saved, premium, missCost, missed: missed - left };
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
