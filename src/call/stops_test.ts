import assert from "node:assert/strict";
import { BODY, incoming, json, refusal, SANDBOX, scene } from "../../tests/fake_calls.ts";
import { authenticate } from "./authenticate.ts";
import { journey } from "./journey.ts";
import { Stops } from "./stops.ts";
import { Traffic } from "./traffic.ts";

const { workspaceId, sandboxId } = SANDBOX;

Deno.test("Stops.isSuspended() knows a workspace and all of its sandboxes, or one sandbox of one workspace", () => {
  const stops = new Stops(new Traffic());
  assert.equal(stops.isSuspended(SANDBOX), false);
  stops.suspend([{ workspaceId, sandboxId: null }, { workspaceId: "w-other", sandboxId }]);
  assert.equal(stops.isSuspended(SANDBOX), true);
  assert.equal(stops.isSuspended({ ...SANDBOX, sandboxId: "another" }), true);
  assert.equal(stops.isSuspended({ ...SANDBOX, workspaceId: "w-other" }), true);
  assert.equal(stops.isSuspended({ ...SANDBOX, workspaceId: "w-other", sandboxId: "another" }), false);
  stops.suspend([{ workspaceId, sandboxId: "another" }]);
  assert.equal(stops.isSuspended(SANDBOX), false);
});

Deno.test("authenticate() refuses a suspended sandbox, and names it for the log", async () => {
  await using call = scene(() => json(BODY));
  call.deps.stops.suspend([{ workspaceId, sandboxId }]);
  await assert.rejects(authenticate(incoming(call), call.deps), (error) => {
    assert.ok(refusal("suspended")(error));
    assert.deepEqual((error as { sandbox?: unknown }).sandbox, SANDBOX);
    return true;
  });
});

Deno.test("a call that is suspended while its row is opened goes nowhere, and its row closes as stopped", async () => {
  await using call = scene(() => new Promise<never>(() => {}));
  const { ledger, stops } = call.deps;
  const open: typeof ledger.open = (...opened) => {
    stops.suspend([{ workspaceId, sandboxId: null }]);
    return ledger.open(...opened);
  };
  await assert.rejects(journey(incoming(call), { ...call.deps, ledger: { ...ledger, open } }), refusal("suspended"));
  assert.deepEqual(call.closings.map(({ outcome, reading }) => [outcome, reading.errorType]), [["stopped", "suspended"]]);
});

Deno.test("Stops.cut() cuts the call of that id and no other, and returns what it was", () => {
  const traffic = new Traffic();
  const stops = new Stops(traffic);
  const cut: string[] = [];
  for (const id of ["ar-1", "ar-2"]) {
    traffic.enter(id, () => {}, {
      caller: { token: "t", sandbox: SANDBOX },
      show: () => ({ id }) as ReturnType<Stops["list"]>[number],
      stop: (why) => void cut.push(`${id} ${why}`),
    });
  }
  assert.equal(stops.cut("ar-3"), null);
  assert.equal(stops.cut("ar-2")?.id, "ar-2");
  assert.deepEqual(cut, ["ar-2 call_cut"]);
});
