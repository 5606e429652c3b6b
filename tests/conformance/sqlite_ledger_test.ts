import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Fault } from "../../src/domain/fault.ts";
import type { Ledger } from "../../src/domain/ledger.ts";
import type { OpenCall } from "../../src/domain/usage.ts";
import { openConnection } from "../../src/stores/sqlite/connection.ts";
import { PACE, Shipper } from "../../src/stores/shipping/shipper.ts";
import { migrateSpool, migrateSqlite } from "../../src/stores/sqlite/migrate.ts";
import { openSink } from "../../src/stores/sqlite/sink.ts";
import { LEDGER_DEFAULTS, ledgerOn, type LedgerOptions, openLedger } from "../../src/stores/sqlite/spool/ledger.ts";
import { openOutgoing } from "../../src/stores/sqlite/spool/outgoing.ts";
import { openSqliteStore } from "../../src/stores/sqlite/store.ts";
import { callOf, closingOf, seededRandom, T0, traceOf, until } from "./samples.ts";

interface Place {
  readonly path: string;
  readonly ledger: Ledger;
  /** Another connection, as another process would have. */
  readonly other: DatabaseSync;
  /** What `onTrouble` was told. */
  readonly troubles: (string | null)[];
}

function law(name: string, holds: (place: Place) => Promise<void>, given: Partial<LedgerOptions> = {}): void {
  Deno.test(`SQLite ledger: ${name}`, async () => {
    const dir = Deno.makeTempDirSync();
    const path = `${dir}/spool-0.db`;
    migrateSpool(path);
    const troubles: (string | null)[] = [];
    const onTrouble = (trouble: string | null) => void troubles.push(trouble);
    const ledger = openLedger({ path, synchronous: "normal", now: Date.now, onTrouble, ...LEDGER_DEFAULTS, ...given });
    const other = new DatabaseSync(path);
    try {
      await holds({ path, ledger, other, troubles });
    } finally {
      await ledger.end().catch(() => {});
      if (other.isOpen) other.close();
      Deno.removeSync(dir, { recursive: true });
    }
  });
}

const QUICK = { limits: { ...LEDGER_DEFAULTS.limits, patienceMs: 30 }, probeMs: 5 };

law("open() commits the row and its trace before it resolves", async ({ path, ledger }) => {
  const call = callOf();
  await ledger.open(call, traceOf(call));
  assert.deepEqual(await rowsOf(path), [[call.id, 0, null, 0, 0]]);
  assert.deepEqual(await totalsOf(path), [["at-1", 0, 0, 0]]);
  assert.equal(ledger.openCount(), 1);
});

law("open(), close() and join() move a trace's activity forward, and none moves it back", async ({ path, ledger }) => {
  const activity = async () => (await stored(path, "SELECT updated_at FROM traces")).flat().map((at) => Number(at) - T0);
  const [first, soon, later, earlier] = [0, 59_000, 60_000, 7_000].map((after) => callOf({ createdAt: T0 + after }));
  await ledger.open(first!, traceOf(first!));
  assert.deepEqual(await activity(), [0]);
  await ledger.open(soon!, traceOf(soon!));
  assert.deepEqual(await activity(), [59_000]);
  await ledger.close(soon!, closingOf());
  assert.deepEqual(await activity(), [59_000]);
  await ledger.open(later!, traceOf(later!));
  assert.deepEqual(await activity(), [60_000]);
  await ledger.open(earlier!, traceOf(earlier!));
  for (const call of [first!, earlier!]) await ledger.close(call, closingOf());
  assert.deepEqual(await activity(), [60_000]);
  await ledger.join({ ...traceOf(callOf()), source: "auto", updatedAt: T0 + 60_001 });
  assert.deepEqual(await stored(path, "SELECT source, created_at, updated_at FROM traces"), [["header", T0, T0 + 60_001]]);
});

law("open() stores every column that is known at admission", async ({ path, ledger }) => {
  const call: OpenCall = callOf({
    kind: "batch_line",
    maxTokens: 7,
    messagesHash: "hash",
    agentId: "agent",
    parentAgentId: "parent",
    agentType: "type",
    requestClass: "class",
    promptId: "prompt",
    client: "client",
    tokenId: "token",
    credentialId: "credential",
  });
  await ledger.open(call, traceOf(call));
  assert.deepEqual(openCallsIn(path), [call]);
  await ledger.sweep("run-2");
  const columns = "instance_id, workspace_id, sandbox_id, trace_id, kind, provider, requested_model, streaming, created_at, " +
    "max_tokens, request_bytes, messages_hash, agent_id, parent_agent_id, agent_type, request_class, prompt_id, client, " +
    "token_id, credential_id, accuracy, outcome, cost";
  assert.deepEqual(await stored(path, `SELECT ${columns} FROM usage`), [[
    ...["run-1", "w-1", "sb-1", "at-1", "batch_line", "anthropic", "claude-asked", 1, T0, 7, 2_000, "hash", "agent", "parent"],
    ...["type", "class", "prompt", "client", "token", "credential", "unknown", "unknown", null],
  ]]);
});

law("close() writes the end and moves the trace's totals with it", async ({ path, ledger }) => {
  const call = callOf();
  await ledger.open(call, traceOf(call));
  await ledger.close(call, closingOf({ inputTokens: 3, outputTokens: 4 }));
  assert.deepEqual(await rowsOf(path), [[call.id, 2, "completed", 3, 4]]);
  assert.deepEqual(await totalsOf(path), [["at-1", 1, 3, 4]]);
  assert.equal(ledger.openCount(), 0);
});

law("close() twice counts once, and the first one stands", async ({ path, ledger }) => {
  const call = callOf();
  await ledger.open(call, traceOf(call));
  await Promise.all([ledger.close(call, closingOf({ inputTokens: 3 })), ledger.close(call, closingOf({ inputTokens: 9 }))]);
  await ledger.close(call, closingOf({ inputTokens: 27 }));
  assert.deepEqual(await totalsOf(path), [["at-1", 1, 3, 0]]);
  assert.equal(ledger.openCount(), 0);
});

law("close() of a call that was never opened records the whole row", async ({ path, ledger }) => {
  const call = callOf();
  await ledger.close(call, closingOf({ inputTokens: 3 }));
  assert.deepEqual(await rowsOf(path), [[call.id, 2, "completed", 3, 0]]);
  assert.deepEqual(await totalsOf(path), [["at-1", 1, 3, 0]]);
  assert.equal(ledger.openCount(), 0);
});

law("sweep() closes rows of other runs as unknown, and leaves those of this run", async ({ path, ledger }) => {
  const left = Array.from({ length: 250 }, () => callOf({ instanceId: "run-0" }));
  const own = callOf({ instanceId: "run-1" });
  const ended = callOf({ instanceId: "run-0", traceId: "at-2" });
  for (const call of [...left, own, ended]) await ledger.open(call, traceOf(call));
  await ledger.close(ended, closingOf({ inputTokens: 5 }));
  assert.equal(await ledger.sweep("run-1"), 250);
  assert.equal(await ledger.sweep("run-1"), 0);
  assert.equal(ledger.openCount(), 1);
  assert.deepEqual(await stored(path, "SELECT DISTINCT revision, outcome, accuracy, status FROM usage WHERE revision = 1"), [
    [1, "unknown", "unknown", null],
  ]);
  assert.deepEqual(await totalsOf(path), [["at-1", 250, 0, 0], ["at-2", 1, 5, 0]]);
});

law("close() after a sweep wins", async ({ path, ledger }) => {
  const call = callOf({ instanceId: "run-0" });
  await ledger.open(call, traceOf(call));
  await ledger.sweep("run-1");
  await ledger.close(call, closingOf({ inputTokens: 3, outputTokens: 4 }));
  assert.deepEqual(await rowsOf(path), [[call.id, 2, "completed", 3, 4]]);
  assert.deepEqual(await totalsOf(path), [["at-1", 1, 3, 4]]);
  assert.equal(ledger.openCount(), 0);
});

law("countRefusals() adds to the counter of a sandbox, fault and minute", async ({ ledger, path }) => {
  const count = { workspaceId: "w-1", sandboxId: "sb-1", fault: "overloaded", minute: T0, count: 2 } as const;
  const own = { ...count, instanceId: "run-1" };
  await ledger.countRefusals([own, { ...own, minute: T0 + 60_000 }, { ...own, fault: "draining" }]);
  await ledger.countRefusals([{ ...own, count: 4 }, { ...own, workspaceId: "", sandboxId: "", fault: "unauthenticated" }]);
  await ledger.countRefusals([{ ...own, instanceId: "run-2", count: 1 }]);
  await ship(path);
  const store = await openSqliteStore({ path: `${path}.store`, synchronous: "normal" });
  const opts = { workspaceId: null, sandboxId: null, since: null, until: null, limit: 100, offset: 0 };
  assert.deepEqual(await store.queryRefusals(opts), [
    { ...count, minute: T0 + 60_000 },
    { ...count, workspaceId: "", sandboxId: "", fault: "unauthenticated" },
    { ...count, fault: "draining" },
    { ...count, count: 7 },
  ]);
  assert.equal((await store.queryRefusals({ ...opts, workspaceId: "w-1", since: T0 + 1 })).length, 1);
  await store.close();
});

law("a write that is refused does not fail those that are committed with it", async ({ path, ledger, other, troubles }) => {
  const good = Array.from({ length: 5 }, () => callOf());
  const twice = good[2]!;
  const bad = callOf({ createdAt: T0 + 0.5 });
  const outcomes = await Promise.allSettled(
    [...good.slice(0, 3), bad, twice, ...good.slice(3)].map((call) => ledger.open(call, traceOf(call))),
  );
  assert.deepEqual(outcomes.map((outcome) => outcome.status), [
    ...["fulfilled", "fulfilled", "fulfilled", "rejected", "rejected", "fulfilled", "fulfilled"],
  ]);
  assert.equal((await rowsOf(path)).length, 5);
  assert.equal(ledger.openCount(), 5);
  assert.equal(ledger.trouble(), null);
  assert.deepEqual(troubles, []);
  // What only the store refuses does not keep the others from it.
  await ledger.close(good[0]!, closingOf({ inputTokens: 1.5 }));
  await ledger.close(good[1]!, closingOf());
  assert.deepEqual(await stored(path, "SELECT id FROM usage"), [[good[1]!.id]]);
  assert.deepEqual(all(other, "SELECT revision, json_extract(opened, '$.call.id') FROM quarantined"), [[2, good[0]!.id]]);
});

law("a group leaves no trace behind of a write that was refused halfway", async ({ path, ledger }) => {
  const call = callOf({ traceId: "at-other", createdAt: T0 + 0.5 });
  await assert.rejects(ledger.open(call, { ...traceOf(call), createdAt: T0, updatedAt: T0 }), isUnavailable);
  assert.deepEqual(await totalsOf(path), []);
});

law("a lock held by another connection delays the commit, but stalls and fails nothing", async ({ path, ledger, other }) => {
  const call = callOf();
  await ledger.open(call, traceOf(call));
  other.exec("BEGIN IMMEDIATE");
  let isClosed = false;
  const closing = ledger.close(call, closingOf()).then(() => isClosed = true);
  const turns = await turnsWhile(300);
  assert.equal(isClosed, false);
  assert.ok(turns.longestMs < 150, `the event loop stood still for ${turns.longestMs} ms`);
  other.exec("COMMIT");
  await closing;
  assert.equal(ledger.trouble(), null);
  assert.equal((await rowsOf(path))[0]?.[1], 2);
});

law(
  "a lock held beyond all patience fails open(), keeps closings, and is over when a probe succeeds",
  async ({ path, ledger, other, troubles }) => {
    const calls = [callOf(), callOf()];
    for (const call of calls) await ledger.open(call, traceOf(call));
    other.exec("BEGIN IMMEDIATE");
    await assert.rejects(ledger.close(calls[0]!, closingOf({ inputTokens: 3 })), isUnavailable);
    assert.match(ledger.trouble() ?? "", /locked/);
    await assert.rejects(ledger.open(callOf(), traceOf(callOf())), isUnavailable);
    await assert.rejects(ledger.join(traceOf(callOf())), isUnavailable);
    await assert.rejects(ledger.sweep("run-9"), isUnavailable);
    await assert.rejects(ledger.close(calls[1]!, closingOf({ inputTokens: 4 })), isUnavailable);
    other.exec("COMMIT");
    await until("the ledger works again", () => ledger.trouble() === null);
    assert.deepEqual(await totalsOf(path), [["at-1", 2, 7, 0]]);
    assert.equal(ledger.openCount(), 0);
    const call = callOf();
    await ledger.open(call, traceOf(call));
    assert.equal(troubles.length, 2);
    assert.equal(troubles[1], null);
  },
  QUICK,
);

law("a closing that failed and then came through counts once", async ({ path, ledger, other }) => {
  const call = callOf();
  await ledger.open(call, traceOf(call));
  other.exec("BEGIN IMMEDIATE");
  await assert.rejects(ledger.close(call, closingOf({ inputTokens: 3 })), isUnavailable);
  const again = ledger.close(call, closingOf({ inputTokens: 3 }));
  other.exec("COMMIT");
  await again.catch(() => {});
  await until("the ledger works again", () => ledger.trouble() === null);
  assert.deepEqual(await totalsOf(path), [["at-1", 1, 3, 0]]);
}, QUICK);

law("end() writes the closings that were kept", async ({ path, ledger, other }) => {
  const call = callOf();
  await ledger.open(call, traceOf(call));
  other.exec("BEGIN IMMEDIATE");
  await assert.rejects(ledger.close(call, closingOf({ inputTokens: 3 })), isUnavailable);
  other.exec("COMMIT");
  await ledger.end();
  assert.deepEqual(await totalsOf(path), [["at-1", 1, 3, 0]]);
}, { ...QUICK, probeMs: 60_000 });

law("end() rejects if kept closings could not be written, and still closes", async ({ ledger, other }) => {
  const call = callOf();
  await ledger.open(call, traceOf(call));
  other.exec("BEGIN IMMEDIATE");
  await assert.rejects(ledger.close(call, closingOf()), isUnavailable);
  await assert.rejects(ledger.end(), isUnavailable);
  other.exec("COMMIT");
  await assert.rejects(ledger.open(callOf(), traceOf(callOf())), isUnavailable);
}, { ...QUICK, probeMs: 60_000 });

Deno.test("SQLite ledger: after end() every call is refused or answered, even a late one", async () => {
  const dir = Deno.makeTempDirSync();
  const path = `${dir}/spool-0.db`;
  migrateSpool(path);
  const clock = { now: T0 };
  const ledger = openLedger({ path, synchronous: "normal", now: () => clock.now, onTrouble: () => {}, ...LEDGER_DEFAULTS });
  const call = callOf();
  await ledger.open(call, traceOf(call));
  const used = ledger.usedBytes();
  await ledger.end();
  clock.now += 60_000;
  await assert.rejects(ledger.open(callOf(), traceOf(callOf())), isUnavailable);
  await assert.rejects(ledger.close(call, closingOf()), isUnavailable);
  await assert.rejects(ledger.join(traceOf(callOf())), isUnavailable);
  await assert.rejects(ledger.claim([]), isUnavailable);
  await assert.rejects(ledger.countRefusals([]), isUnavailable);
  await assert.rejects(ledger.sweep("run-9"), isUnavailable);
  assert.deepEqual([ledger.usedBytes(), ledger.boundBytes(), ledger.trouble(), ledger.openCount()], [used, Infinity, null, 1]);
  Deno.removeSync(dir, { recursive: true });
});

Deno.test("SQLite ledger: after the files are lost nothing is confirmed until a restart, and closings still reach the open file", async () => {
  const dir = Deno.makeTempDirSync();
  const path = `${dir}/spool-0.db`;
  migrateSpool(path);
  const troubles: (string | null)[] = [];
  let loss: string | null = null;
  const ledger = openLedger({
    ...{ path, synchronous: "normal", now: Date.now, onTrouble: (trouble) => void troubles.push(trouble), ...LEDGER_DEFAULTS },
    ...{ ...QUICK, lookMs: 5, whyLost: () => loss },
    spool: { maxBytes: 1, onFull: "serve" },
  });
  const other = new DatabaseSync(path);
  const call = callOf();
  await ledger.close(call, closingOf({ inputTokens: 3 }));
  loss = "The files are gone";
  await until("the ledger looked", () => ledger.trouble() !== null);
  assert.deepEqual([ledger.trouble(), troubles], [loss, [loss]]);
  await assert.rejects(ledger.open(callOf(), traceOf(callOf())), isUnavailable);
  await assert.rejects(ledger.join(traceOf(callOf())), isUnavailable);
  const later = callOf();
  await assert.rejects(ledger.close(later, closingOf({ inputTokens: 4 })), isUnavailable);
  assert.deepEqual((await rowsOf(path)).map(([id]) => id).sort(), [call.id, later.id].sort());
  // A write that fails meanwhile starts no probe: its success would end the trouble.
  other.exec("BEGIN IMMEDIATE");
  await assert.rejects(ledger.close(callOf(), closingOf()), isUnavailable);
  other.exec("COMMIT");
  loss = null;
  await ledger.end();
  assert.deepEqual([ledger.trouble(), troubles], ["The files are gone", ["The files are gone"]]);
  assert.equal((await rowsOf(path)).length, 3);
  other.close();
  Deno.removeSync(dir, { recursive: true });
});

law("end() commits what waits", async ({ path, ledger }) => {
  const calls = Array.from({ length: 1_000 }, () => callOf());
  const opened = calls.map((call) => ledger.open(call, traceOf(call)));
  await ledger.end();
  await Promise.all(opened);
  assert.equal((await rowsOf(path)).length, 1_000);
  await assert.rejects(ledger.close(calls[0]!, closingOf()), isUnavailable);
});

Deno.test("SQLite ledger: a full database refuses calls until there is room again, and loses no closing", async () => {
  const dir = Deno.makeTempDirSync();
  const path = `${dir}/spool-0.db`;
  migrateSpool(path);
  const db = openConnection(path, { synchronous: "normal", busyTimeoutMs: 0, autoCheckpointPages: 0, cacheKib: 2_000 });
  const other = new DatabaseSync(path);
  const ledger = ledgerOn(db, { path, synchronous: "normal", now: Date.now, onTrouble: () => {}, ...LEDGER_DEFAULTS, ...QUICK });
  const limitPages = (more: number) =>
    void db.exec(`PRAGMA max_page_count = ${Number(db.prepare("PRAGMA page_count").get()?.page_count) + more}`);

  limitPages(20);
  const opened: OpenCall[] = [];
  while (ledger.trouble() === null) {
    const call = callOf();
    await ledger.open(call, traceOf(call)).then(() => opened.push(call), (error) => assert.ok(isUnavailable(error)));
  }
  assert.match(ledger.trouble() ?? "", /full/);
  assert.equal((await rowsOf(path)).length, opened.length);

  // Long closings: a row may have to move to another page, and there is no free one.
  const closing = closingOf({ outputTokens: 1, stopReason: "x".repeat(2_000) });
  const outcomes = await Promise.allSettled(opened.map((call) => ledger.close(call, closing)));
  const failed = outcomes.filter((outcome) => outcome.status === "rejected");
  assert.ok(failed.length > 0);
  assert.ok(failed.every((outcome) => isUnavailable(outcome.reason)));
  assert.notEqual(ledger.trouble(), null);

  limitPages(100_000);
  await until("the ledger works again", () => ledger.trouble() === null);
  assert.deepEqual(await totalsOf(path), [["at-1", opened.length, 0, opened.length]]);
  assert.equal(ledger.openCount(), 0);
  await ledger.end();
  other.close();
  Deno.removeSync(dir, { recursive: true });
});

Deno.test("SQLite ledger: a nearly full volume refuses new calls while rows are closed, and takes calls again in freed space", async () => {
  const dir = Deno.makeTempDirSync();
  const path = `${dir}/spool-0.db`;
  migrateSpool(path);
  const MB = 1 << 20;
  const volume = { freeBytes: 1_000 * MB };
  const clock = { now: T0 };
  const ledger = openLedger({
    ...{ path, synchronous: "normal", now: () => clock.now += 1_000, onTrouble: () => {}, ...LEDGER_DEFAULTS },
    spool: { maxBytes: 4_000 * MB, onFull: "refuse" },
    freeBytes: () => volume.freeBytes,
  });
  const calls = [callOf(), callOf()];
  await ledger.open(calls[0]!, traceOf(calls[0]!));
  assert.ok(ledger.boundBytes() > 900 * MB && ledger.boundBytes() < 1_000 * MB);
  volume.freeBytes = 60 * MB;
  await assert.rejects(ledger.open(calls[1]!, traceOf(calls[1]!)), isUnavailable);
  assert.match(ledger.trouble()!, /The volume of the database has less than 64 MB left/);
  await ledger.close(calls[0]!, closingOf({ outputTokens: 1 }));
  volume.freeBytes = 65 * MB;
  assert.equal(ledger.trouble(), null);
  assert.equal(await ledger.open(calls[1]!, traceOf(calls[1]!)), "opened");
  await ledger.end();
  Deno.removeSync(dir, { recursive: true });
});

law("writes at the same time add up", async ({ path, ledger }) => {
  const random = seededRandom(7);
  const calls = Array.from({ length: 600 }, () => callOf({ traceId: `at-${Math.floor(random() * 5)}` }));
  const outputs = await Promise.all(calls.map(async (call) => {
    const outputTokens = Math.floor(random() * 1_000);
    await ledger.open(call, traceOf(call));
    await Promise.all([ledger.close(call, closingOf({ outputTokens })), ledger.close(call, closingOf({ outputTokens }))]);
    return outputTokens;
  }));
  const sum = (await totalsOf(path)).reduce((total, trace) => total + Number(trace[3]), 0);
  assert.equal(sum, outputs.reduce((total, tokens) => total + tokens, 0));
  assert.equal((await totalsOf(path)).reduce((total, trace) => total + Number(trace[1]), 0), 600);
  assert.equal(ledger.openCount(), 0);
});

law("openCount() starts with the rows that are open in the file", async ({ ledger, path }) => {
  for (const call of [callOf(), callOf()]) await ledger.open(call, traceOf(call));
  const second = openLedger({ path, synchronous: "full", now: Date.now, onTrouble: () => {}, ...LEDGER_DEFAULTS });
  assert.equal(second.openCount(), 2);
  await second.end();
});

function isUnavailable(error: unknown): boolean {
  return error instanceof Fault && error.code === "ledger_unavailable" && !/sql|spool-0\.db/i.test(error.message);
}

/** Ships to a store beside the spool, as the shipper's Worker does. */
async function ship(path: string): Promise<void> {
  migrateSqlite(`${path}.store`);
  const spool = openOutgoing(path, { synchronous: "normal", store: "embedded" });
  const { sink, close } = openSink(`${path}.store`, "normal");
  const failures: string[] = [];
  const shipper = new Shipper({
    ...{ spool, sink: () => Promise.resolve(sink), pace: PACE, random: () => 0 },
    onReport: ({ failure }) => void (failure === null || failures.push(failure)),
  });
  while (await shipper.round()) continue;
  spool.close();
  close();
  assert.deepEqual(failures, []);
}

/** What the store answers when all is shipped. */
async function stored(path: string, sql: string): Promise<unknown[][]> {
  await ship(path);
  const db = new DatabaseSync(`${path}.store`);
  try {
    return all(db, sql);
  } finally {
    db.close();
  }
}

function openCallsIn(path: string): readonly OpenCall[] {
  const spool = openOutgoing(path, { synchronous: "normal", store: "embedded" });
  try {
    return spool.openCalls();
  } finally {
    spool.close();
  }
}

/** Those in the store, and those that are open. */
async function rowsOf(path: string): Promise<unknown[][]> {
  const closed = await stored(path, "SELECT id, revision, outcome, input_tokens, output_tokens FROM usage");
  return [...closed, ...openCallsIn(path).map(({ id }) => [id, 0, null, 0, 0])].sort(([a], [b]) =>
    String(a) < String(b) ? -1 : 1
  );
}

function totalsOf(path: string): Promise<unknown[][]> {
  return stored(path, "SELECT id, request_count, total_input_tokens, total_output_tokens FROM traces ORDER BY id");
}

function all(db: DatabaseSync, sql: string): unknown[][] {
  return db.prepare(sql).all().map((row) => Object.values(row));
}

/** Lets the event loop turn for so long and returns its longest standstill. */
async function turnsWhile(ms: number): Promise<{ readonly longestMs: number }> {
  const end = performance.now() + ms;
  let longestMs = 0;
  for (let last = performance.now(); last < end;) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    longestMs = Math.max(longestMs, performance.now() - last);
    last = performance.now();
  }
  return { longestMs };
}
