import assert from "node:assert/strict";
import { Fault, type FaultCode } from "../domain/fault.ts";
import { isPending } from "../../tests/wait.ts";
import { Stops } from "./stops.ts";
import { TokenWatch } from "./token_watch.ts";
import { Traffic } from "./traffic.ts";

const MAX_AGE_MS = 1_500;

Deno.test("TokenWatch.round() asks once for each running token that is due, and stops the calls of one that may call no more", async () => {
  for (const code of ["unauthenticated", "sandbox_inactive"] as const) {
    const scene = inScene();
    for (const token of ["good", "bad", "bad", "good"]) scene.run(token);
    await scene.round();
    assert.deepEqual(scene.asked, [], "they were accepted a moment ago");
    scene.pass(MAX_AGE_MS);
    scene.refused.set("bad", code);
    await scene.round();
    assert.deepEqual(scene.asked, ["good", "bad"]);
    assert.deepEqual(scene.stopped, [`bad ${code}`, `bad ${code}`]);
    await scene.round();
    assert.equal(scene.asked.length, 2, "it was asked a moment ago");
  }
});

Deno.test("TokenWatch.round() stops nothing if the control plane does not answer, or fails in another way", async () => {
  const scene = inScene();
  scene.run("token");
  await scene.round();
  for (const code of ["authority_unavailable", "internal_error", null] as const) {
    scene.pass(MAX_AGE_MS);
    scene.refused.set("token", code);
    await scene.round();
  }
  assert.deepEqual([scene.asked.length, scene.stopped], [3, []]);
});

Deno.test("TokenWatch.round() asks about no local token, and about none whose calls have ended", async () => {
  const scene = inScene();
  scene.run("llmp_local", "lt-1");
  const leave = scene.run("gone");
  await scene.round();
  leave();
  scene.pass(MAX_AGE_MS);
  await scene.round();
  assert.deepEqual(scene.asked, []);
});

Deno.test("TokenWatch.round() asks a bounded number of questions, and next about those that waited longest", async () => {
  const scene = inScene(2);
  for (const token of ["a", "b", "c", "d", "e"]) scene.run(token);
  await scene.round();
  scene.pass(MAX_AGE_MS);
  for (let n = 0; n < 3; n++) {
    await scene.round();
    scene.pass(1);
  }
  assert.deepEqual(scene.asked, ["a", "b", "c", "d", "e"]);
});

Deno.test("TokenWatch.round() starts no second round while the control plane is slow", async () => {
  const scene = inScene();
  scene.run("slow");
  await scene.round();
  scene.pass(MAX_AGE_MS);
  const answer = scene.hold();
  const first = scene.round();
  await scene.round();
  assert.ok(await isPending(first));
  assert.deepEqual(scene.asked, ["slow"]);
  answer();
  await first;
});

function inScene(most = 10) {
  const traffic = new Traffic();
  const stops = new Stops(traffic);
  const refused = new Map<string, FaultCode | null>();
  const [asked, stopped]: [string[], string[]] = [[], []];
  let at = 0;
  let held: Promise<void> = Promise.resolve();
  const watch = new TokenWatch({
    traffic,
    stops,
    async sandboxOf(token, again) {
      assert.deepEqual(again, { maxAgeMs: MAX_AGE_MS });
      asked.push(token);
      await held;
      const code = refused.get(token);
      if (code === null) throw new Error("broken");
      if (code !== undefined) throw new Fault(code, "refused");
      return { sandboxId: "sb", workspaceId: "ws", tokenId: null };
    },
    elapsed: () => at,
    maxAgeMs: MAX_AGE_MS,
    most,
  });
  return {
    asked,
    stopped,
    refused,
    pass: (ms: number) => void (at += ms),
    round: () => watch.round(),
    run: (token: string, tokenId: string | null = null) =>
      traffic.enter(`ar-${token}`, () => {}, {
        caller: { token, sandbox: { sandboxId: "sb", workspaceId: "ws", tokenId } },
        show: () => assert.fail("nothing is listed"),
        stop: (why) => void stopped.push(`${token} ${why}`),
      }),
    hold: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      return resolve;
    },
  };
}
