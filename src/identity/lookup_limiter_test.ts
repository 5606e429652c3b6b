import assert from "node:assert/strict";
import { faultOf, inScene, refuses } from "../../tests/agentserver_scene.ts";
import { waitFor } from "../../tests/wait.ts";
import { LookupLimiter, NotAsked, TooSlow } from "./lookup_limiter.ts";

Deno.test("LookupLimiter.run() never runs more than its limit at once, and all of them in the order of asking", async () => {
  const lookUps = new LookupLimiter({ atOnce: 3, waiting: 100, timeoutMs: 5_000 });
  const order: number[] = [];
  let [running, most] = [0, 0];
  await Promise.all(Array.from({ length: 50 }, (_, n) =>
    lookUps.run(async () => {
      order.push(n);
      most = Math.max(most, ++running);
      await Promise.resolve();
      running--;
    })));
  assert.equal(most, 3);
  assert.deepEqual(order, Array.from({ length: 50 }, (_, n) => n));
});

Deno.test("LookupLimiter.run() frees the turn after a lookup that failed", async () => {
  const lookUps = new LookupLimiter({ atOnce: 1, waiting: 1, timeoutMs: 5_000 });
  for (let n = 0; n < 3; n++) await assert.rejects(lookUps.run(() => Promise.reject(new Error(`no ${n}`))), /no/);
  assert.equal(await lookUps.run(() => Promise.resolve(7)), 7);
});

Deno.test("LookupLimiter.run() counts a lookup that ignores its signal until it has settled", async () => {
  const lookUps = new LookupLimiter({ atOnce: 1, waiting: 1, timeoutMs: 20 });
  const { promise, resolve } = Promise.withResolvers<string>();
  let signal: AbortSignal | null = null;
  await assert.rejects(
    lookUps.run((given) => {
      signal = given;
      return promise;
    }),
    TooSlow,
  );
  assert.equal(signal!.aborted, true);
  await assert.rejects(lookUps.run(() => Promise.resolve("asked too early")), NotAsked);
  resolve("late");
  await waitFor(() => lookUps.run(() => Promise.resolve(true)).catch(() => false), { what: "the free turn" });
});

Deno.test("LookupLimiter.run() refuses at once when too many wait", async () => {
  const lookUps = new LookupLimiter({ atOnce: 1, waiting: 2, timeoutMs: 5_000 });
  const { promise, resolve } = Promise.withResolvers<number>();
  const taken = Array.from({ length: 3 }, () => lookUps.run(() => promise));
  await assert.rejects(lookUps.run(() => promise), NotAsked);
  resolve(1);
  assert.deepEqual(await Promise.all(taken), [1, 1, 1]);
});

Deno.test("sandboxOf() of agentserver asks about 64 tokens at once, lets 1,024 wait and refuses the next", () =>
  inScene(async ({ control, sandboxOf, notes }) => {
    control.answer({ kind: "status", status: 401 });
    const release = control.hold();
    const calls = Array.from({ length: 64 + 1024 }, (_, n) => faultOf(sandboxOf(`token-${n}`)));
    await waitFor(() => control.lookUps.length >= 64, { what: "64 lookups" });
    await refuses(sandboxOf("one-too-many"), "authority_unavailable");
    assert.equal(control.lookUps.length, 64);
    assert.deepEqual(notes, [], "being too busy to ask is no outage of the control plane");
    release();
    const codes = new Set((await Promise.all(calls)).map((fault) => fault.code));
    assert.deepEqual([...codes], ["unauthenticated"]);
    assert.equal(control.lookUps.length, 64 + 1024);
    await refuses(sandboxOf("one-too-many"), "unauthenticated");
  }));
