import assert from "node:assert/strict";
import { Fault } from "../domain/fault.ts";
import type { Sandbox, SandboxOf } from "../domain/sandbox.ts";
import { Whose } from "./refused_request.ts";

const SANDBOX: Sandbox = { sandboxId: "s1", workspaceId: "w1", tokenId: null };

/** Knows `tok-1`; counts what it is asked. */
function authority(answer: SandboxOf = (token) => token === "tok-1" ? Promise.resolve(SANDBOX) : refused()) {
  const asked: string[] = [];
  const clock = { at: 0 };
  const sandboxOf: SandboxOf = (token) => {
    asked.push(token);
    return answer(token);
  };
  const whose = new Whose({ sandboxOf, elapsed: () => clock.at, patienceMs: 20 });
  return {
    asked,
    clock,
    of: (headers: Record<string, string>, url = "http://p/v1/v1/messages") => whose.of(new Request(url, { headers }), url),
  };
}

function refused(): Promise<never> {
  return Promise.reject(new Fault("unauthenticated", "invalid proxy token"));
}

Deno.test("Whose.of() finds the sandbox of a token, asks about each once a minute, and about none that is no token", async () => {
  const { asked, clock, of } = authority();
  for (let n = 0; n < 50; n++) assert.deepEqual(await of({ "x-api-key": "tok-1" }), SANDBOX);
  for (let n = 0; n < 50; n++) assert.equal(await of({ authorization: "Bearer tok-2" }), null);
  assert.deepEqual(asked, ["tok-1", "tok-2"]);
  assert.equal(await of({}), null);
  assert.equal(await of({ authorization: "Basic dXNlcg==" }), null);
  assert.equal(await of({ "x-api-key": "tok-1" }, "http://p/v1/tok%2D1"), null);
  assert.equal(asked.length, 2);
  clock.at = 60_000;
  assert.deepEqual(await of({ "x-api-key": "tok-1" }), SANDBOX);
  assert.equal(asked.length, 3);
});

Deno.test("Whose.of() asks about ten made-up tokens a second and no more, and about known ones not at all", async () => {
  const { asked, clock, of } = authority();
  await of({ "x-api-key": "tok-1" });
  for (let n = 0; n < 1_000; n++) await of({ "x-api-key": `made-up-${n}` });
  assert.equal(asked.length, 10);
  assert.deepEqual(await of({ "x-api-key": "tok-1" }), SANDBOX);
  clock.at = 1_000;
  for (let n = 0; n < 1_000; n++) await of({ "x-api-key": `more-${n}` });
  assert.equal(asked.length, 20);
});

Deno.test("Whose.of() waits for no authority that does not answer, and knows what it said later", async () => {
  const answer = Promise.withResolvers<Sandbox>();
  const { asked, of } = authority(() => answer.promise);
  assert.equal(await of({ "x-api-key": "tok-1" }), null);
  answer.resolve(SANDBOX);
  await answer.promise;
  await Promise.resolve();
  assert.deepEqual(await of({ "x-api-key": "tok-1" }), SANDBOX);
  assert.equal(asked.length, 1);
});
