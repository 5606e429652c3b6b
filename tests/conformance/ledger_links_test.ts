/** Calls that overlap as they like, over restarts, are linked as `src/domain/retry.ts` says. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { Closing, OpenCall, Outcome, UsageRow } from "../../src/domain/usage.ts";
import { type Embedded, openEmbedded } from "../../src/stores/sqlite/embedded.ts";
import { usageRowOf } from "../../src/stores/usage_row.ts";
import { ALL, ALL_TRACES, callOf, closingOf, seededRandom, T0, traceOf } from "./samples.ts";

/** Each in a workspace of its own. */
const CASES = 100;
const RUNS = 3;
const CALLS_OF_RUN = 20;
/** How calls end that do not complete. */
const FAILURES: readonly Outcome[] = ["client_left", "upstream_error", "upstream_broke"];

type Random = () => number;

interface Case {
  readonly workspaceId: string;
  readonly random: Random;
  at: number;
}

interface UnderWay {
  readonly call: OpenCall;
  readonly closing: Closing;
}

Deno.test(`close() and sweep() link retries however the calls overlap, in ${CASES} seeded cases`, async () => {
  const dir = Deno.makeTempDirSync();
  const [lived, told] = [`${dir}/lived`, `${dir}/told`];
  const cases = Array.from({ length: CASES }, (_, n): Case => ({ workspaceId: `w-${n}`, random: seededRandom(n + 1), at: T0 }));
  for (let run = 1; run <= RUNS; run++) {
    await withDatabase(lived, `run-${run}`, async (embedded) => {
      await Promise.all(cases.map((some) => live(some, { embedded, isLast: run === RUNS })));
    });
  }
  const rows = rowsIn(lived);
  await withDatabase(told, "run-1", async ({ store }) => {
    await store.recordTraces(rows.map(({ call }) => traceOf(call)));
    await store.recordUsage(rows);
  });
  assert.equal(rows.length, CASES * RUNS * CALLS_OF_RUN);
  assert.deepEqual(linksIn(lived), linksIn(told));
  assert.deepEqual(await totalsIn(lived), await totalsIn(told));
  // Both were there: rows with links, and rows without.
  assert.ok(countIn(lived, "retry_of IS NOT NULL") > CASES * 5);
  assert.ok(countIn(lived, "retry_of IS NULL") > CASES * 20);
  Deno.removeSync(dir, { recursive: true });
});

/**
 * Calls that begin and end in any order, a few prompts in a few traces. Calls in flight at the end
 * are left to the next sweep.
 */
async function live(
  some: Case,
  { embedded: { ledger }, isLast }: { readonly embedded: Embedded; readonly isLast: boolean },
): Promise<void> {
  const upTo = (most: number) => Math.floor(some.random() * most);
  const underWay: UnderWay[] = [];
  const end = async ({ call, closing }: UnderWay) => await ledger.close(call, closing);
  for (let n = 0; n < CALLS_OF_RUN; n++) {
    some.at += upTo(3) * 100_000;
    const [traceId, messagesHash] = [`at-${some.workspaceId}-${upTo(3)}`, String(upTo(8)).repeat(64)];
    const outcome = upTo(4) === 0 ? FAILURES[upTo(3)]! : "completed";
    const call = callOf({ createdAt: some.at, workspaceId: some.workspaceId, traceId, messagesHash });
    await ledger.open(call, traceOf(call));
    underWay.push({ call, closing: closingOf({}, { outcome, duration: upTo(1_000_000), cost: 1 + upTo(9) }) });
    // Some end together, in one commit.
    await Promise.all(underWay.splice(upTo(underWay.length + 1), upTo(4)).map(end));
  }
  if (isLast) await Promise.all(underWay.map(end));
}

async function withDatabase(dir: string, instanceId: string, work: (embedded: Embedded) => Promise<void>): Promise<void> {
  const options = { dir, instanceId, synchronous: "normal", now: Date.now, onTrouble: () => {} } as const;
  const embedded = await openEmbedded(options);
  await work(embedded);
  await embedded.end();
}

function rowsIn(dir: string): readonly UsageRow[] {
  return read(dir, "SELECT * FROM usage ORDER BY created_at, rowid").map(usageRowOf);
}

function linksIn(dir: string): unknown {
  return read(dir, "SELECT id, retry_of, asked_again FROM usage ORDER BY id");
}

function countIn(dir: string, condition: string): number {
  return Number(read(dir, `SELECT count(*) AS count FROM usage WHERE ${condition}`)[0]?.count);
}

async function totalsIn(dir: string): Promise<unknown> {
  let totals: unknown;
  const calls = new Set(rowsIn(dir).map(({ call }) => `${call.traceId} ${call.createdAt}`));
  await withDatabase(dir, "reader", async ({ store }) => {
    const all = { limit: 1_000, groupBy: ["workspace", "sandbox", "hour"] } as const;
    const { traces, ...ofTraces } = await store.queryTraces({ ...ALL_TRACES, ...all });
    // The first call that arrives makes a trace. Of calls that end at once, it may be another one.
    const made = traces.map(({ createdAt, ...trace }) => ({ ...trace, isMadeByACall: calls.has(`${trace.id} ${createdAt}`) }));
    totals = [await store.queryUsage({ ...ALL, ...all }), ofTraces, made];
    assert.ok(made.every(({ isMadeByACall }) => isMadeByACall));
  });
  return totals;
}

function read(dir: string, sql: string) {
  const db = new DatabaseSync(`${dir}/llmproxy.db`, { readOnly: true });
  const statement = db.prepare(sql);
  statement.setReadBigInts(true);
  const rows = statement.all();
  db.close();
  return rows;
}
