import assert from "node:assert/strict";
import type { Store } from "../../src/domain/store.ts";
import type { UsageFilter, UsageReader, UsageRecord } from "../../src/domain/usage_record.ts";
import { MIGRATE_DEFAULTS, migratePostgres } from "../../src/stores/postgres/migrate.ts";
import { openPostgresStore, POSTGRES_DEFAULTS } from "../../src/stores/postgres/store.ts";
import { openUsageReader as openPostgresReader } from "../../src/stores/postgres/usage_reader.ts";
import { openEmbedded } from "../../src/stores/sqlite/embedded.ts";
import { migrateSqlite } from "../../src/stores/sqlite/migrate.ts";
import { openSqliteStore } from "../../src/stores/sqlite/store.ts";
import { openUsageReader as openSqliteReader } from "../../src/stores/sqlite/usage_reader.ts";
import { startPostgres } from "../postgres_server.ts";
import { callOf, closingOf, rowOf, seededRandom, T0, traceOf } from "./samples.ts";

interface Scene {
  readonly store: Store;
  readonly reader: UsageReader;
  readonly end: () => Promise<void>;
}

const ALL: UsageFilter = { since: null, until: null, workspaceId: null, sandboxId: null };
const DAY_MS = 86_400_000;

const server = await startPostgres();
Deno.test.afterAll(async () => await server[Symbol.asyncDispose]());

const SCENES: Readonly<Record<string, () => Promise<Scene>>> = {
  async SQLite() {
    const dir = Deno.makeTempDirSync();
    const path = `${dir}/llmproxy.db`;
    migrateSqlite(path);
    const store = await openSqliteStore({ path, synchronous: "normal" });
    const reader = openSqliteReader(path);
    return { store, reader, end: () => Deno.remove(dir, { recursive: true }) };
  },
  async PostgreSQL() {
    const url = await server.newDatabase();
    await migratePostgres({ ...MIGRATE_DEFAULTS, url });
    return {
      store: openPostgresStore({ ...POSTGRES_DEFAULTS, url }),
      reader: openPostgresReader(url),
      end: () => Promise.resolve(),
    };
  },
};

const LAWS: Readonly<Record<string, (scene: Scene) => Promise<void>>> = {
  "read() goes through all rows once and in order, for every size of a page": async ({ store, reader }) => {
    const random = seededRandom(20_261_124);
    // Few times, over two months, and ids out of order: keys that are equal except in one part.
    const rows = Array.from({ length: 60 }, (_, n) =>
      rowOf({
        id: `ar-${Math.floor(random() * 1e9)}`,
        workspaceId: `w-${n % 3}`,
        createdAt: T0 + Math.floor(random() * 5) * 10 * DAY_MS,
      }));
    const twin = { ...rows[0]!, call: { ...rows[0]!.call, workspaceId: "w-9" } };
    await store.recordUsage([...rows, twin]);
    const expected = [...rows, twin].map(({ call }) => [call.createdAt, call.id, call.workspaceId] as const)
      .sort(([at, id, workspace], [otherAt, otherId, otherWorkspace]) =>
        at - otherAt || (id < otherId ? -1 : id > otherId ? 1 : workspace < otherWorkspace ? -1 : 1)
      );
    for (const limit of [1, 7, 1_000]) {
      const read = await readAll(reader, ALL, { limit });
      assert.deepEqual(read.map(({ createdAt, id, workspaceId }) => [createdAt, id, workspaceId]), expected);
    }
    assert.equal(await reader.count(ALL), 61);
  },

  "read() and count() narrow by time, workspace and sandbox, from since on and before until": async ({ store, reader }) => {
    await store.recordUsage(
      [0, 1, 2, 3].flatMap((n) =>
        ["w-1", "w-2"].map((workspaceId) => rowOf({ workspaceId, sandboxId: `sb-${n % 2}`, createdAt: T0 + n }))
      ),
    );
    const cases: readonly (readonly [Partial<UsageFilter>, number])[] = [
      [{ since: T0 + 1 }, 6],
      [{ until: T0 + 1 }, 2],
      [{ since: T0 + 1, until: T0 + 3 }, 4],
      [{ workspaceId: "w-2" }, 4],
      [{ sandboxId: "sb-1" }, 4],
      [{ since: T0 + 1, until: T0 + 3, workspaceId: "w-1", sandboxId: "sb-1" }, 1],
      [{ workspaceId: "w-3" }, 0],
    ];
    for (const [filter, count] of cases) {
      assert.equal((await readAll(reader, { ...ALL, ...filter }, { limit: 3 })).length, count, JSON.stringify(filter));
      assert.equal(await reader.count({ ...ALL, ...filter }), count, JSON.stringify(filter));
    }
  },

  "read() returns the fields that a row has, and leaves out the others": async ({ store, reader }) => {
    const call = callOf({ maxTokens: null, tokenId: "lt-1", credentialId: "api-key-1", client: "claude-cli/1" });
    const closing = closingOf({ inputTokens: 1, serverToolUse: { web_search_requests: 2 }, iterations: [{ type: "message" }] }, {
      cost: 9_007_199_254_740_991,
    });
    await store.recordUsage([{ call, closing, revision: 2 }]);
    const [record] = await readAll(reader, ALL, { limit: 10 });
    assert.deepEqual(record, {
      id: call.id,
      traceId: "at-1",
      sandboxId: "sb-1",
      workspaceId: "w-1",
      provider: "anthropic",
      model: "claude-served",
      inputTokens: 1,
      outputTokens: 0,
      cacheCreationInputTokens: 0,
      cacheReadInputTokens: 0,
      streaming: true,
      duration: 1_000,
      ttft: 100,
      createdAt: T0,
      outcome: "completed",
      accuracy: "exact",
      status: 200,
      requestedModel: "claude-asked",
      upstreamRequestId: "req_1",
      cacheCreation5mInputTokens: 0,
      cacheCreation1hInputTokens: 0,
      thinkingTokens: 0,
      serverToolUse: { web_search_requests: 2 },
      iterations: [{ type: "message" }],
      client: "claude-cli/1",
      cost: 9_007_199_254_740_991,
      priceVersion: "2026-11-24",
      kind: "message",
      requestBytes: 2_000,
      tokenId: "lt-1",
      credentialId: "api-key-1",
    });
  },
};

for (const [name, open] of Object.entries(SCENES)) {
  for (const [law, holds] of Object.entries(LAWS)) {
    Deno.test(`${name} usage reader: ${law}`, async () => {
      const scene = await open();
      await holds(scene).finally(async () => {
        await scene.reader.close();
        await scene.store.close();
        await scene.end();
      });
    });
  }
}

Deno.test("SQLite usage reader: read() and count() leave out calls in flight", async () => {
  const dir = await Deno.makeTempDir();
  const embedded = await openEmbedded({ dir, instanceId: "run-1", synchronous: "normal", now: () => T0, onTrouble: () => {} });
  const { ledger, shipping, databasePath } = embedded;
  const [open, closed] = [callOf(), callOf()];
  for (const call of [open, closed]) await ledger.open(call, traceOf(call));
  await ledger.close(closed, closingOf());
  assert.equal(await shipping.caughtUp(10_000), true);
  const reader = openSqliteReader(databasePath);
  assert.deepEqual((await readAll(reader, ALL, { limit: 10 })).map(({ id }) => id), [closed.id]);
  assert.equal(await reader.count(ALL), 1);
  await reader.close();
  await embedded.end();
  await Deno.remove(dir, { recursive: true });
});

async function readAll(
  reader: UsageReader,
  filter: UsageFilter,
  { limit }: { readonly limit: number },
): Promise<readonly UsageRecord[]> {
  const all: UsageRecord[] = [];
  for (;;) {
    const page = await reader.read({ ...filter, after: all.at(-1) ?? null, limit });
    all.push(...page);
    if (page.length < limit) return all;
  }
}
