import assert from "node:assert/strict";
import type { CachedCall, CacheValueOf } from "../domain/cache.ts";
import { type AdminUnderTest, openAdmin, usageRow } from "../../tests/admin_under_test.ts";
import { traceCacheJson } from "./trace_cache.ts";

/** $4 input, $5 writes of 5 minutes, $8 writes of an hour, $0.20 reads, a million tokens each. */
const MODEL = "claude-opus-5-5";
const AT = Date.UTC(2026, 0, 31, 11);

Deno.test("/internal/traces/:id says what the cache saved, what its writes cost, and what was written twice", async () => {
  await using admin = await openAdmin();
  const calls = [
    // Fills the cache.
    { written5m: 1_000, written1h: 500 },
    // Reads it, and adds to it.
    { read: 1_500, written5m: 200 },
    // Has lost all but 300 of the 1,700, and writes 1,400 of them again.
    { read: 300, written5m: 1_400 },
    // Reads less than there is, and writes little: no more than that is a miss.
    { read: 700, written5m: 100 },
    // Neither reads nor writes: of no interest.
    {},
  ];
  await record(admin, calls);
  const { cache } = (await admin.ask("/internal/traces/at-1")).json;
  // Reads: 2,500 x (4,000 - 200) nano-dollars. Writes: 2,700 x (5,000 - 4,000) + 500 x (8,000 -
  // 4,000). Misses: (1,400 + 100) x (5,000 - 200).
  assert.deepEqual(cache, {
    readTokens: 2_500,
    writeTokens: 3_200,
    savedUsd: "0.009500000",
    writePremiumUsd: "0.004700000",
    missedTokens: 1_500,
    missCostUsd: "0.007200000",
    unpricedCount: 0,
    isWhole: true,
  });
});

Deno.test("a call misses only what its own agent, class and model had in the cache", async () => {
  await using admin = await openAdmin();
  await record(admin, [
    { written5m: 1_000 },
    { written5m: 1_000, agentId: "a" },
    { written5m: 1_000, requestClass: "compaction" },
    { written5m: 1_000, model: "claude-haiku-4-5" },
  ]);
  assert.equal((await admin.ask("/internal/traces/at-1")).json.cache.missedTokens, 0);
});

Deno.test("a call without a price counts as unpriced, and its tokens count", async () => {
  await using admin = await openAdmin();
  await record(admin, [{ read: 7, written5m: 5, model: "claude-of-tomorrow" }]);
  const { cache } = (await admin.ask("/internal/traces/at-1")).json;
  assert.deepEqual([cache.readTokens, cache.writeTokens, cache.savedUsd, cache.unpricedCount], [7, 5, "0.000000000", 1]);
});

Deno.test("traceCacheJson() looks at a bounded number of calls, and tells if there were more", async () => {
  let asked = 0;
  const call = { id: "ar-1", createdAt: AT, cacheReadInputTokens: 1, cacheCreationInputTokens: 0 } as CachedCall;
  const store = {
    getCachedCalls: () => {
      asked++;
      return Promise.resolve(Array.from({ length: 1_000 }, () => call));
    },
  };
  const cacheValueOf: CacheValueOf = () => ({ saved: Number.MAX_SAFE_INTEGER, writePremium: 0, missCost: 0 });
  const trace = { id: "at-1", workspaceId: "w", sandboxId: "s", source: "auto", createdAt: AT, updatedAt: AT };
  const cache = await traceCacheJson(trace, { store, cacheValueOf });
  assert.deepEqual([asked, cache.readTokens, cache.isWhole], [100, 100_000, false]);
  // 100,000 x 9,007,199,254,740,991 nano-dollars: far beyond what a number holds.
  assert.equal(cache.savedUsd, "900719925474.099100000");
});

Deno.test("traceCacheJson() adds tokens up exactly, beyond what a number holds", async () => {
  const most = Number.MAX_SAFE_INTEGER;
  const call = { id: "ar-1", createdAt: AT, cacheReadInputTokens: most, cacheCreationInputTokens: most } as CachedCall;
  const calls = [call, { ...call, cacheReadInputTokens: most - 2 }, { ...call, cacheReadInputTokens: 0 }];
  const store = { getCachedCalls: ({ after }: { readonly after: unknown }) => Promise.resolve(after === null ? calls : []) };
  const trace = { id: "at-1", workspaceId: "w", sandboxId: "s", source: "auto", createdAt: AT, updatedAt: AT };
  const text = JSON.stringify(await traceCacheJson(trace, { store, cacheValueOf: () => null }));
  // Read: 2 x 9,007,199,254,740,991 - 2. Written, and missed by the last two: 3 x and 2 x as many.
  assert.match(text, /"readTokens":18014398509481980,"writeTokens":27021597764222973,.*"missedTokens":18014398509481982,/);
});

interface Cached {
  readonly read?: number;
  readonly written5m?: number;
  readonly written1h?: number;
  readonly agentId?: string;
  readonly requestClass?: string;
  readonly model?: string;
}

async function record(admin: AdminUnderTest, calls: readonly Cached[]): Promise<void> {
  await admin.embedded.store.recordUsage(calls.map((call, n) => {
    const { read = 0, written5m = 0, written1h = 0, agentId = null, requestClass = null, model = MODEL } = call;
    return usageRow({ id: `ar-${n}`, createdAt: AT + n, agentId, requestClass }, {
      servedModel: model,
      cacheReadInputTokens: read,
      cacheCreationInputTokens: written5m + written1h,
      cacheCreation5mTokens: written5m,
      cacheCreation1hTokens: written1h,
    });
  }));
}
