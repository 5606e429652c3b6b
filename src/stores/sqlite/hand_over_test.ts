import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { UsageRow } from "../../domain/usage.ts";
import { generatedRows } from "../../../tests/conformance/generated_rows.ts";
import { ALL, ALL_TRACES, rowOf, T0, traceOf } from "../../../tests/conformance/samples.ts";
import { shipmentsOf } from "../../../tests/shipments.ts";
import { countCopied } from "./backup.ts";
import { type Embedded, openEmbedded } from "./embedded.ts";
import { openHandOver } from "./hand_over.ts";
import { migrateSpool } from "./migrate.ts";
import { LEDGER_DEFAULTS, openLedger } from "./spool/ledger.ts";
import { openOutgoing } from "./spool/outgoing.ts";

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

Deno.test("an embedded database gets what its spool kept for a shared one, and then answers like one that always was", async () => {
  await using always = standUp();
  await always.embedded(async (embedded) => await record(embedded, ROWS));
  await using moved = standUp();
  await moved.embedded(async (embedded) => await record(embedded, FIRST));
  const { dir } = moved;
  await moved.shared(async (ledger) => await record({ ledger }, SECOND));
  // A part of it arrived in the shared database.
  const spool = openOutgoing(`${dir}/spool-0.db`, { synchronous: "normal", store: "shared" });
  assert.equal(shipmentsOf({ ...spool, unshipped: () => ({ ...spool.unshipped(100), isFull: false }) }, 100).length, 3);
  spool.close();
  await moved.embedded(async (embedded) => await record(embedded, THIRD));
  const [answers, expected] = [await moved.embedded(answersOf), await always.embedded(answersOf)];
  assert.deepEqual(answers, expected);
  assert.ok(answers.usage[0]!.totals.retryCount > 0);
});

Deno.test("a start counts and links the rows that an earlier version recorded for a shared database", async () => {
  await using always = standUp();
  await always.embedded(async (embedded) => await record(embedded, ROWS));
  await using upgraded = standUp();
  await upgraded.embedded(async (embedded) => await record(embedded, FIRST));
  await using other = standUp();
  await other.embedded(async (embedded) => await record(embedded, [...SECOND, ...THIRD]));
  const db = new DatabaseSync(`${upgraded.dir}/llmproxy.db`);
  db.prepare("ATTACH ? AS other").run(`${other.dir}/llmproxy.db`);
  db.exec(`
    UPDATE other.usage SET counted = 0, attempt = 0, retry_of = NULL, asked_again = 0;
    INSERT INTO usage SELECT * FROM other.usage;
    INSERT OR IGNORE INTO traces (workspace_id, id, sandbox_id, source, created_at, updated_at)
    SELECT workspace_id, id, sandbox_id, source, created_at, updated_at FROM other.traces`);
  db.close();
  await upgraded.embedded((embedded) => Promise.resolve(assert.equal(embedded.upgraded?.counted, SECOND.length + THIRD.length)));
  await upgraded.embedded((embedded) => Promise.resolve(assert.equal(embedded.upgraded?.counted, 0)));
  assert.deepEqual(await upgraded.embedded(answersOf), await always.embedded(answersOf));
});

Deno.test("a copy of the database has the calls that were open, and the next start closes them as unknown", async () => {
  await using stand = standUp();
  await using copied = standUp();
  const [ended, open] = [rowOf({ traceId: "at-copied" }), rowOf({ traceId: "at-copied" })];
  await stand.embedded(async (embedded) => {
    await record(embedded, [ended]);
    await embedded.ledger.open(open.call, traceOf(open.call));
    const openCalls = await embedded.shipping.openCalls();
    assert.deepEqual(openCalls, [open.call]);
    assert.equal(await embedded.shipping.caughtUp(10_000), true);
    const path = `${copied.dir}/llmproxy.db`;
    assert.equal(countCopied(path, await embedded.shipping.copyInto(path, [...openCalls, ended.call])), 2);
  });
  await copied.embedded(async ({ store, upgraded }) => {
    assert.equal(upgraded?.swept, 1);
    const [detail] = await store.getTraceDetail("at-copied", null);
    assert.deepEqual(detail!.requests.map(({ id, outcome }) => [id, outcome]), [
      [ended.call.id, "completed"],
      [open.call.id, "unknown"],
    ]);
    const { totals } = await store.queryUsage(ALL);
    assert.deepEqual([totals.requestCount, totals.unknownCount], [2, 1]);
  });
});

Deno.test("openHandOver() ships all that an embedded database holds, once, and again only if it is asked", async () => {
  await using stand = standUp();
  await stand.embedded(async (embedded) => {
    await record(embedded, FIRST);
    await embedded.ledger.claim([{ ...OWNED, id: "file_1" }]);
    await embedded.ledger.countRefusals([REFUSALS]);
  });
  const path = `${stand.dir}/llmproxy.db`;
  const options = { synchronous: "normal", onRefused: () => {} } as const;
  const handOver = openHandOver(path, options);
  assert.deepEqual([handOver.backlog().rows, handOver.backlog().oldestCreatedAt], [FIRST.length, T0]);
  const first = shipmentsOf(handOver, 70);
  assert.deepEqual(idsOf(first.flatMap(({ rows }) => rows)), idsOf(FIRST));
  assert.equal(first.flatMap(({ traces }) => traces).length, 5);
  assert.deepEqual(first.flatMap(({ owned }) => owned), [{ ...OWNED, id: "file_1" }]);
  assert.deepEqual(first.flatMap(({ refusals }) => refusals), [REFUSALS]);
  assert.deepEqual(handOver.backlog(), { rows: 0, oldestCreatedAt: null, quarantined: 0 });
  handOver.close();

  const again = openHandOver(path, options);
  assert.deepEqual(shipmentsOf(again, 70), []);
  assert.equal(again.reship(T0 + 150 * 20_000), 150);
  assert.deepEqual(idsOf(shipmentsOf(again, 70).flatMap(({ rows }) => rows)), idsOf(FIRST.slice(150)));
  again.close();
  // What the database gets as the only one again is handed over again.
  await stand.embedded((embedded) => record(embedded, SECOND));
  const last = openHandOver(path, options);
  assert.deepEqual(idsOf(shipmentsOf(last, 70).flatMap(({ rows }) => rows)), idsOf([...FIRST, ...SECOND]));
  last.close();
});

Deno.test("openHandOver() that was broken off begins again, and what the shared database refuses is kept", async () => {
  await using stand = standUp();
  await stand.embedded(async (embedded) => await record(embedded, FIRST));
  const path = `${stand.dir}/llmproxy.db`;
  const spool = openOutgoing(`${stand.dir}/spool-0.db`, { synchronous: "normal", store: "shared" });
  const options = { synchronous: "normal", onRefused: spool.keepRefused } as const;
  const brokenOff = openHandOver(path, options);
  for (let n = 0; n < 3; n++) brokenOff.shipped(brokenOff.unshipped(50), { rows: [], traces: [], refusals: [], owned: [] });
  brokenOff.close();

  const again = openHandOver(path, options);
  assert.equal(again.backlog().rows, FIRST.length);
  for (let next = again.unshipped(1_000); next.isFull; next = again.unshipped(1_000)) {
    const [bad, ...good] = next.rows;
    again.shipped(next, { rows: bad === undefined ? [] : [{ row: bad, reason: "no" }], traces: [], refusals: [], owned: [] });
    if (bad !== undefined) assert.equal(good.length, FIRST.length - 1);
  }
  again.close();
  assert.equal(spool.backlog().quarantined, 1);
  spool.close();
});

Deno.test("a quarantined row that retention drops is no longer quarantined", async () => {
  await using stand = standUp();
  await stand.shared(async (ledger) => await record({ ledger }, [rowOf({ createdAt: T0 })]));
  const spool = openOutgoing(`${stand.dir}/spool-0.db`, { synchronous: "normal", store: "shared" });
  const shipment = spool.unshipped(10);
  spool.shipped(shipment, { rows: shipment.rows.map((row) => ({ row, reason: "no" })), traces: [], refusals: [], owned: [] });
  assert.equal(spool.backlog().quarantined, 1);
  spool.retryQuarantined();
  spool.close();
  await stand.embedded(async ({ store, shipping }) => {
    while (await store.dropMonths(T0 + 90 * 86_400_000)) continue;
    assert.equal(await shipping.caughtUp(10_000), true);
    assert.equal(shipping.state().quarantined, 0);
  });
});

const OWNED = { kind: "file", workspaceId: "w-1", sandboxId: "sb-1", createdAt: T0, call: null, dueAt: null } as const;
const REFUSALS = {
  workspaceId: "w-1",
  sandboxId: "sb-1",
  fault: "overloaded",
  minute: T0,
  instanceId: "run-1",
  count: 3,
} as const;

function standUp() {
  const dir = Deno.makeTempDirSync();
  const options = { instanceId: "run-1", synchronous: "normal", now: Date.now, onTrouble: () => {} } as const;
  return {
    dir,
    async embedded<T>(work: (embedded: Embedded) => Promise<T>): Promise<T> {
      const embedded = await openEmbedded({ ...options, dir });
      try {
        return await work(embedded);
      } finally {
        await embedded.end();
      }
    },
    /** As with a shared database that is away. */
    async shared(work: (ledger: Embedded["ledger"]) => Promise<void>): Promise<void> {
      const path = `${dir}/spool-0.db`;
      migrateSpool(path);
      openOutgoing(path, { synchronous: "normal", store: "shared" }).close();
      const ledger = openLedger({ ...LEDGER_DEFAULTS, ...options, path });
      await work(ledger);
      await ledger.end();
    },
    [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
  };
}

async function record({ ledger }: Pick<Embedded, "ledger">, rows: readonly UsageRow[]): Promise<void> {
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

function idsOf(rows: readonly UsageRow[]): readonly string[] {
  return rows.map(({ call }) => call.id).sort();
}
