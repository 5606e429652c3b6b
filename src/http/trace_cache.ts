import type { CachedCall, CacheValueOf } from "../domain/cache.ts";
import { costUsd } from "../domain/money.ts";
import type { CallPlace } from "../domain/query.ts";
import type { Store } from "../domain/store.ts";
import type { Trace } from "../domain/trace.ts";
import { wholeJson } from "./admin_json.ts";

/** Looks at so many calls of a trace, the oldest: a bound on the cost of one query. */
const MAX_CALLS = 100_000;

export interface CacheDeps {
  readonly store: Pick<Store, "getCachedCalls">;
  readonly cacheValueOf: CacheValueOf;
}

/** The value of the prompt cache to a trace, at the current list's prices for each call's time. */
export async function traceCacheJson(trace: Trace, { store, cacheValueOf }: CacheDeps) {
  const misses = new Misses();
  const tokens = { read: 0n, written: 0n, missed: 0n };
  const money = { saved: 0n, writePremium: 0n, missCost: 0n };
  let [seen, unpricedCount] = [0, 0];
  let after: CallPlace["after"] = null;
  do {
    const calls: readonly CachedCall[] = await store.getCachedCalls({ workspaceId: trace.workspaceId, traceId: trace.id, after });
    for (const call of calls) {
      const missedTokens = misses.of(call);
      tokens.read += BigInt(call.cacheReadInputTokens);
      tokens.written += BigInt(call.cacheCreationInputTokens);
      tokens.missed += BigInt(missedTokens);
      const value = cacheValueOf(call, { missedTokens });
      if (value === null) unpricedCount++;
      money.saved += BigInt(value?.saved ?? 0);
      money.writePremium += BigInt(value?.writePremium ?? 0);
      money.missCost += BigInt(value?.missCost ?? 0);
    }
    seen += calls.length;
    after = calls.at(-1) ?? null;
  } while (after !== null && seen < MAX_CALLS);
  return {
    readTokens: wholeJson(tokens.read),
    writeTokens: wholeJson(tokens.written),
    savedUsd: costUsd(money.saved),
    writePremiumUsd: costUsd(money.writePremium),
    missedTokens: wholeJson(tokens.missed),
    missCostUsd: costUsd(money.missCost),
    unpricedCount,
    isWhole: after === null,
  };
}

/**
 * A miss: tokens that a call wrote although the call before it (of the same agent, class and model)
 * had that many more in the cache, read or written, than this one read. The rows cannot tell an
 * expired cache from a changed prompt, so this is an upper bound of what was written twice.
 */
class Misses {
  readonly #held = new Map<string, bigint>();

  of(call: CachedCall): number {
    const key = JSON.stringify([call.agentId, call.requestClass, call.servedModel]);
    const [read, written] = [BigInt(call.cacheReadInputTokens), BigInt(call.cacheCreationInputTokens)];
    const lost = (this.#held.get(key) ?? 0n) - read;
    this.#held.set(key, read + written);
    return lost > written ? call.cacheCreationInputTokens : Math.max(Number(lost), 0);
  }
}
