import assert from "node:assert/strict";
import { NOTHING_REFUSED } from "../../domain/spool.ts";
import type { Shipment } from "../../domain/spool.ts";
import { callOf, closingOf, T0, traceOf } from "../../../tests/conformance/samples.ts";
import { type Embedded, openEmbedded } from "./embedded.ts";
import { type OpenSpool, openSpool } from "./spool.ts";

Deno.test("unshipped() returns each row with its trace and each trace once, and says whether there may be more", async () => {
  await using stand = await standUp();
  const calls = Array.from({ length: 25 }, (_, n) => callOf({ traceId: `at-${n}`, createdAt: T0 + n }));
  for (const call of calls) await stand.record(call);
  const shipments = shipAll(stand.spool, 10);
  assert.deepEqual(shipments.map(({ rows, isFull }) => [rows.length, isFull]), [[10, true], [10, true], [5, false]]);
  for (const { rows, traces } of shipments) {
    assert.deepEqual(traces.map(({ id }) => id).sort(), rows.map(({ call }) => call.traceId).sort());
  }
});

Deno.test("unshipped() returns a trace with only open calls once a minute, and with each row that ended", async () => {
  await using stand = await standUp();
  const { ledger } = stand.embedded;
  const activity = () => stand.spool.unshipped(10).traces.map(({ updatedAt }) => updatedAt - T0);
  for (const after of [0, 1_000, 59_000, 62_000, 63_000]) {
    const call = callOf({ createdAt: T0 + after });
    await ledger.open(call, traceOf(call));
  }
  assert.deepEqual(activity(), [62_000]);
  shipAll(stand.spool, 10);
  const [soon, later] = [callOf({ createdAt: T0 + 64_000 }), callOf({ createdAt: T0 + 130_000 })];
  await ledger.open(soon, traceOf(soon));
  assert.deepEqual(activity(), []);
  await ledger.open(later, traceOf(later));
  assert.deepEqual(activity(), [130_000]);
  shipAll(stand.spool, 10);
  await ledger.close(soon, closingOf());
  assert.deepEqual(activity(), [130_000]);
});

Deno.test("reship() queues a row once however often it is called, and what changes during a shipment is shipped again", async () => {
  await using stand = await standUp();
  const call = callOf();
  await stand.record(call);
  for (let n = 0; n < 3; n++) await stand.embedded.store.reship(0);
  assert.equal(stand.spool.backlog().rows, 1);
  const shipment = stand.spool.unshipped(10);
  const changed = callOf({ createdAt: T0 + 1 });
  await stand.record(changed);
  stand.spool.shipped(shipment, NOTHING_REFUSED);
  assert.deepEqual(stand.spool.unshipped(10).rows.map((row) => row.call.id), [changed.id]);
});

async function standUp() {
  const dir = Deno.makeTempDirSync();
  const options = { dir, instanceId: "run-1", synchronous: "normal", now: () => T0, onTrouble: () => {} } as const;
  const embedded: Embedded = await openEmbedded({ ...options, spool: { maxBytes: 1e9, onFull: "refuse" } });
  const spool: OpenSpool = openSpool(embedded.databasePath, { synchronous: "normal" });
  return {
    embedded,
    spool,
    record: async (call: ReturnType<typeof callOf>) => {
      await embedded.ledger.open(call, traceOf(call));
      await embedded.ledger.close(call, closingOf());
    },
    [Symbol.asyncDispose]: async () => {
      spool.close();
      await embedded.end();
      Deno.removeSync(dir, { recursive: true });
    },
  };
}

function shipAll(spool: OpenSpool, most: number): readonly Shipment[] {
  const shipments: Shipment[] = [];
  do {
    shipments.push(spool.unshipped(most));
    spool.shipped(shipments.at(-1)!, NOTHING_REFUSED);
  } while (shipments.at(-1)!.isFull);
  return shipments;
}
