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

/** A call that wrote again what the cache had held. */
export interface CacheMiss extends Pick<CachedCall, "id" | "createdAt" | "agentId" | "servedModel"> {
  readonly missedTokens: number;
  /** What they cost above reads, in nano-dollars; null if the model has no price. */
  readonly missCost: number | null;
  /** Since the admission of the call that had the cache before. */
  readonly sinceMs: number;
}

/** The value of the prompt cache to a trace. Money is nano-dollars. */
export interface TraceCache {
  readonly readTokens: bigint;
  readonly writeTokens: bigint;
  readonly missedTokens: bigint;
  readonly saved: bigint;
  readonly writePremium: bigint;
  readonly missCost: bigint;
  /** Calls without a price, whose value is not in the amounts. */
  readonly unpricedCount: number;
  /** False if the trace has more calls than were looked at. */
  readonly isWhole: boolean;
  /** Oldest first. */
  readonly misses: readonly CacheMiss[];
}

export async function traceCacheJson(trace: Trace, deps: CacheDeps) {
  const cache = await traceCacheOf(trace, deps);
  return {
    readTokens: wholeJson(cache.readTokens),
    writeTokens: wholeJson(cache.writeTokens),
    savedUsd: costUsd(cache.saved),
    writePremiumUsd: costUsd(cache.writePremium),
    missedTokens: wholeJson(cache.missedTokens),
    missCostUsd: costUsd(cache.missCost),
    unpricedCount: cache.unpricedCount,
    isWhole: cache.isWhole,
  };
}

/** At the current list's prices for each call's time. `most` bounds the calls. */
export async function traceCacheOf(
  trace: Pick<Trace, "workspaceId" | "id">,
  { store, cacheValueOf }: CacheDeps,
  most = MAX_CALLS,
): Promise<TraceCache> {
  const held = new HeldCaches();
  const misses: CacheMiss[] = [];
  const tokens = { read: 0n, written: 0n, missed: 0n };
  const money = { saved: 0n, writePremium: 0n, missCost: 0n };
  let [seen, unpricedCount] = [0, 0];
  let after: CallPlace["after"] = null;
  do {
    const calls: readonly CachedCall[] = await store.getCachedCalls({ workspaceId: trace.workspaceId, traceId: trace.id, after });
    for (const call of calls) {
      const { missedTokens, sinceMs } = held.missOf(call);
      tokens.read += BigInt(call.cacheReadInputTokens);
      tokens.written += BigInt(call.cacheCreationInputTokens);
      tokens.missed += BigInt(missedTokens);
      const value = cacheValueOf(call, { missedTokens });
      if (value === null) unpricedCount++;
      money.saved += BigInt(value?.saved ?? 0);
      money.writePremium += BigInt(value?.writePremium ?? 0);
      money.missCost += BigInt(value?.missCost ?? 0);
      const { id, createdAt, agentId, servedModel } = call;
      if (missedTokens > 0) {
        misses.push({ id, createdAt, agentId, servedModel, missedTokens, missCost: value?.missCost ?? null, sinceMs });
      }
    }
    seen += calls.length;
    after = calls.at(-1) ?? null;
  } while (after !== null && seen < most);
  return {
    readTokens: tokens.read,
    writeTokens: tokens.written,
    missedTokens: tokens.missed,
    ...money,
    unpricedCount,
    isWhole: after === null,
    misses,
  };
}

/**
 * A miss: tokens that a call wrote although the call before it (of the same agent, class and model)
 * had that many more in the cache, read or written, than this one read. The rows cannot tell an
 * expired cache from a changed prompt, so this is an upper bound of what was written twice.
 */
class HeldCaches {
  readonly #held = new Map<string, { readonly tokens: bigint; readonly at: number }>();

  missOf(call: CachedCall): Pick<CacheMiss, "missedTokens" | "sinceMs"> {
    const key = JSON.stringify([call.agentId, call.requestClass, call.servedModel]);
    const [read, written] = [BigInt(call.cacheReadInputTokens), BigInt(call.cacheCreationInputTokens)];
    const before = this.#held.get(key) ?? { tokens: 0n, at: call.createdAt };
    this.#held.set(key, { tokens: read + written, at: call.createdAt });
    const lost = before.tokens - read;
    const missedTokens = lost > written ? call.cacheCreationInputTokens : Math.max(Number(lost), 0);
    return { missedTokens, sinceMs: call.createdAt - before.at };
  }
}
