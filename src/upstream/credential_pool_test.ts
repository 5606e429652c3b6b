import assert from "node:assert/strict";
import { credentialOf } from "../../tests/fake_credentials.ts";
import { waitFor } from "../../tests/wait.ts";
import { Fault } from "../domain/fault.ts";
import type { CallToSend } from "../domain/upstream.ts";
import { CredentialPool } from "./credential_pool.ts";

const MODEL = "claude-haiku-4-5";
const PATIENCE_MS = 60_000;
const THREE = ["a", "b", "c"].map((id) => credentialOf(id));
const SESSIONS = Array.from({ length: 300 }, (_, n) => `at-${n}`);
const STAYS = new AbortController().signal;

Deno.test("forCall() keeps a session on one credential through 500 calls with a short 429 among them", async () => {
  const stand = standOf();
  stand.isClockReal = true;
  stand.waits = 30;
  const home = await stand.place("at-1");
  let waitedMs = 0;
  for (let n = 0; n < 500; n++) {
    if (n === 250) stand.answered(home, 429);
    const from = performance.now();
    assert.equal(await stand.place("at-1"), home);
    if (n === 250) waitedMs = performance.now() - from;
  }
  assert.ok(waitedMs > 25, `it waited ${waitedMs} ms`);
});

Deno.test("forCall() spreads sessions by weight, and those of other workspaces with the same name apart", async () => {
  const stand = standOf([credentialOf("a"), credentialOf("b", { weight: 3 })]);
  const places = await stand.places();
  const share = places.filter((id) => id === "b").length / places.length;
  assert.ok(share > 0.65 && share < 0.85, `b has ${share}`);
  const others = await Promise.all(SESSIONS.map((traceId) => stand.place(traceId, { workspaceId: "w2" })));
  assert.notDeepEqual(others, places);
});

Deno.test("refused() takes a credential out: only its sessions move, and they return when it is good again", async () => {
  const stand = standOf();
  const before = await stand.places();
  stand.statuses.b = 401;
  assert.equal(await stand.pool.refused(stand.of("b")), true);
  const after = await stand.places();
  for (const [n, id] of after.entries()) assert.ok(before[n] === "b" ? id !== "b" : id === before[n], `session ${n}`);
  assert.deepEqual(stand.pool.state.isOut, new Map([["a", false], ["b", true], ["c", false]]));
  assert.deepEqual([...stand.pool.state.outages], [["b", { why: "refused", retryInMs: 5_000 }]]);
  assert.deepEqual(stand.pool.readiness(), { status: "degraded", reason: "1 of 3 upstream credentials are out of use" });
  assert.deepEqual(stand.lines, [
    ["error", "an upstream credential is out of use, because the upstream refuses it: its sessions use the others", "b"],
  ]);

  stand.statuses.b = 200;
  assert.deepEqual(await stand.places(), after, "it was tried before its time");
  assert.equal(stand.checks.length, 1);
  stand.clock += 5_000;
  await stand.placesOnce(before);
  assert.deepEqual(stand.checks, ["b", "b"]);
  assert.deepEqual(stand.lines[1], ["info", "an upstream credential is in use again", "b"]);
  assert.deepEqual(stand.pool.readiness(), { status: "ok", reason: null });
  assert.equal(stand.pool.state.outages.size, 0);
});

Deno.test("refused() asks again with a back-off, once at a time, of up to five minutes", async () => {
  const stand = standOf();
  stand.statuses.b = 403;
  await Promise.all([1, 2, 3].map(() => stand.pool.refused(stand.of("b"))));
  assert.equal(stand.checks.length, 1);
  const waits = [5, 10, 20, 40, 80, 160, 300, 300];
  for (const [n, seconds] of waits.entries()) {
    stand.clock += 1_000 * seconds - 1;
    await stand.places();
    assert.equal(stand.checks.length, n + 1, `it was asked before ${seconds} s`);
    stand.clock += 1;
    await stand.places();
    await waitFor(() => stand.checks.length === n + 2 && stand.isIdle(), { what: "a check" });
  }
});

Deno.test("refused() believes the upstream's free request more than a sandbox's call, and the call if that says nothing", async () => {
  const stand = standOf();
  assert.equal(await stand.pool.refused(stand.of("b")), false);
  stand.answered("c", 403);
  await waitFor(() => stand.checks.length === 2 && stand.isIdle(), { what: "the check of a 403" });
  assert.equal(stand.pool.readiness().status, "ok");
  stand.statuses.c = 500;
  stand.answered("c", 403);
  await waitFor(() => stand.checks.length === 3 && stand.isIdle(), { what: "another check" });
  assert.equal(stand.pool.readiness().status, "ok", "a server error took a credential out");
  stand.statuses.c = 403;
  stand.answered("c", 403);
  await waitFor(() => stand.pool.readiness().status === "degraded", { what: "the credential to be out" });
  stand.statuses.b = 0;
  assert.equal(await stand.pool.refused(stand.of("b")), true);
});

Deno.test("outOfCredit() takes a credential out, and one call tries it when its time has come", async () => {
  const stand = standOf();
  const before = await stand.places();
  stand.pool.outOfCredit(stand.of("b"));
  const after = await stand.places();
  assert.ok(!after.includes("b"));
  stand.clock += 60_000;
  for (const workspaceId of SESSIONS) stand.pool.ofWorkspace(workspaceId);
  const tried = (await stand.places()).filter((id) => id === "b");
  assert.equal(tried.length, 1, `${tried.length} calls tried it`);
  stand.pool.outOfCredit(stand.of("b"));
  stand.clock += 119_999;
  assert.ok(!(await stand.places()).includes("b"), "the back-off did not grow");
  stand.clock += 1;
  assert.equal((await stand.places()).filter((id) => id === "b").length, 1);
  stand.answered("b", 200);
  assert.deepEqual(await stand.places(), before);
  assert.deepEqual(stand.checks, [], "the free request says nothing of credit");
});

Deno.test("unsent() lets another call try a credential without credit: one that is refused here tells nothing", async () => {
  const stand = standOf();
  const before = await stand.places();
  const ofB = before.flatMap((id, n) => id === "b" ? [SESSIONS[n]!] : []);
  stand.pool.outOfCredit(stand.of("b"));
  for (let n = 0; n < 20; n++) {
    stand.clock += n === 0 ? 60_000 : 0;
    assert.equal(await stand.place(ofB[n]!), "b", `try ${n}`);
    assert.notEqual(await stand.place(ofB[n + 1]!), "b", "two calls tried it");
    stand.pool.unsent(stand.of("b"));
  }
  assert.equal(await stand.place(ofB[0]!), "b");
  stand.pool.outOfCredit(stand.of("b"));
  stand.pool.unsent(stand.of("b"));
  stand.clock += 119_999;
  assert.ok(!(await stand.places()).includes("b"), "it was tried before its time");
  stand.clock += 1;
  assert.equal((await stand.places()).filter((id) => id === "b").length, 1);
});

Deno.test("outOfCredit() lengthens the back-off once for each try, and a try without an answer does not", async () => {
  const stand = standOf();
  const ofB = (await stand.places()).flatMap((id, n) => id === "b" ? [SESSIONS[n]!] : []);
  for (let n = 0; n < 3; n++) stand.pool.outOfCredit(stand.of("b"));
  for (const seconds of [60, 60, 60]) {
    stand.clock += 1_000 * seconds - 1;
    assert.notEqual(await stand.place(ofB[0]!), "b", "it was tried before its time");
    stand.clock += 1;
    assert.equal(await stand.place(ofB[0]!), "b", "a try without an answer lengthened the back-off");
  }
  for (let n = 0; n < 3; n++) stand.pool.outOfCredit(stand.of("b"));
  stand.clock += 120_000;
  assert.equal(await stand.place(ofB[0]!), "b");
});

Deno.test("a credential without credit stays out until a call succeeds, whatever the free request says of it meanwhile", async () => {
  const stand = standOf();
  const before = await stand.places();
  const checked = async (say: () => unknown) => {
    const count = stand.checks.length;
    await say();
    await waitFor(() => stand.checks.length > count && stand.isIdle(), { what: "a check" });
  };
  // First refused, then without credit.
  stand.statuses.b = 403;
  await stand.pool.refused(stand.of("b"));
  stand.pool.outOfCredit(stand.of("b"));
  stand.statuses.b = 200;
  stand.clock += 5_000;
  assert.ok(!(await stand.places()).includes("b"), "the free request took it in");
  // The try is due, and meanwhile the free request is refused once.
  stand.clock += 55_000;
  stand.statuses.b = 403;
  await checked(() => stand.answered("b", 403));
  stand.statuses.b = 200;
  stand.clock += 3_600_000;
  assert.equal((await stand.places()).filter((id) => id === "b").length, 1, "more than one call was sent there");
  assert.equal(stand.pool.readiness().status, "degraded");
  stand.answered("b", 200);
  assert.deepEqual(await stand.places(), before);
});

Deno.test("readiness() is unavailable only if all are out and none is to be tried, and calls still go to their own", async () => {
  const stand = standOf();
  const before = await stand.places();
  for (const { id } of THREE) {
    stand.statuses[id] = 401;
    const isAnotherIn = await stand.pool.refused(stand.of(id));
    assert.equal(isAnotherIn, id !== "c");
  }
  assert.deepEqual(stand.pool.readiness(), { status: "unavailable", reason: "3 of 3 upstream credentials are out of use" });
  assert.deepEqual(await stand.places(), before);
  stand.answered("a", 200);
  assert.deepEqual([...new Set(await stand.places())], ["a"]);
  stand.clock += 5_000;
  assert.equal(stand.pool.readiness().status, "degraded");
});

Deno.test("a reload takes all in again, and what a replaced credential gets to hear changes nothing", async () => {
  const stand = standOf();
  const [, old] = stand.all;
  stand.pool.outOfCredit(old!);
  assert.equal(stand.pool.readiness().status, "degraded");
  stand.all = THREE.map((each) => ({ ...each }));
  assert.equal(stand.pool.readiness().status, "ok");
  stand.pool.outOfCredit(old!);
  assert.equal(await stand.pool.refused(old!), false);
  assert.equal(stand.pool.readiness().status, "ok");
});

Deno.test("a single credential is never taken out, checked or left", async () => {
  const stand = standOf([credentialOf("only")]);
  stand.statuses.only = 401;
  assert.equal(await stand.pool.refused(stand.of("only")), false);
  stand.pool.outOfCredit(stand.of("only"));
  stand.answered("only", 403);
  assert.deepEqual([stand.pool.readiness().status, stand.checks.length, stand.lines.length], ["ok", 0, 0]);
  assert.equal(await stand.place("at-1"), "only");
  assert.equal(stand.pool.ofWorkspace("w1").id, "only");
});

Deno.test("forCall() moves a session for as long as the upstream's wait is longer than a call may have", async () => {
  const stand = standOf();
  const home = await stand.place("at-1");
  stand.waits = PATIENCE_MS + 1;
  stand.answered(home, 429);
  const other = await stand.place("at-1");
  assert.notEqual(other, home);
  assert.equal(await stand.place("at-1", { requestedModel: "claude-opus-5" }), home, "another model's limit counted");
  stand.clock += PATIENCE_MS + 1;
  assert.equal(await stand.place("at-1"), home);
});

Deno.test("forCall() refuses with the shortest wait if the upstream asks all credentials for long ones", async () => {
  const stand = standOf();
  for (const [id, seconds] of [["a", 900], ["b", 300], ["c", 600]] as const) {
    stand.waits = 1_000 * seconds;
    stand.answered(id, 429);
  }
  for (const traceId of SESSIONS.slice(0, 20)) {
    const isBusy = (error: unknown) =>
      error instanceof Fault && error.code === "upstream_busy" && error.retryAfterSeconds === 300;
    await assert.rejects(stand.place(traceId), isBusy);
  }
  assert.equal(stand.pool.state.holds, 3);
});

Deno.test("forCall() lets calls that wait choose again if their credential is taken out", async () => {
  const stand = standOf();
  const home = await stand.place("at-1");
  stand.waits = 30_000;
  stand.answered(home, 429);
  const waiting = stand.place("at-1");
  await waitFor(() => stand.pool.state.waiting === 1, { what: "the call to wait" });
  stand.pool.outOfCredit(stand.of(home));
  assert.notEqual(await waiting, home);
  assert.equal(stand.pool.state.waiting, 0);
});

Deno.test("holding() is the credential of that id; of one that is not there any more, the first", async () => {
  const stand = standOf();
  assert.equal(stand.pool.holding("c").id, "c");
  assert.equal(stand.pool.holding("gone").id, "a");
  assert.equal(stand.pool.holding(null).id, "a");
  for (const traceId of SESSIONS.slice(0, 20)) assert.equal(await stand.place(traceId, { heldBy: "c" }), "c");
});

Deno.test("ofWorkspace() is one credential for all calls of a workspace, and another one if that is out", () => {
  const stand = standOf();
  const home = stand.pool.ofWorkspace("w1");
  stand.pool.outOfCredit(home);
  assert.notEqual(stand.pool.ofWorkspace("w1").id, home.id);
  const places = SESSIONS.map((workspaceId) => stand.pool.ofWorkspace(workspaceId).id);
  assert.equal(new Set(places).size, 2);
});

function standOf(credentials = THREE) {
  const lines: (readonly unknown[])[] = [];
  const checks: string[] = [];
  let open = 0;
  const stand = {
    all: credentials as readonly (typeof credentials)[number][],
    clock: 0,
    isClockReal: false,
    /** What the next answer asks to wait, milliseconds. */
    waits: 0,
    /** Of the free request; 0: it fails. */
    statuses: {} as Record<string, number>,
    lines,
    checks,
    isIdle: () => open === 0,
    of: (id: string) => stand.all.find((each) => each.id === id)!,
    answered: (id: string, status: number) => stand.pool.answered(stand.of(id), { status, headers: new Headers() }, MODEL),
    place: async (traceId: string, over: Partial<CallToSend> = {}) => {
      const call = { workspaceId: "w1", sandboxId: "s1", traceId, requestedModel: MODEL, requestClass: null, heldBy: null };
      return (await stand.pool.forCall({ ...call, ...over }, STAYS)).id;
    },
    places: () => Promise.all(SESSIONS.map((traceId) => stand.place(traceId))),
    placesOnce: async (expected: readonly string[]) => {
      await waitFor(async () => String(await stand.places()) === String(expected), { what: "the sessions to return" });
    },
    pool: null as unknown as CredentialPool,
  };
  stand.pool = new CredentialPool({
    all: () => stand.all,
    patienceMs: PATIENCE_MS,
    waitMsOf: ({ status }) => status === 429 ? stand.waits : 0,
    roomOf: () => ({}),
    check: async ({ id }) => {
      checks.push(id);
      open++;
      await Promise.resolve();
      open--;
      const status = stand.statuses[id] ?? 200;
      if (status === 0) throw new Error("unreachable");
      return status;
    },
    now: () => stand.clock,
    elapsed: () => stand.isClockReal ? performance.now() : stand.clock,
    observe: { note: (level, message, fields) => void lines.push([level, message, fields?.credentialId]) },
  });
  return stand;
}
