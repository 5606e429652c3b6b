import assert from "node:assert/strict";
import { faultOf, GRACE_MS, inScene, refuses, SANDBOX, TOKEN } from "../../tests/agentserver_scene.ts";
import { NO_SUCH_TOKEN, NOBODYS_WORD } from "../../tests/control_plane_words.ts";
import type { AgentserverScript } from "../../tests/fake_agentserver.ts";
import { waitFor } from "../../tests/wait.ts";
import type { FaultCode } from "../domain/fault.ts";

Deno.test("sandboxOf() of agentserver asks as the contract says and returns the sandbox", () =>
  inScene(async ({ control, sandboxOf, outcomes }) => {
    assert.deepEqual(await sandboxOf(TOKEN), SANDBOX);
    const [lookUp] = control.lookUps;
    assert.equal(lookUp?.method, "POST");
    assert.equal(lookUp.path, "/internal/validate-proxy-token");
    assert.deepEqual(lookUp.body, { proxy_token: TOKEN });
    assert.equal(lookUp.headers.get("content-type"), "application/json");
    assert.deepEqual(outcomes, ["known"]);
  }));

for (const path of ["/", "/control/plane", "/control/plane/"]) {
  Deno.test(`sandboxOf() of agentserver works with the base path ${path}`, () =>
    inScene(async ({ control, sandboxOf }) => {
      assert.deepEqual(await sandboxOf(TOKEN), SANDBOX);
      assert.equal(control.lookUps[0]?.path, `${path.replace(/\/$/, "")}/internal/validate-proxy-token`);
    }, { path }));
}

const STATUSES: readonly (readonly [status: string, code: FaultCode | null])[] = [
  ["running", null],
  ["creating", null],
  ["stopped", "sandbox_inactive"],
  ["deleted", "sandbox_inactive"],
  ["RUNNING", "sandbox_inactive"],
];
for (const [status, code] of STATUSES) {
  Deno.test(`sandboxOf() of agentserver ${code === null ? "accepts" : "refuses"} a sandbox that is ${status}`, () =>
    inScene(async ({ control, sandboxOf }) => {
      control.sandboxes.set(TOKEN, { sandbox_id: "sb-1", workspace_id: "ws-1", status });
      if (code === null) return assert.deepEqual(await sandboxOf(TOKEN), SANDBOX);
      const fault = await faultOf(sandboxOf(TOKEN));
      assert.equal(fault.code, code);
      assert.equal(fault.message, "sandbox not active");
    }));
}

for (const [name, script] of Object.entries(NO_SUCH_TOKEN)) {
  Deno.test(`sandboxOf() of agentserver treats ${name} as an unknown token`, () =>
    inScene(async ({ control, sandboxOf, outcomes }) => {
      control.answer(script);
      const fault = await faultOf(sandboxOf(TOKEN));
      assert.equal(fault.code, "unauthenticated");
      assert.equal(fault.sandbox, null);
      assert.deepEqual(outcomes, ["unknown"]);
    }));
}

Deno.test("sandboxOf() of agentserver names the sandbox of a refused token if the control plane has named it", () =>
  inScene(async ({ control, sandboxOf, pass }) => {
    control.sandboxes.set(TOKEN, { sandbox_id: "sb-1", workspace_id: "ws-1", status: "stopped" });
    const [first, cached] = [await faultOf(sandboxOf(TOKEN)), await faultOf(sandboxOf(TOKEN))];
    assert.equal(control.lookUps.length, 1);
    for (const fault of [first, cached]) assert.deepEqual([fault.code, fault.sandbox], ["sandbox_inactive", SANDBOX]);
    pass(5_000);
    await control.goAway();
    const away = await faultOf(sandboxOf(TOKEN));
    assert.deepEqual([away.code, away.sandbox], ["authority_unavailable", SANDBOX]);
    assert.equal((await faultOf(sandboxOf("token-of-nobody"))).sandbox, null);
    control.comeBack();
    control.sandboxes.set(TOKEN, { sandbox_id: "sb-1", workspace_id: "ws-1", status: "running" });
    assert.deepEqual(await sandboxOf(TOKEN), SANDBOX);
    pass(GRACE_MS);
    await control.goAway();
    const late = await faultOf(sandboxOf(TOKEN));
    assert.deepEqual([late.code, late.sandbox], ["authority_unavailable", SANDBOX]);
    control.comeBack();
  }));

const OUTAGES: Readonly<Record<string, AgentserverScript>> = {
  ...NOBODYS_WORD,
  "status 500": { kind: "status", status: 500 },
  "status 503": { kind: "status", status: 503 },
  "status 400": { kind: "status", status: 400 },
  "status 403": { kind: "status", status: 403 },
  "status 429": { kind: "status", status: 429 },
  "status 204": { kind: "status", status: 204 },
  "status 201": { kind: "status", status: 201 },
  "a redirect": { kind: "redirect", location: "/elsewhere" },
  "a broken answer": { kind: "reset" },
  "an empty answer": { kind: "body", body: "" },
  "HTML": { kind: "body", body: `<html>no route for ${TOKEN}</html>` },
  "JSON null": { kind: "body", body: "null" },
  "a list": { kind: "body", body: "[]" },
  "no status": { kind: "body", body: `{"sandbox_id":"sb-1","workspace_id":"ws-1"}` },
  "a sandbox_id that is a number": { kind: "body", body: `{"sandbox_id":1,"workspace_id":"ws-1","status":"running"}` },
  "an empty workspace_id": { kind: "body", body: `{"sandbox_id":"${TOKEN}","workspace_id":"","status":"running"}` },
  "an answer over 64 KB": {
    kind: "body",
    body: JSON.stringify({ sandbox_id: "sb-1", workspace_id: "ws-1", status: "running", more: "x".repeat(65_536) }),
  },
};
for (const [name, script] of Object.entries(OUTAGES)) {
  Deno.test(`sandboxOf() of agentserver treats ${name} as an outage, caches nothing and keeps the token to itself`, () =>
    inScene(async ({ control, sandboxOf, outcomes, notes }) => {
      control.answer(script);
      const fault = await faultOf(sandboxOf(TOKEN));
      assert.equal(fault.code, "authority_unavailable");
      assert.ok(fault.cause instanceof Error);
      assert.ok(!fault.message.includes("127.0.0.1"));
      assert.ok(!`${Deno.inspect(fault)} ${notes}`.includes(TOKEN));
      assert.deepEqual(outcomes, ["unavailable"]);
      assert.equal(control.lookUps.length, 1);
      control.answer({ kind: "truth" });
      assert.deepEqual(await sandboxOf(TOKEN), SANDBOX);
    }));
}

Deno.test("sandboxOf() of agentserver treats a refused connection as an outage, which ends when it connects again", () =>
  inScene(async ({ control, sandboxOf, notes }) => {
    await control.goAway();
    const fault = await faultOf(sandboxOf(TOKEN));
    assert.equal(fault.code, "authority_unavailable");
    assert.ok(!fault.message.includes("127.0.0.1"));
    await refuses(sandboxOf(TOKEN), "authority_unavailable");
    control.comeBack();
    assert.deepEqual(await sandboxOf(TOKEN), SANDBOX);
    assert.deepEqual(notes.map((note) => note.split(" ")[0]), ["warn", "info"]);
  }));

Deno.test("sandboxOf() of agentserver gives up on a control plane that is slower than the timeout", () =>
  inScene(async ({ control, sandboxOf }) => {
    control.hold();
    const fault = await faultOf(sandboxOf(TOKEN));
    assert.equal(fault.code, "authority_unavailable");
    assert.match(String(fault.cause), /TooSlow/);
  }, { timeoutMs: 50 }));

Deno.test("sandboxOf() of agentserver makes one lookup of 200 concurrent first calls with one token", () =>
  inScene(async ({ control, sandboxOf, outcomes }) => {
    const release = control.hold();
    const calls = Array.from({ length: 200 }, () => sandboxOf(TOKEN));
    await waitFor(() => control.lookUps.length > 0, { what: "the lookup" });
    release();
    assert.deepEqual(new Set((await Promise.all(calls)).map((sandbox) => JSON.stringify(sandbox))).size, 1);
    assert.equal(control.lookUps.length, 1);
    assert.equal(outcomes.filter((outcome) => outcome === "known").length, 1);
    assert.equal(outcomes.filter((outcome) => outcome === "cached").length, 199);
  }));

Deno.test("sandboxOf() of agentserver fails 200 concurrent calls by one lookup that fails", () =>
  inScene(async ({ control, sandboxOf }) => {
    control.answer({ kind: "status", status: 500 });
    const faults = await Promise.all(Array.from({ length: 200 }, () => faultOf(sandboxOf(TOKEN))));
    assert.deepEqual([...new Set(faults.map((fault) => fault.code))], ["authority_unavailable"]);
    assert.equal(control.lookUps.length, 1);
  }));

Deno.test("sandboxOf() of agentserver makes no caller wait the whole timeout twice while the control plane hangs", () =>
  inScene(async ({ control, sandboxOf, outcomes, pass }) => {
    await sandboxOf(TOKEN);
    pass(30_000);
    control.answer({ kind: "status", status: 500 });
    await sandboxOf(TOKEN);
    const release = control.hold();
    pass(1_000);
    const started = performance.now();
    assert.deepEqual(await sandboxOf(TOKEN), SANDBOX);
    const waited = performance.now() - started;
    assert.ok(waited < 3_500, `waited ${waited} ms`);
    pass(250);
    const [before, lookUps] = [performance.now(), control.lookUps.length];
    for (let call = 0; call < 50; call++) await sandboxOf(TOKEN);
    assert.ok(performance.now() - before < 1_900, "calls that join a late lookup do not wait for it");
    assert.equal(control.lookUps.length, lookUps);
    control.answer({ kind: "status", status: 401 });
    release();
    await waitFor(() => outcomes.includes("unknown"), { what: "the late lookup" });
    await refuses(sandboxOf(TOKEN), "unauthenticated");
  }));

Deno.test("sandboxOf() of agentserver waits for a slow control plane that was not down, grace or not", () =>
  inScene(async ({ control, sandboxOf, pass }) => {
    await sandboxOf(TOKEN);
    pass(30_000);
    control.sandboxes.delete(TOKEN);
    const release = control.hold();
    const [asked, started] = [sandboxOf(TOKEN), performance.now()];
    asked.catch(() => {});
    await waitFor(() => control.lookUps.length === 2 && performance.now() - started > 400, { what: "longer than the patience" });
    release();
    await refuses(asked, "unauthenticated");
  }));

Deno.test("sandboxOf() of agentserver does not let another token's failures hide a revocation", () =>
  inScene(async ({ control, sandboxOf, pass }) => {
    await sandboxOf(TOKEN);
    pass(30_000);
    control.answer({ kind: "status", status: 500 });
    await refuses(sandboxOf("a token that makes the control plane stumble"), "authority_unavailable");
    control.answer({ kind: "status", status: 401 });
    await refuses(sandboxOf(TOKEN), "unauthenticated");
  }));

Deno.test("sandboxOf() of agentserver asks again about a running call's token if the answer is older than it may be, and observes only questions", () =>
  inScene(async ({ control, sandboxOf, outcomes, pass }) => {
    await sandboxOf(TOKEN);
    pass(1_499);
    assert.deepEqual(await sandboxOf(TOKEN, { maxAgeMs: 1_500 }), SANDBOX);
    assert.equal(control.lookUps.length, 1);
    pass(1);
    assert.deepEqual(await sandboxOf(TOKEN, { maxAgeMs: 1_500 }), SANDBOX);
    assert.deepEqual(outcomes, ["known", "known"]);
    control.sandboxes.set(TOKEN, { sandbox_id: "sb-1", workspace_id: "ws-1", status: "stopped" });
    pass(1_500);
    await refuses(sandboxOf(TOKEN, { maxAgeMs: 1_500 }), "sandbox_inactive");
    await refuses(sandboxOf(TOKEN), "sandbox_inactive");
    assert.deepEqual(outcomes, ["known", "known", "known", "cached"]);
  }));

Deno.test("sandboxOf() of agentserver does not know about a running call's token while the control plane is down, and new calls keep their grace", () =>
  inScene(async ({ control, sandboxOf, pass }) => {
    await sandboxOf(TOKEN);
    await control.goAway();
    pass(1_500);
    await refuses(sandboxOf(TOKEN, { maxAgeMs: 1_500 }), "authority_unavailable");
    pass(30_000);
    assert.deepEqual(await sandboxOf(TOKEN), SANDBOX);
    control.comeBack();
  }));
