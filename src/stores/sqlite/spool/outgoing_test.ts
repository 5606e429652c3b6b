import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { NOTHING_REFUSED } from "../../../domain/spool.ts";
import type { OpenCall } from "../../../domain/usage.ts";
import { callOf, closingOf, T0, traceOf } from "../../../../tests/conformance/samples.ts";
import { shipmentsOf } from "../../../../tests/shipments.ts";
import { migrateSpool } from "../migrate.ts";
import { LEDGER_DEFAULTS, openLedger } from "./ledger.ts";
import { openOutgoing, type StoreKind } from "./outgoing.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

Deno.test("unshipped() returns each row with its trace and each trace once, and says whether there may be more", async () => {
  await using stand = standUp();
  const calls = Array.from({ length: 25 }, (_, n) => callOf({ traceId: `at-${n}`, createdAt: T0 + n }));
  for (const call of calls) await stand.record(call);
  const shipments = shipmentsOf(stand.spool, 10);
  assert.deepEqual(shipments.map(({ rows, isFull }) => [rows.length, isFull]), [[10, true], [10, true], [5, false]]);
  for (const { rows, traces } of shipments) {
    assert.deepEqual(traces.map(({ id }) => id).sort(), rows.map(({ call }) => call.traceId).sort());
  }
});

Deno.test("unshipped() returns the trace of a call that is still open once, and again with its row", async () => {
  await using stand = standUp();
  const activity = () => stand.spool.unshipped(10).traces.map(({ updatedAt }) => updatedAt - T0);
  const calls = [0, 1_000, 62_000].map((after) => callOf({ createdAt: T0 + after }));
  for (const call of calls) await stand.ledger.open(call, traceOf(call));
  assert.deepEqual(activity(), [62_000]);
  shipmentsOf(stand.spool, 10);
  assert.deepEqual(activity(), []);
  await stand.ledger.close(calls[1]!, closingOf());
  assert.deepEqual(activity(), [1_000]);
});

Deno.test("reship() queues a row once however often it is called, and what changes during a shipment is shipped again", async () => {
  await using stand = standUp();
  const call = callOf();
  await stand.record(call);
  shipmentsOf(stand.spool, 10);
  for (let n = 0; n < 3; n++) assert.equal(stand.spool.reship(0), 1);
  assert.equal(stand.spool.backlog().rows, 1);
  const shipment = stand.spool.unshipped(10);
  const changed = callOf({ createdAt: T0 + 1 });
  await stand.record(changed);
  stand.spool.shipped(shipment, NOTHING_REFUSED);
  assert.deepEqual(stand.spool.unshipped(10).rows.map((row) => row.call.id), [changed.id]);
  assert.equal(stand.spool.reship(T0 + 2), 1);
  assert.equal(stand.spool.reship(T0 + 1), 1);
  assert.equal(stand.spool.reship(T0), 2);
});

Deno.test("shipped() leaves nothing in the spool of an embedded database, and no number comes twice", async () => {
  await using stand = standUp("embedded");
  const numbers = new Set<unknown>();
  for (let n = 0; n < 5; n++) {
    for (let m = 0; m < 3; m++) await stand.record(callOf());
    for (const { number } of stand.all("SELECT number FROM closed_calls WHERE number > (SELECT calls FROM shipped)")) {
      assert.ok(!numbers.has(number));
      numbers.add(number);
    }
    shipmentsOf(stand.spool, 10);
    // The newest one stays, so that its number does.
    assert.equal(stand.all("SELECT * FROM closed_calls").length, 1);
    assert.deepEqual(stand.spool.backlog(), { rows: 0, oldestCreatedAt: null, quarantined: 0 });
  }
  assert.equal(numbers.size, 15);
});

Deno.test("prune() keeps what was not shipped, what is young, and counters and claims of the last day", async () => {
  await using stand = standUp();
  const owned = { kind: "file", workspaceId: "w-1", sandboxId: "sb-1", call: null, dueAt: null } as const;
  const refusals = { workspaceId: "w-1", sandboxId: "sb-1", fault: "overloaded", instanceId: "run-1", count: 1 } as const;
  for (const hours of [0, 1, 2, 3]) {
    const at = T0 + hours * HOUR_MS;
    await stand.record(callOf({ id: `ar-${hours}`, createdAt: at }));
    await stand.ledger.claim([{ ...owned, id: `file_${hours}`, createdAt: at }]);
    await stand.ledger.countRefusals([{ ...refusals, minute: at }]);
  }
  const left = () => [
    stand.all("SELECT json_extract(opened, '$.call.id') AS id FROM closed_calls").map(({ id }) => id),
    stand.spool.findOwnedHere([0, 1, 2, 3].map((hours) => `file_${hours}`)).length,
    stand.all("SELECT * FROM refusals").length,
  ];
  while (stand.spool.prune(Number.MAX_SAFE_INTEGER, T0)) continue;
  assert.deepEqual(left(), [["ar-0", "ar-1", "ar-2", "ar-3"], 4, 4]);
  shipmentsOf(stand.spool, 10);
  while (stand.spool.prune(T0 + HOUR_MS, T0 + 3 * HOUR_MS)) continue;
  assert.deepEqual(left(), [["ar-1", "ar-2", "ar-3"], 4, 4]);
  while (stand.spool.prune(Number.MAX_SAFE_INTEGER, T0 + DAY_MS + 2 * HOUR_MS)) continue;
  assert.deepEqual(left(), [["ar-3"], 2, 2]);
  // A counter goes on from where it was.
  await stand.ledger.countRefusals([{ ...refusals, minute: T0 + 3 * HOUR_MS }]);
  assert.deepEqual(stand.spool.unshipped(10).refusals, [{ ...refusals, minute: T0 + 3 * HOUR_MS, count: 2 }]);
});

Deno.test("pruneTokens() alone deletes copies of tokens: they outlive what is shipped, however full the spool is", async () => {
  await using stand = standUp();
  const token = { workspaceId: "w-1", sandboxId: "sb-1", createdAt: T0, expiresAt: null, revokedAt: null };
  for (const n of [1, 2]) stand.spool.keepTokenCopy({ ...token, id: `lt-${n}` }, `hash-${n}`, { seenAt: T0 + n });
  const ids = () => stand.all("SELECT id FROM token_copies ORDER BY id").map(({ id }) => id);
  while (stand.spool.prune(Number.MAX_SAFE_INTEGER, T0 + DAY_MS)) continue;
  assert.deepEqual(ids(), ["lt-1", "lt-2"]);
  assert.equal(stand.spool.pruneTokens(T0 + 2), false);
  assert.deepEqual(ids(), ["lt-2"]);
});

Deno.test("retryQuarantined() queues the refused rows again, which are then quarantined no more", async () => {
  await using stand = standUp();
  for (const id of ["ar-1", "ar-2"]) await stand.record(callOf({ id }));
  const shipment = stand.spool.unshipped(10);
  const [bad] = shipment.rows;
  stand.spool.shipped(shipment, { ...NOTHING_REFUSED, rows: [{ row: bad!, reason: "no" }] });
  assert.deepEqual(stand.spool.backlog(), { rows: 0, oldestCreatedAt: null, quarantined: 1 });
  assert.equal(stand.spool.retryQuarantined(), 1);
  const again = stand.spool.unshipped(10);
  assert.deepEqual(again.rows, [bad]);
  stand.spool.shipped(again, NOTHING_REFUSED);
  assert.deepEqual(stand.spool.backlog(), { rows: 0, oldestCreatedAt: null, quarantined: 0 });
  assert.equal(stand.spool.retryQuarantined(), 0);
});

Deno.test("findTraceHere() finds the trace of an open call, of a closed one and of none, until it is shipped", async () => {
  await using stand = standUp();
  const [open, closed, shipped] = ["at-open", "at-closed", "at-shipped"].map((traceId) => callOf({ traceId }));
  await stand.record(shipped!);
  shipmentsOf(stand.spool, 10);
  await stand.ledger.open(open!, traceOf(open!));
  await stand.record(closed!);
  await stand.ledger.join({ ...traceOf(callOf()), id: "at-joined" });
  for (const call of [open!, closed!]) assert.deepEqual(stand.spool.findTraceHere("w-1", call.traceId), traceOf(call));
  assert.equal(stand.spool.findTraceHere("w-1", "at-joined")?.id, "at-joined");
  for (const id of ["at-shipped", "at-none"]) assert.equal(stand.spool.findTraceHere("w-1", id), null);
  assert.equal(stand.spool.findTraceHere("w-2", "at-open"), null);
});

Deno.test("openOutgoing() ships to an embedded database what a shared one got, and to a shared one nothing twice", async () => {
  await using stand = standUp();
  await stand.record(callOf());
  shipmentsOf(stand.spool, 10);
  for (const [store, rows] of [["shared", 0], ["embedded", 1], ["embedded", 0], ["shared", 0]] as const) {
    const spool = openOutgoing(stand.path, { synchronous: "normal", store });
    assert.equal(spool.backlog().rows, rows, store);
    shipmentsOf(spool, 10);
    spool.close();
  }
});

function standUp(store: StoreKind = "shared") {
  const dir = Deno.makeTempDirSync();
  const path = `${dir}/spool-0.db`;
  migrateSpool(path);
  const ledger = openLedger({ ...LEDGER_DEFAULTS, path, synchronous: "normal", now: () => T0, onTrouble: () => {} });
  const spool = openOutgoing(path, { synchronous: "normal", store });
  return {
    path,
    ledger,
    spool,
    record: async (call: OpenCall) => {
      await ledger.open(call, traceOf(call));
      await ledger.close(call, closingOf());
    },
    all(sql: string) {
      const db = new DatabaseSync(path, { readOnly: true });
      try {
        return db.prepare(sql).all();
      } finally {
        db.close();
      }
    },
    [Symbol.asyncDispose]: async () => {
      spool.close();
      await ledger.end();
      Deno.removeSync(dir, { recursive: true });
    },
  };
}
