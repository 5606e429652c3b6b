import assert from "node:assert/strict";
import type { QuarantinedRow, Refused, Shipment, Spool } from "../../domain/spool.ts";
import type { Owned } from "../../domain/owned.ts";
import type { UsageRow } from "../../domain/usage.ts";
import { callOf, rowOf, traceOf } from "../../../tests/conformance/samples.ts";
import { waitFor } from "../../../tests/wait.ts";
import { PACE, type Report, Shipper, type Sink } from "./shipper.ts";

Deno.test("round() ships the oldest first, a batch at a time, and says whether more waits", async () => {
  const { shipper, sink, spool } = stand(7, { batch: 3 });
  assert.deepEqual([await shipper.round(), await shipper.round(), await shipper.round(), await shipper.round()], [
    true,
    true,
    false,
    false,
  ]);
  assert.deepEqual(sink.batches.map((batch) => batch.length), [3, 3, 1]);
  assert.deepEqual(sink.arrived, spool.all);
});

Deno.test("round() that fails takes nothing out of the spool, and the next one ships it", async () => {
  const { shipper, sink, spool, reports } = stand(2);
  sink.outage = new Error("the database is restarting");
  assert.equal(await shipper.round(), false);
  assert.equal(spool.waiting.length, 2);
  assert.deepEqual(reports.map((report) => report.failure), ["the database is restarting"]);
  sink.outage = null;
  await shipper.round();
  assert.deepEqual([sink.arrived.length, spool.waiting.length], [2, 0]);
  assert.equal(reports.at(-1)?.failure, null);
});

Deno.test("round() quarantines exactly the rows that are refused themselves, and ships all others", async () => {
  const { shipper, sink, spool, reports } = stand(100);
  for (const n of [0, 41, 42, 99]) sink.poison.add(spool.all[n]!.call.id);
  await shipper.round();
  assert.deepEqual(spool.quarantined.map(({ row }) => row.call.id), [...sink.poison]);
  assert.equal(spool.quarantined[0]?.reason, "the row is refused");
  assert.equal(sink.arrived.length, 96);
  assert.equal(spool.waiting.length, 0);
  assert.deepEqual([reports[0]?.shipped, reports[0]?.quarantined.length], [96, 4]);
});

Deno.test("round() that meets an outage while it looks for a refused row quarantines nothing", async () => {
  const { shipper, sink, spool } = stand(10);
  sink.poison.add(spool.all[3]!.call.id);
  sink.outageAfter = 2;
  await shipper.round();
  assert.deepEqual([spool.quarantined.length, spool.waiting.length], [0, 10]);
});

Deno.test("round() ships again what changed during a shipment", async () => {
  const { shipper, sink, spool } = stand(1);
  sink.meanwhile = () => spool.add({ ...spool.all[0]!, revision: 3 });
  await shipper.round();
  assert.equal(spool.waiting.length, 1);
  sink.meanwhile = () => {};
  await shipper.round();
  assert.deepEqual(sink.arrived.map((row) => row.revision), [2, 3]);
});

Deno.test("run() waits longer after each failure up to a ceiling, ends a wait on hurry(), and stops on stop()", async () => {
  const { shipper, sink, reports } = stand(1, { leastWaitMs: 1, mostWaitMs: 3_600_000 });
  sink.outage = new Error("away");
  const running = shipper.run();
  // With waits of 1, 2, 4 … 2^20 ms (none by chance shorter), the twelfth failure is minutes away.
  await waitFor(() => reports.length >= 9, { what: "nine failures" });
  sink.outage = null;
  shipper.hurry();
  await waitFor(() => sink.arrived.length > 0, { what: "the row to arrive" });
  shipper.stop();
  await running;
  assert.equal(sink.arrived.length, 1);
});

Deno.test("caughtUp() resolves when all that was recorded before it is shipped, and at once during an outage", async () => {
  const { shipper, sink, spool } = stand(5, { batch: 2, idleMs: 3_600_000, leastWaitMs: 3_600_000, mostWaitMs: 3_600_000 });
  const running = shipper.run();
  await shipper.caughtUp();
  assert.equal(sink.arrived.length, 5);
  for (let n = 0; n < 20; n++) {
    spool.add(rowOf());
    await shipper.caughtUp();
    assert.deepEqual(sink.arrived, spool.all);
  }
  // A change that comes during a round ends the pause behind it.
  sink.meanwhile = () => {
    sink.meanwhile = () => {};
    spool.add(rowOf());
    shipper.poke();
  };
  spool.add(rowOf());
  shipper.poke();
  await waitFor(() => sink.arrived.length === 27, { what: "the row of the round" });
  sink.outage = new Error("away");
  spool.add(rowOf());
  await shipper.caughtUp();
  await shipper.caughtUp();
  assert.equal(sink.arrived.length, 27);
  shipper.stop();
  await running;
});

Deno.test("run() retries quarantined rows from time to time", async () => {
  const { shipper, sink, spool } = stand(2, { idleMs: 1, retryMs: 5 });
  const [bad] = spool.all;
  sink.poison.add(bad!.call.id);
  const running = shipper.run();
  await waitFor(() => spool.quarantined.length > 0, { what: "the row to be quarantined" });
  sink.poison.clear();
  await waitFor(() => sink.arrived.length >= 2, { what: "both rows to arrive" });
  shipper.stop();
  await running;
  assert.deepEqual(spool.quarantined, []);
});

Deno.test("run() retries no quarantined row during an outage", async () => {
  const { shipper, sink, spool, reports } = stand(2, { idleMs: 1, leastWaitMs: 1, mostWaitMs: 1, retryMs: 2 });
  sink.poison.add(spool.all[0]!.call.id);
  await shipper.round();
  assert.equal(spool.quarantined.length, 1);
  spool.add(rowOf());
  sink.outage = new Error("away");
  const running = shipper.run();
  const failures = () => reports.filter(({ failure }) => failure !== null).length;
  await waitFor(() => failures() >= 20, { what: "20 failures" });
  assert.equal(spool.waiting.length, 1);
  shipper.stop();
  await running;
});

Deno.test("round() keeps a file that is refused, says so, ships everything else and tries it again", async () => {
  const { shipper, sink, spool, reports } = stand(3);
  const [good, bad] = ["file_1", "file_2"].map((id): Owned => fileOf(id));
  spool.owned = [bad!, good!];
  sink.poison.add("file_2");
  assert.equal(await shipper.round(), false);
  assert.deepEqual([sink.arrived.length, sink.owned, spool.owned], [3, [good], [bad]]);
  assert.deepEqual([reports[0]?.shipped, reports[0]?.failure], [3, "the file is refused"]);
  sink.poison.clear();
  await shipper.round();
  assert.deepEqual([sink.owned, spool.owned, reports.at(-1)?.failure], [[good, bad], [], null]);
});

Deno.test("round() asks whether the database is up before anything waits, and from time to time", async () => {
  const { shipper, sink, reports } = stand(0, { idleMs: 1, leastWaitMs: 1, mostWaitMs: 1, askMs: 20 });
  sink.outage = new Error("no such database");
  await shipper.round();
  assert.equal(reports.at(-1)?.failure, "no such database");
  sink.outage = null;
  await shipper.round();
  assert.deepEqual([reports.at(-1)?.failure, sink.asked], [null, 2]);
  for (let n = 0; n < 5; n++) await shipper.round();
  assert.equal(sink.asked, 2);
  const running = shipper.run();
  await waitFor(() => sink.asked >= 3, { what: "the third question" });
  sink.outage = new Error("away");
  await waitFor(() => reports.at(-1)?.failure === "away", { what: "the report of the outage" });
  shipper.stop();
  await running;
});

Deno.test("round() that cannot note what was shipped says that it is this machine's spool", async () => {
  const { shipper, spool, reports } = stand(1);
  spool.shipped = () => {
    throw new Error("database or disk is full");
  };
  await shipper.round();
  assert.match(reports[0]!.failure!, /spool of this machine: database or disk is full/);
});

/** A shipper between a spool in memory, which numbers its changes, and a sink that can fail. */
function stand(count: number, pace: Partial<typeof PACE> = {}) {
  const spool = new SpoolInMemory();
  for (let n = 0; n < count; n++) spool.add(rowOf());
  const sink = new FailingSink();
  const reports: Report[] = [];
  const shipper = new Shipper({
    spool,
    sink: () => Promise.resolve(sink),
    pace: { ...PACE, ...pace },
    random: () => 1,
    onReport: (report) => void reports.push(report),
  });
  return { shipper, spool, sink, reports };
}

function fileOf(id: string): Owned {
  return { id, kind: "file", workspaceId: "w-1", sandboxId: "sb-1", createdAt: 0, call: null, dueAt: null };
}

class SpoolInMemory implements Spool {
  readonly all: UsageRow[] = [];
  waiting: { readonly number: number; readonly row: UsageRow }[] = [];
  quarantined: QuarantinedRow[] = [];
  owned: Owned[] = [];
  #number = 0;

  add(row: UsageRow): void {
    this.all.push(row);
    this.waiting.push({ number: ++this.#number, row });
  }

  unshipped(most: number): Shipment {
    const some = this.waiting.slice(0, most);
    return {
      rows: some.map(({ row }) => row),
      traces: some.length === 0 ? [] : [traceOf(callOf())],
      refusals: [],
      owned: this.owned,
      upTo: some.at(-1)?.number ?? 0,
      isFull: some.length === most,
    };
  }

  shipped({ upTo, rows, owned }: Shipment, refused: Refused): void {
    this.waiting = this.waiting.filter(({ number }) => number > Number(upTo));
    this.quarantined = [...this.quarantined.filter(({ row }) => !rows.includes(row)), ...refused.rows];
    this.owned = [...this.owned.filter((one) => !owned.includes(one)), ...refused.owned];
  }

  retryQuarantined(): number {
    for (const { row } of this.quarantined) this.waiting.push({ number: ++this.#number, row });
    return this.quarantined.length;
  }

  backlog() {
    return { rows: this.waiting.length, oldestCreatedAt: null, quarantined: this.quarantined.length };
  }
}

class FailingSink implements Sink {
  readonly arrived: UsageRow[] = [];
  readonly batches: (readonly UsageRow[])[] = [];
  readonly poison = new Set<string>();
  readonly owned: Owned[] = [];
  asked = 0;
  outage: Error | null = null;
  outageAfter = Number.POSITIVE_INFINITY;
  meanwhile: () => void = () => {};

  isOwnFault(error: unknown): boolean {
    return error instanceof RangeError;
  }

  recordUsage(rows: readonly UsageRow[]): Promise<void> {
    if (this.outage !== null) return Promise.reject(this.outage);
    if (this.outageAfter-- <= 0) return Promise.reject(new Error("away"));
    if (rows.some((row) => this.poison.has(row.call.id))) return Promise.reject(new RangeError("the row is refused"));
    this.batches.push(rows);
    this.arrived.push(...rows);
    this.meanwhile();
    return Promise.resolve();
  }

  recordTraces(): Promise<void> {
    return this.outage === null ? Promise.resolve() : Promise.reject(this.outage);
  }

  recordRefusals(): Promise<void> {
    return Promise.resolve();
  }

  recordOwned(owned: readonly Owned[]): Promise<void> {
    if (owned.some(({ id }) => this.poison.has(id))) return Promise.reject(new RangeError("the file is refused"));
    this.owned.push(...owned);
    return Promise.resolve();
  }

  findOwned(): Promise<readonly Owned[]> {
    this.asked++;
    return this.outage === null ? Promise.resolve([]) : Promise.reject(this.outage);
  }
}
