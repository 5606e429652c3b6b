import assert from "node:assert/strict";
import { Fault } from "../domain/fault.ts";
import type { CallToSend } from "../domain/upstream.ts";
import { isPending } from "../../tests/wait.ts";
import { Holds, MAX_WAITING_PER_SANDBOX } from "./holds.ts";

const MODEL = "claude-haiku-4-5";
const PATIENCE_MS = 20_000;
const SHORT_MS = 30;

Deno.test("Holds asks for nothing until the upstream does, and only calls of that credential and model wait", () => {
  const clock = { now: 0 };
  const holds = new Holds({ patienceMs: PATIENCE_MS, elapsed: () => clock.now });
  assert.deepEqual([holds.isEmpty, holds.holds("a", MODEL), holds.remainingMs("a", MODEL)], [true, false, 0]);
  holds.add("a", MODEL, 5_000);
  assert.deepEqual([holds.holds("a", MODEL), holds.remainingMs("a", MODEL), holds.inForce], [true, 5_000, 1]);
  for (const [id, model] of [["a", "claude-opus-5"], ["b", MODEL]] as const) {
    assert.deepEqual([holds.holds(id, model), holds.remainingMs(id, model)], [false, 0]);
  }
  holds.add("a", MODEL, 1_000);
  assert.equal(holds.remainingMs("a", MODEL), 5_000, "a shorter wait counted");
  clock.now = 5_000;
  assert.deepEqual([holds.inForce, holds.holds("a", MODEL), holds.isEmpty], [0, false, true]);
});

Deno.test("turn() lets workspaces take turns, conversations before what is auxiliary, one call first and then more", async () => {
  const stand = standOf();
  const order: string[] = [];
  const wait = (name: string, over: Partial<CallToSend>) => stand.turn(over).then(() => void order.push(name));
  stand.holds.add("a", MODEL, SHORT_MS);
  const greedy = [1, 2, 3].map((n) => wait(`greedy ${n}`, { workspaceId: "greedy" }));
  const auxiliary = wait("auxiliary", { workspaceId: "aux", requestClass: "auxiliary" });
  const modest = ["x", "y"].map((workspaceId) => wait(workspaceId, { workspaceId, requestClass: "main" }));
  assert.equal(stand.holds.waiting, 6);
  await greedy[0];
  assert.deepEqual([order, stand.holds.waiting], [["greedy 1"], 5]);
  await Promise.all([...greedy, ...modest, auxiliary]);
  assert.deepEqual(order, ["greedy 1", "x", "y", "greedy 2", "greedy 3", "auxiliary"]);
  assert.deepEqual([stand.holds.waiting, stand.holds.isEmpty || stand.holds.holds("a", MODEL)], [0, false]);
});

Deno.test("turn() refuses at once, with the upstream's own wait, if that is longer than a call may wait", async () => {
  const stand = standOf();
  stand.holds.add("a", MODEL, 3_600_000);
  await assert.rejects(stand.turn({}), busyFor(3_600));
});

Deno.test("turn() refuses a call when its patience is over, and tells how long the upstream's wait still is", async () => {
  const stand = standOf();
  stand.holds.add("a", MODEL, SHORT_MS);
  const waiting = stand.turn({}, { patienceMs: 40 });
  // The upstream asks for more before the first wait is over.
  stand.holds.add("a", MODEL, 9_500);
  await assert.rejects(waiting, busyFor(10));
  assert.equal(stand.holds.waiting, 0);
});

Deno.test("turn() lets a sandbox have a bounded number of calls waiting, and others still wait", async () => {
  const stand = standOf();
  stand.holds.add("a", MODEL, 10_000);
  const waiting = Array.from({ length: MAX_WAITING_PER_SANDBOX }, () => stand.turn({}));
  await assert.rejects(stand.turn({}), busyFor(10));
  const other = stand.turn({ sandboxId: "s2" });
  assert.equal(await isPending(other), true);
  stand.holds.release("a");
  assert.deepEqual([...new Set(await Promise.all([...waiting, other]))], ["look"]);
  stand.holds.add("a", MODEL, 20_000 - 1);
  const again = stand.turn({});
  assert.equal(await isPending(again), true, "the sandbox's places are not free again");
  stand.holds.release("a");
  await again;
});

Deno.test("turn() removes a client that leaves at once, and the next one has its turn", async () => {
  const stand = standOf();
  stand.holds.add("a", MODEL, SHORT_MS);
  const client = new AbortController();
  const left = stand.turn({}, { signal: client.signal });
  const next = stand.turn({ workspaceId: "w2" });
  client.abort(new Fault("client_left", "left"));
  assert.equal(stand.holds.waiting, 1);
  await assert.rejects(left, (error) => error instanceof Fault && error.code === "client_left");
  assert.equal(await next, "go");
});

Deno.test("turn() ends with the drain, before it or during it", async () => {
  const stand = standOf();
  stand.holds.add("a", MODEL, 10_000);
  const controller = new AbortController();
  const isDraining = (error: unknown) => error instanceof Fault && error.code === "draining";
  const waiting = stand.turn({}, { signal: controller.signal });
  controller.abort(new Fault("draining", "restarting"));
  await assert.rejects(waiting, isDraining);
  await assert.rejects(stand.turn({}, { signal: controller.signal }), isDraining);
  assert.equal(stand.holds.waiting, 0);
});

Deno.test("add() lets all that wait look for another credential if the wait has become too long", async () => {
  const stand = standOf();
  stand.holds.add("a", MODEL, 10_000);
  const waiting = stand.turn({});
  stand.holds.add("a", MODEL, PATIENCE_MS + 1);
  assert.equal(await waiting, "look");
});

Deno.test("Holds keeps a bounded number of models, whatever clients name", () => {
  const holds = new Holds({ patienceMs: PATIENCE_MS, elapsed: () => 0 });
  for (let n = 0; n < 5_000; n++) holds.add("a", `model-${n}`, 10_000);
  assert.ok(holds.inForce <= 1_000, `${holds.inForce} are kept`);
  assert.ok(holds.holds("a", "model-4999"), "the latest is not among them");
});

function standOf() {
  const elapsed = () => performance.now();
  const holds = new Holds({ patienceMs: PATIENCE_MS, elapsed });
  function turn(over: Partial<CallToSend>, more: { readonly signal?: AbortSignal; readonly patienceMs?: number } = {}) {
    const { patienceMs = PATIENCE_MS, signal = new AbortController().signal } = more;
    return holds.turn({ id: "a", giveUpAt: elapsed() + patienceMs }, { ...CALL, ...over }, signal);
  }
  return { holds, turn };
}

const CALL: CallToSend = {
  ...{ workspaceId: "w1", sandboxId: "s1", traceId: "at-1", requestedModel: MODEL },
  ...{ requestClass: null, heldBy: null },
};

function busyFor(seconds: number): (error: unknown) => boolean {
  return (error) => error instanceof Fault && error.code === "upstream_busy" && error.retryAfterSeconds === seconds;
}
