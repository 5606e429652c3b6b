import assert from "node:assert/strict";
import { faultOf, GRACE_MS, inScene, refuses, SANDBOX, TOKEN } from "../../tests/agentserver_scene.ts";
import { NOBODYS_WORD } from "../../tests/control_plane_words.ts";
import type { AgentserverScript } from "../../tests/fake_agentserver.ts";
import { agentserverSandboxOf } from "./agentserver.ts";

Deno.test("sandboxOf() of agentserver keeps a good answer for 30 s", () =>
  inScene(async ({ control, sandboxOf, outcomes, pass }) => {
    await sandboxOf(TOKEN);
    pass(29_999);
    await sandboxOf(TOKEN);
    assert.equal(control.lookUps.length, 1);
    pass(1);
    await sandboxOf(TOKEN);
    assert.equal(control.lookUps.length, 2);
    assert.deepEqual(outcomes, ["known", "cached", "known"]);
  }));

for (const [code, status] of [["unauthenticated", null], ["sandbox_inactive", "stopped"]] as const) {
  Deno.test(`sandboxOf() of agentserver keeps the answer ${code} for 5 s`, () =>
    inScene(async ({ control, sandboxOf, pass }) => {
      control.sandboxes.clear();
      if (status !== null) control.sandboxes.set(TOKEN, { sandbox_id: "sb-1", workspace_id: "ws-1", status });
      await refuses(sandboxOf(TOKEN), code);
      control.sandboxes.set(TOKEN, { sandbox_id: "sb-1", workspace_id: "ws-1", status: "running" });
      pass(4_999);
      await refuses(sandboxOf(TOKEN), code);
      assert.equal(control.lookUps.length, 1);
      pass(1);
      assert.deepEqual(await sandboxOf(TOKEN), SANDBOX);
      assert.equal(control.lookUps.length, 2);
    }));
}

Deno.test("sandboxOf() of agentserver tells tokens apart that share all but their last character", () =>
  inScene(async ({ control, sandboxOf }) => {
    const long = "t".repeat(200);
    control.sandboxes.set(`${long}a`, { sandbox_id: "sb-a", workspace_id: "ws-a", status: "running" });
    control.sandboxes.set(`${long}b`, { sandbox_id: "sb-b", workspace_id: "ws-b", status: "running" });
    assert.equal((await sandboxOf(`${long}a`)).workspaceId, "ws-a");
    assert.equal((await sandboxOf(`${long}b`)).workspaceId, "ws-b");
    await refuses(sandboxOf(`${long}c`), "unauthenticated");
  }));

const OUTAGES: Readonly<Record<string, AgentserverScript>> = {
  "status 500": { kind: "status", status: 500 },
  "HTML": { kind: "body", body: `<html>no route for ${TOKEN}</html>` },
  "a redirect": { kind: "redirect", location: "/elsewhere" },
  "an ingress without a back end": NOBODYS_WORD["Traefik's and Go's 404"]!,
  "a gate that wants a password": NOBODYS_WORD["nginx' password"]!,
};
for (const [name, outage] of Object.entries(OUTAGES)) {
  Deno.test(`sandboxOf() of agentserver uses a known-good token by grace through ${name}, for 5 min since it was accepted`, () =>
    inScene(async ({ control, sandboxOf, outcomes, pass }) => {
      await sandboxOf(TOKEN);
      control.answer(outage);
      pass(30_000);
      assert.deepEqual(await sandboxOf(TOKEN), SANDBOX);
      assert.deepEqual(outcomes, ["known", "unavailable", "grace"]);
      pass(GRACE_MS - 30_001);
      assert.deepEqual(await sandboxOf(TOKEN), SANDBOX);
      pass(1);
      await refuses(sandboxOf(TOKEN), "authority_unavailable");
    }));
}

Deno.test("sandboxOf() of agentserver starts the grace period again when the control plane accepts the token again", () =>
  inScene(async ({ control, sandboxOf, pass }) => {
    await sandboxOf(TOKEN);
    pass(GRACE_MS - 1);
    await sandboxOf(TOKEN);
    await control.goAway();
    pass(GRACE_MS - 1);
    assert.deepEqual(await sandboxOf(TOKEN), SANDBOX);
    control.comeBack();
  }));

for (const [code, status] of [["unauthenticated", null], ["sandbox_inactive", "stopped"]] as const) {
  Deno.test(`sandboxOf() of agentserver never lets grace override the answer ${code}`, () =>
    inScene(async ({ control, sandboxOf, pass }) => {
      await sandboxOf(TOKEN);
      pass(30_000);
      control.sandboxes.delete(TOKEN);
      if (status !== null) control.sandboxes.set(TOKEN, { sandbox_id: "sb-1", workspace_id: "ws-1", status });
      await refuses(sandboxOf(TOKEN), code);
      await control.goAway();
      await refuses(sandboxOf(TOKEN), code);
      pass(5_000);
      await refuses(sandboxOf(TOKEN), "authority_unavailable");
      control.comeBack();
    }));
}

Deno.test("sandboxOf() of agentserver hears of a revocation as soon as the control plane is back, grace or not", () =>
  inScene(async ({ control, sandboxOf, pass }) => {
    await sandboxOf(TOKEN);
    pass(30_000);
    await control.goAway();
    assert.deepEqual(await sandboxOf(TOKEN), SANDBOX);
    control.sandboxes.delete(TOKEN);
    control.comeBack();
    pass(1_000);
    await refuses(sandboxOf(TOKEN), "unauthenticated");
  }));

Deno.test("sandboxOf() of agentserver asks once a second while a token is in its grace period", () =>
  inScene(async ({ control, sandboxOf, pass }) => {
    await sandboxOf(TOKEN);
    control.answer({ kind: "status", status: 502 });
    pass(30_000);
    for (let call = 0; call < 20; call++) await sandboxOf(TOKEN);
    assert.equal(control.lookUps.length, 2);
    pass(999);
    await sandboxOf(TOKEN);
    assert.equal(control.lookUps.length, 2);
    pass(1);
    await sandboxOf(TOKEN);
    assert.equal(control.lookUps.length, 3);
  }));

Deno.test("sandboxOf() of agentserver keeps known-good tokens through 12,000 made-up ones, and bounds how many of those it keeps", async () => {
  let lookUps = 0;
  const sandboxOf = agentserverSandboxOf({
    url: "http://control.plane",
    fetch: (_input, init) => {
      lookUps++;
      return Promise.resolve(
        String(init?.body).includes(TOKEN)
          ? Response.json({ sandbox_id: "sb-1", workspace_id: "ws-1", status: "running" })
          : new Response(null, { status: 401 }),
      );
    },
    now: () => 0,
    observe: { lookedUp: () => {}, note: () => {} },
    timeoutMs: 5_000,
    graceMs: GRACE_MS,
  });
  await sandboxOf(TOKEN);
  for (let n = 0; n < 12_000; n++) await faultOf(sandboxOf(`made-up-${n}`));
  assert.equal(lookUps, 12_001);
  await sandboxOf(TOKEN);
  await faultOf(sandboxOf("made-up-11999"));
  assert.equal(lookUps, 12_001);
  await faultOf(sandboxOf("made-up-0"));
  assert.equal(lookUps, 12_002);
});
