import assert from "node:assert/strict";
import { type Bound, type LimitRefusal, type Reservation } from "../domain/limits.ts";
import { T0 } from "../../tests/conformance/samples.ts";
import { boundOf, FakeLimitRecords, reservationOf } from "../../tests/limit_records.ts";
import { isPending, waitFor } from "../../tests/wait.ts";
import { Admissions, type AdmissionsOptions } from "./admissions.ts";

const NEVER_MS = 3_600_000;
const PLACES = [boundOf("concurrent", 2)];

interface Scene extends AsyncDisposable {
  readonly records: FakeLimitRecords;
  readonly admissions: Admissions;
  /** What `onAlone` was told. */
  readonly told: (string | null)[];
  readonly ask: (given?: Partial<Reservation>, bounds?: readonly Bound[], signal?: AbortSignal) => Asked;
}

interface Asked {
  readonly id: string;
  readonly answer: Promise<LimitRefusal | null>;
}

function scene(over: Partial<Pick<AdmissionsOptions, "queueMs">> & Partial<AdmissionsOptions["pace"]> = {}): Scene {
  const records = new FakeLimitRecords();
  const told: (string | null)[] = [];
  const { queueMs = NEVER_MS, ...pace } = over;
  const admissions = new Admissions({
    ...{ records, queueMs, now: () => T0, onAlone: (reason) => void told.push(reason) },
    ...{ earlierMs: 30_000, pauseMs: 0, onUsed: () => {}, onPaused: () => {} },
    pace: { againMs: NEVER_MS, probeMs: 1, renewMs: NEVER_MS, ...pace },
  });
  return {
    ...{ records, admissions, told },
    ask(given = {}, bounds = PLACES, signal = new AbortController().signal) {
      const reservation = reservationOf(given);
      return { id: reservation.id, answer: admissions.reserve(reservation, bounds, signal) };
    },
    async [Symbol.asyncDispose]() {
      records.mood = "well";
      await admissions.end();
    },
  };
}

async function admitted({ id, answer }: Asked): Promise<string> {
  assert.equal(await answer, null);
  return id;
}

Deno.test("Admissions admits by the store, and names the bound without room and what it has used", async () => {
  await using scene_ = scene();
  const bounds = [boundOf("rpd", 5), boundOf("cost_per_day", 250)];
  for (let n = 0; n < 2; n++) await admitted(scene_.ask({}, bounds));
  assert.deepEqual(await scene_.ask({}, bounds).answer, { bound: bounds[1], used: 200 });
  assert.equal(scene_.records.held.size, 2);
});

Deno.test("Admissions tells the store of ends together, and a second time if the first fails", async () => {
  await using scene_ = scene();
  const { records, admissions, told } = scene_;
  const ids: string[] = [];
  for (let n = 0; n < 4; n++) ids.push(await admitted(scene_.ask({}, [boundOf("rpd", 9)])));
  const slow = records.holdBack();
  for (const id of ids.slice(0, 3)) admissions.settle({ id, tokens: 1, cost: 1 });
  admissions.release(ids[3]!);
  records.mood = "away";
  slow.open();
  await waitFor(() => told.length === 1, { what: "the outage to show" });
  records.mood = "well";
  await waitFor(() => told.length === 2 && records.used(boundOf("tokens_per_day", 1)) === 3, { what: "all ends" });
  assert.deepEqual(told, ["the store is away", null]);
  assert.equal(records.held.size, 3);
  assert.ok(records.asked.filter((verb) => verb === "settle").length <= 4);
});

Deno.test("Admissions lets those that wait in as places become free, sandboxes in turn and new calls last", async () => {
  await using scene_ = scene();
  const first = [await admitted(scene_.ask()), await admitted(scene_.ask())];
  const order: string[] = [];
  const line = ["a", "a", "a", "b", "c"].map((sandboxId, n) => {
    const asked = scene_.ask({ sandboxId });
    void asked.answer.then(() => order.push(`${sandboxId}${n}`));
    return asked;
  });
  await waitFor(() => scene_.admissions.waiting === 5, { what: "all to wait" });
  assert.ok(await isPending(line[0]!.answer));
  const running = [...first];
  for (let n = 0; n < line.length; n++) {
    scene_.admissions.settle({ id: running[n]!, tokens: 1, cost: 1 });
    await waitFor(() => order.length === n + 1, { what: "the next" });
    assert.equal(scene_.records.used(PLACES[0]!), 2);
    running.push(line[Number(order[n]![1])]!.id);
  }
  assert.deepEqual(order, ["a0", "b3", "c4", "a1", "a2"]);
  assert.equal(scene_.admissions.waiting, 0);
});

Deno.test("Admissions: a call whose client leaves while it waits holds nothing, also if it was just being let in", async () => {
  await using scene_ = scene();
  const { records, admissions } = scene_;
  const ids = [await admitted(scene_.ask()), await admitted(scene_.ask())];
  const [early, late] = [new AbortController(), new AbortController()];
  const gone = scene_.ask({}, PLACES, early.signal);
  early.abort(new Error("left early"));
  await assert.rejects(gone.answer, { message: "left early" });
  const leaving = scene_.ask({}, PLACES, late.signal);
  await waitFor(() => admissions.waiting === 1 && records.asked.at(-1) === "reserve", { what: "the wait" });
  const end = records.holdBack();
  admissions.settle({ id: ids[0]!, tokens: 1, cost: 1 });
  const slow = records.holdBack();
  end.open();
  await waitFor(() => records.asked.at(-1) === "reserve", { what: "the question" });
  late.abort(new Error("left late"));
  await assert.rejects(leaving.answer, { message: "left late" });
  slow.open();
  await waitFor(() => records.asked.includes("release") && !records.held.has(leaving.id), { what: "the release" });
  assert.equal(records.used(PLACES[0]!), 1);
  assert.equal(admissions.waiting, 0);
});

Deno.test("Admissions: a client that leaves during the first question leaves nothing behind", async () => {
  await using scene_ = scene();
  const left = new AbortController();
  const slow = scene_.records.holdBack();
  const asked = scene_.ask({}, PLACES, left.signal);
  left.abort(new Error("left"));
  slow.open();
  await assert.rejects(asked.answer, { message: "left" });
  await waitFor(() => scene_.records.held.size === 0, { what: "the release" });
  await assert.rejects(scene_.ask({}, PLACES, left.signal).answer, { message: "left" });
});

Deno.test("Admissions refuses what waits too long, what cannot wait, and the 501st that waits of one sandbox", async () => {
  await using patient = scene();
  for (let n = 0; n < 2; n++) await admitted(patient.ask());
  const waiting = Array.from({ length: 500 }, () => patient.ask());
  assert.deepEqual(await patient.ask().answer, { bound: PLACES[0], used: 2 });
  const other = patient.ask({ sandboxId: "sb-2" });
  assert.ok(await isPending(other.answer));
  patient.admissions.forgetHolder("run-1");
  await Promise.all([...waiting, other].map(({ answer }) => assert.rejects(answer)));

  await using brief = scene({ queueMs: 5 });
  for (let n = 0; n < 2; n++) await admitted(brief.ask());
  assert.deepEqual(await brief.ask().answer, { bound: PLACES[0], used: 2 });
  await using none = scene({ queueMs: 0 });
  for (let n = 0; n < 2; n++) await admitted(none.ask());
  assert.deepEqual(await none.ask().answer, { bound: PLACES[0], used: 2 });
  assert.equal(none.admissions.waiting, 0);
});

Deno.test("Admissions: one sandbox without a place of its own, or one trace, keeps no other waiting", async () => {
  await using scene_ = scene();
  for (const scope of ["sandbox", "trace"] as const) {
    const bounds = (id: string) => [boundOf("concurrent", 1, { scope, id })];
    const given = (id: string) => scope === "sandbox" ? { sandboxId: id } : { traceId: id };
    await admitted(scene_.ask(given("full"), bounds("full")));
    const waits = scene_.ask(given("full"), bounds("full"));
    await admitted(scene_.ask(given("free"), bounds("free")));
    assert.ok(await isPending(waits.answer), scope);
    waits.answer.catch(() => {});
  }
  scene_.admissions.forgetHolder("run-1");
});

Deno.test("Admissions: a call that waits for a place is refused once a limit without one is used up", async () => {
  await using scene_ = scene();
  const bounds = [boundOf("rpd", 3), boundOf("concurrent", 2)];
  const first = [await admitted(scene_.ask({}, bounds)), await admitted(scene_.ask({}, bounds))];
  const [third, fourth] = [scene_.ask({}, bounds), scene_.ask({}, bounds)];
  for (const id of first) scene_.admissions.settle({ id, tokens: 1, cost: 1 });
  assert.equal(await third.answer, null);
  assert.deepEqual(await fourth.answer, { bound: bounds[0], used: 3 });
});

Deno.test("Admissions tries again from time to time, because other replicas' calls end too", async () => {
  await using scene_ = scene({ againMs: 1 });
  for (let n = 0; n < 2; n++) await admitted(scene_.ask());
  const waits = scene_.ask();
  assert.ok(await isPending(waits.answer));
  scene_.records.held.delete([...scene_.records.held.keys()][0]!);
  assert.equal(await waits.answer, null);
});

Deno.test("Admissions alone goes on from the last counts, and the store gets what it admitted when it is back", async () => {
  await using scene_ = scene();
  const { records, admissions, told } = scene_;
  const bounds = [boundOf("cost_per_day", 1_000), boundOf("rpd", 100)];
  const before = await admitted(scene_.ask({ cost: 300 }, bounds));
  records.mood = "away";
  const [ended, running] = [await admitted(scene_.ask({ cost: 300 }, bounds)), await admitted(scene_.ask({ cost: 300 }, bounds))];
  assert.deepEqual([admissions.isAlone, told], [true, ["the store is away"]]);
  assert.deepEqual(await scene_.ask({ cost: 300 }, bounds).answer, { bound: bounds[0], used: 900 });
  admissions.settle({ id: before, tokens: 1, cost: 50 });
  admissions.settle({ id: ended, tokens: 1, cost: 60 });
  const again = await admitted(scene_.ask({ cost: 500 }, bounds));
  admissions.release(again);
  records.mood = "well";
  await waitFor(() => !admissions.isAlone && records.used(bounds[0]!) === 410, { what: "the store to know all" });
  assert.deepEqual(told, ["the store is away", null]);
  assert.deepEqual([...records.held.keys()].toSorted(), [before, ended, running].toSorted());
  assert.deepEqual([...records.held.values()].map(({ isRunning }) => isRunning), [false, false, true]);
});

Deno.test("Admissions alone counts a workspace that it has never asked for from nothing", async () => {
  await using scene_ = scene();
  scene_.records.mood = "away";
  const bounds = [boundOf("rpd", 2)];
  for (let n = 0; n < 2; n++) await admitted(scene_.ask({}, bounds));
  assert.deepEqual(await scene_.ask({}, bounds).answer, { bound: bounds[0], used: 2 });
});

Deno.test("Admissions alone lets those that wait in as its own calls end", async () => {
  await using scene_ = scene();
  const first = await admitted(scene_.ask());
  await admitted(scene_.ask());
  const waits = scene_.ask();
  scene_.records.mood = "away";
  scene_.admissions.settle({ id: first, tokens: 1, cost: 1 });
  assert.equal(await waits.answer, null);
  assert.ok(scene_.admissions.isAlone);
});

Deno.test("Admissions: a call that the store admits and whose answer is lost runs once and counts once", async () => {
  await using scene_ = scene();
  const { records, admissions } = scene_;
  records.mood = "loses answers";
  const id = await admitted(scene_.ask());
  await waitFor(() => records.asked.includes("renewHolders"), { what: "a probe" });
  records.mood = "well";
  await waitFor(() => !admissions.isAlone, { what: "the store" });
  assert.deepEqual([...records.held.keys()], [id]);
  admissions.settle({ id, tokens: 1, cost: 1 });
  await waitFor(() => records.used(PLACES[0]!) === 0, { what: "the end" });
});

Deno.test("Admissions: what the store admitted and the machine alone refused is released", async () => {
  await using scene_ = scene({ queueMs: 0 });
  const { records, admissions } = scene_;
  for (let n = 0; n < 2; n++) await admitted(scene_.ask());
  // Another replica's end, which this one does not know of.
  records.held.delete([...records.held.keys()][0]!);
  records.mood = "loses answers";
  const refused = scene_.ask();
  assert.deepEqual(await refused.answer, { bound: PLACES[0], used: 2 });
  assert.ok(records.held.has(refused.id));
  records.mood = "well";
  await waitFor(() => !admissions.isAlone && !records.held.has(refused.id), { what: "the release" });
});

Deno.test("Admissions: a call that waited through a lost answer and was let in alone keeps its place afterwards", async () => {
  await using scene_ = scene();
  const { records, admissions } = scene_;
  const ids = [await admitted(scene_.ask()), await admitted(scene_.ask())];
  records.held.delete(ids[0]!);
  records.mood = "loses answers";
  const waits = scene_.ask();
  await waitFor(() => admissions.isAlone && records.held.has(waits.id), { what: "the lost answer" });
  records.mood = "away";
  admissions.settle({ id: ids[1]!, tokens: 1, cost: 1 });
  assert.equal(await waits.answer, null);
  records.mood = "well";
  await waitFor(() => !admissions.isAlone, { what: "the store" });
  await admissions.end();
  assert.equal(records.held.get(waits.id)?.isRunning, true);
});

Deno.test("Admissions: a release while the store is told what was admitted without it wins", async () => {
  await using scene_ = scene();
  const { records, admissions } = scene_;
  records.mood = "away";
  const [released, ended] = [await admitted(scene_.ask()), await admitted(scene_.ask())];
  records.mood = "well";
  const slow = records.holdBack();
  await waitFor(() => records.asked.at(-1) === "renewHolders", { what: "the probe" });
  const answered = records.asked.length;
  slow.open();
  const second = records.holdBack();
  await waitFor(() => records.asked.slice(answered).includes("hold"), { what: "the hold" });
  admissions.release(released);
  admissions.settle({ id: ended, tokens: 7, cost: 1 });
  second.open();
  await waitFor(() => !admissions.isAlone, { what: "the store" });
  await admissions.end();
  assert.deepEqual([...records.held.values()].map(({ id, tokens, isRunning }) => [id, tokens, isRunning]), [[ended, 7, false]]);
});

Deno.test("Admissions: a call admitted without the store during the last question to it is told too", async () => {
  await using scene_ = scene();
  const { records, admissions } = scene_;
  records.mood = "away";
  const ids = [await admitted(scene_.ask())];
  records.asked.length = 0;
  records.mood = "well";
  let gate = records.holdBack();
  for (const verbs of ["renewHolders", "renewHolders hold", "renewHolders hold renewHolders"]) {
    await waitFor(() => records.asked.join(" ") === verbs, { what: verbs });
    if (verbs.endsWith("hold renewHolders")) ids.push(await admitted(scene_.ask()));
    gate.open();
    gate = records.holdBack();
  }
  gate.open();
  await waitFor(() => !admissions.isAlone, { what: "the store" });
  assert.deepEqual([...records.held.keys()], ids);
});

Deno.test("Admissions tells the store of thousands of calls in pieces", async () => {
  await using scene_ = scene();
  const { records, admissions } = scene_;
  records.mood = "away";
  for (let n = 0; n < 1_200; n++) await admitted(scene_.ask({}, [boundOf("rpd", 5_000)]));
  records.asked.length = 0;
  records.mood = "well";
  await waitFor(() => !admissions.isAlone, { what: "the store" });
  assert.equal(records.held.size, 1_200);
  assert.equal(records.asked.filter((verb) => verb === "hold").length, 3);
});

Deno.test("Admissions gives signs of life for calls that run or are being admitted, and none without", async () => {
  await using scene_ = scene({ renewMs: 1, queueMs: 5_000 });
  const { records, admissions } = scene_;
  const id = await admitted(scene_.ask());
  await waitFor(() => records.signs.length > 0, { what: "a sign of life" });
  assert.deepEqual(records.signs[0], { holders: ["run-1"], running: [id], before: T0 - 95_000 });
  const slow = records.holdBack();
  const asked = scene_.ask({ holder: "run-2" });
  const count = records.signs.length;
  await waitFor(() => records.asked.at(-1) === "renewHolders", { what: "another sign" });
  slow.open();
  await admitted(asked);
  await waitFor(() => records.signs.slice(count).some(({ running }) => running.includes(asked.id)), { what: "both" });
  for (const call of [id, asked.id]) admissions.settle({ id: call, tokens: 1, cost: 1 });
  await waitFor(() => records.held.values().every(({ isRunning }) => !isRunning), { what: "the ends" });
  const last = records.signs.length;
  assert.ok(await isPending(waitFor(() => records.signs.length > last + 1, { what: "nothing", deadlineMs: 40 }), 20));
});

Deno.test("Admissions.forgetHolder() frees what a dead process's calls hold here, and what it is being given", async () => {
  await using scene_ = scene();
  const { records, admissions } = scene_;
  await admitted(scene_.ask({ holder: "dead" }));
  await admitted(scene_.ask({ holder: "alive" }));
  const waits = scene_.ask({ holder: "dead" });
  waits.answer.catch(() => {});
  await waitFor(() => admissions.waiting === 1 && records.asked.length === 4, { what: "the wait" });
  records.held.clear();
  const slow = records.holdBack();
  const asked = scene_.ask({ holder: "dead", sandboxId: "sb-9", workspaceId: "w-9" });
  admissions.forgetHolder("dead");
  await assert.rejects(waits.answer, { message: "Its process has died" });
  slow.open();
  await assert.rejects(asked.answer, { message: "Its process has died" });
  await waitFor(() => records.asked.includes("release") && !records.held.has(asked.id), { what: "the release" });
  records.mood = "away";
  await admitted(scene_.ask({ holder: "alive" }));
  assert.ok(admissions.isAlone);
  assert.ok(await isPending(scene_.ask({ holder: "alive" }).answer.catch(() => {})));
  admissions.forgetHolder("alive");
});

Deno.test("Admissions.forgetHolder(): a call whose process dies during its first question does not wait for a place", async () => {
  await using scene_ = scene();
  const { records, admissions } = scene_;
  const ids = [await admitted(scene_.ask()), await admitted(scene_.ask())];
  const slow = records.holdBack();
  const asked = scene_.ask({ holder: "dead" });
  admissions.forgetHolder("dead");
  slow.open();
  await assert.rejects(asked.answer, { message: "Its process has died" });
  assert.equal(admissions.waiting, 0);
  // Let in, it would never end, and this machine would give its signs of life.
  for (const id of ids) admissions.settle({ id, tokens: 1, cost: 1 });
  await waitFor(() => records.used(PLACES[0]!) === 0, { what: "the places to be free" });
  await admissions.end();
  assert.ok(!records.held.has(asked.id));
});

Deno.test("Admissions: a sign of life names calls that wait, because the store may admit one before it comes", async () => {
  await using scene_ = scene({ renewMs: 1 });
  const { records, admissions } = scene_;
  await admitted(scene_.ask());
  await admitted(scene_.ask());
  const waits = scene_.ask();
  await waitFor(() => records.signs.some(({ running }) => running.includes(waits.id)), { what: "a sign of life" });
  admissions.forgetHolder("run-1");
  await assert.rejects(waits.answer);
});
