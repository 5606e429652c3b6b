import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { NOTHING_REFUSED } from "../../domain/spool.ts";
import type { UsageRow } from "../../domain/usage.ts";
import { generatedRows } from "../../../tests/conformance/generated_rows.ts";
import { ALL, ALL_TRACES, rowOf, T0, traceOf } from "../../../tests/conformance/samples.ts";
import { type Embedded, openEmbedded } from "./embedded.ts";
import { openSpool } from "./spool.ts";
import type { Role } from "./role.ts";

/** Each call once, because the ledger opens none twice; a few prompts repeat in a few sessions. */
const ROWS = [...new Map([...generatedRows(900, 7)].map((row) => [row.call.id, row])).values()].map((row, n): UsageRow => ({
  ...row,
  call: {
    ...row.call,
    workspaceId: "w-1",
    traceId: `at-${n % 5}`,
    messagesHash: String(n % 3).repeat(64),
    createdAt: T0 + n * 20_000,
  },
}));
const [FIRST, SECOND, THIRD] = [ROWS.slice(0, 300), ROWS.slice(300, 600), ROWS.slice(600)];

Deno.test("takeRole() counts what a spool had not counted when it becomes the only database, which then answers like one that always was", async () => {
  await using always = standUp();
  await always.as("database", async (embedded) => await record(embedded, ROWS));
  await using moved = standUp();
  await moved.as("database", async (embedded) => await record(embedded, FIRST));
  await moved.as("spool", async (embedded) => {
    const before = await answersOf(embedded);
    await record(embedded, SECOND);
    assert.deepEqual((await embedded.store.queryUsage(ALL)).totals, before.usage[0]!.totals);
  });
  // Another start as a spool changes nothing.
  await moved.as("spool", () => Promise.resolve());
  await moved.as("database", async (embedded) => await record(embedded, THIRD));
  const [answers, expected] = [await moved.as("database", answersOf), await always.as("database", answersOf)];
  assert.deepEqual(answers, expected);
  assert.ok(answers.usage[0]!.totals.retryCount > 0);
  assert.deepEqual(schemaIn(moved.dir), schemaIn(always.dir));
});

Deno.test("handOver() queues what the only database held, which is then pruned only when it has been shipped", async () => {
  await using stand = standUp();
  await stand.as("database", async (embedded) => await record(embedded, FIRST));
  await stand.as("spool", async ({ store, databasePath }) => {
    while (await store.handOver()) continue;
    const spool = openSpool(databasePath, { synchronous: "normal" });
    assert.equal(spool.backlog().rows, FIRST.length);
    while (await store.prune(Number.MAX_SAFE_INTEGER, T0)) continue;
    const shipment = spool.unshipped(1_000);
    assert.deepEqual(idsOf(shipment.rows), idsOf(FIRST));
    spool.shipped(shipment, NOTHING_REFUSED);
    while (await store.prune(Number.MAX_SAFE_INTEGER, T0)) continue;
    spool.close();
    assert.equal(countIn(databasePath, "usage"), 0);
    assert.ok(countIn(databasePath, "usage_hours") > 0);
  });
  await stand.as("spool", async ({ store }) => assert.equal(await store.handOver(), false));
});

Deno.test("handOver() that failed midway starts again, and nothing counts as handed over before", async () => {
  await using stand = standUp();
  await stand.as("database", async (embedded) => await record(embedded, FIRST));
  await stand.as("spool", async ({ store, databasePath }) => {
    assert.equal(await store.handOver(), true);
    const other = new DatabaseSync(databasePath);
    other.exec("CREATE TRIGGER full BEFORE INSERT ON unshipped_usage BEGIN SELECT RAISE(ABORT, 'no room'); END");
    await assert.rejects(store.handOver(), /no room/);
    other.exec("DROP TRIGGER full");
    other.close();
    while (await store.handOver()) continue;
    assert.equal(countIn(databasePath, "unshipped_usage"), FIRST.length);
  });
});

Deno.test("pruneTokens() alone deletes copies of tokens: they outlive what is shipped, however full the spool is", async () => {
  await using stand = standUp();
  await stand.as("spool", async ({ store, tokens, databasePath }) => {
    const token = { workspaceId: "w-1", sandboxId: "sb-1", createdAt: T0, expiresAt: null, revokedAt: null };
    for (const n of [1, 2]) await tokens.keepTokenCopy({ ...token, id: `lt-${n}` }, `hash-${n}`, { seenAt: T0 + n });
    while (await store.prune(Number.MAX_SAFE_INTEGER, T0 + 3_600_000)) continue;
    assert.deepEqual(idsIn(databasePath, "token_copies"), ["lt-1", "lt-2"]);
    assert.equal(await store.pruneTokens(T0 + 2), false);
    assert.deepEqual(idsIn(databasePath, "token_copies"), ["lt-2"]);
  });
});

Deno.test("prune() leaves the sessions of rows that stay, and is quick even if much waits", async () => {
  await using stand = standUp();
  await stand.as("spool", async (embedded) => {
    const { store, databasePath } = embedded;
    const calls = [0, 30_000].map((after) => rowOf({ createdAt: T0 + after, traceId: "at-kept" }));
    await record(embedded, [...calls, rowOf({ createdAt: T0 - 3_600_000, traceId: "at-old" })]);
    const spool = openSpool(databasePath, { synchronous: "normal" });
    const ship = () => spool.shipped(spool.unshipped(1_000), NOTHING_REFUSED);
    ship();
    while (await store.prune(T0 + 10_000, T0 + 40_000)) continue;
    assert.deepEqual(idsIn(databasePath, "traces"), ["at-kept"]);
    assert.deepEqual(idsIn(databasePath, "usage"), [calls[1]!.call.id]);
    while (await store.prune(Number.MAX_SAFE_INTEGER, T0 + 40_000)) continue;
    assert.deepEqual(idsIn(databasePath, "traces"), ["at-kept"]);
    // Sessions that are still to be shipped, more than are looked past.
    for (let n = 0; n < 300; n++) await embedded.ledger.join({ ...traceOf(calls[0]!.call), id: `at-waits-${n}` });
    while (await store.prune(T0 + 3_600_000, T0 + 7_200_000)) continue;
    assert.equal(countIn(databasePath, "traces"), 301);
    ship();
    while (await store.prune(T0 + 3_600_000, T0 + 7_200_000)) continue;
    assert.equal(countIn(databasePath, "traces"), 0);
    spool.close();
  });
});

Deno.test("a quarantined row that retention drops is no longer quarantined", async () => {
  await using stand = standUp();
  await stand.as("spool", async (embedded) => {
    await record(embedded, [rowOf({ createdAt: T0 })]);
    const spool = openSpool(embedded.databasePath, { synchronous: "normal" });
    const shipment = spool.unshipped(10);
    spool.shipped(shipment, { ...NOTHING_REFUSED, rows: shipment.rows.map((row) => ({ row, reason: "no" })) });
    assert.equal(spool.backlog().quarantined, 1);
    spool.close();
  });
  await stand.as("database", async ({ store }) => {
    while (await store.dropMonths(T0 + 90 * 86_400_000)) continue;
  });
  await stand.as("spool", ({ databasePath }) => Promise.resolve(assert.equal(countIn(databasePath, "quarantined"), 0)));
});

function standUp() {
  const dir = Deno.makeTempDirSync();
  return {
    dir,
    as: async <T>(role: Role, work: (embedded: Embedded) => Promise<T>): Promise<T> => {
      const options = { dir, instanceId: "run-1", synchronous: "normal", now: Date.now, onTrouble: () => {} } as const;
      const embedded = await openEmbedded({
        ...options,
        spool: role === "spool" ? { maxBytes: 1e9, onFull: "refuse" } : null,
      });
      try {
        return await work(embedded);
      } finally {
        await embedded.end();
      }
    },
    [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
  };
}

async function record({ ledger }: Embedded, rows: readonly UsageRow[]): Promise<void> {
  await Promise.all(rows.map(async ({ call, closing }) => {
    await ledger.open(call, traceOf(call));
    await ledger.close(call, closing);
  }));
}

async function answersOf({ store }: Embedded) {
  const query = { ...ALL, limit: 1_000 };
  const traces = await store.queryTraces({ ...ALL_TRACES, limit: 1_000 });
  return {
    usage: [
      await store.queryUsage(query),
      await store.queryUsage({ ...query, groupBy: ["workspace", "sandbox", "hour"] }),
      await store.queryUsage({ ...query, groupBy: ["trace", "agent"] }),
    ],
    traces,
    details: await Promise.all(traces.traces.map(({ id, workspaceId }) => store.getTraceDetail(id, workspaceId))),
  };
}

function schemaIn(dir: string): unknown {
  return using(`${dir}/llmproxy.db`, (db) => db.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").all());
}

function countIn(path: string, table: string): number {
  return using(path, (db) => Number(db.prepare(`SELECT count(*) AS count FROM ${table}`).get()?.count));
}

function idsIn(path: string, table: string): unknown {
  return using(path, (db) => db.prepare(`SELECT id FROM ${table} ORDER BY id`).all().map(({ id }) => id));
}

function using<T>(path: string, read: (db: DatabaseSync) => T): T {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    return read(db);
  } finally {
    db.close();
  }
}

function idsOf(rows: readonly UsageRow[]): readonly string[] {
  return rows.map(({ call }) => call.id).sort();
}
