import assert from "node:assert/strict";
import type { SeenCall } from "../fake_answers.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { CALL_USD, type LimitedAnswer, limitedCall, quota, tenCentAnswer, tenCentEnv } from "../limited_calls.ts";
import { startPostgres } from "../postgres_server.ts";
import { metricOf, readinessOf } from "../process_metrics.ts";
import { type ProxyProcess, startProxyProcess } from "../proxy_process.ts";
import { type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { startTcpRelay } from "../relaying_proxy.ts";
import { type Gate, gate, waitFor } from "../wait.ts";

const TRACE = "x-trace-id";

/** An upstream whose answers a test lets out, by the call's trace. */
class HeldAnswers {
  /** Traces of calls that have come, in order. */
  readonly seen: string[] = [];
  readonly #gates: { readonly trace: string; readonly gate: Gate }[] = [];

  readonly answer = (call: SeenCall) => {
    const trace = call.header(TRACE)!;
    this.seen.push(trace);
    if (trace.startsWith("free")) return tenCentAnswer(call);
    const held = { trace, gate: gate() };
    this.#gates.push(held);
    return held.gate.passed.then(() => tenCentAnswer(call));
  };

  /** Answers all calls that wait now. */
  open(): void {
    for (const { gate } of this.#gates.splice(0)) gate.open();
  }
}

function admin(proxy: ProxyProcess) {
  return { adminUrl: proxy.adminUrl, adminToken: proxy.env.LLMPROXY_ADMIN_TOKEN! };
}

function admittedOf(answers: readonly LimitedAnswer[]): number {
  assert.ok(answers.every(({ status }) => status === 200 || status === 429), JSON.stringify(answers.map(({ status }) => status)));
  return answers.filter(({ status }) => status === 200).length;
}

Deno.test("kill -9 of a replica near the limit: once its lease ends its reservations are free, and nothing counts twice", async () => {
  await using postgres = await startPostgres({ own: true });
  const url = await postgres.newDatabase();
  const held = new HeldAnswers();
  await using upstream = await startFakeUpstream();
  upstream.answer(held.answer);
  const env = { ...await tenCentEnv(), LLMPROXY_DATABASE_URL: url };
  const dirs = [await Deno.makeTempDir({ prefix: "llmproxy-test-" }), await Deno.makeTempDir({ prefix: "llmproxy-test-" })];
  const start = (n: number) => startProxyProcess({ upstreamUrl: upstream.url, dataDir: dirs[n]!, env });
  await using dying = await start(0);
  await using living = await start(1);
  const token = await living.token("w");
  await quota(admin(living), "/w", { max_cost_per_day_usd: "2" });
  for (const proxy of [dying, living]) {
    await waitFor(async () => await metricOf(proxy, "llmproxy_limits") === 1, { what: "all to know" });
  }

  const used = async () => (await quota(admin(living), "/w")).limits[0].used;
  for (let n = 0; n < 5; n++) assert.equal((await limitedCall(dying.url, token, { trace: `free-${n}` })).status, 200);
  for (let n = 0; n < 10; n++) limitedCall(dying.url, token, { trace: `dies-${n}` }).catch(() => {});
  await waitFor(() => held.seen.length === 15, { what: "ten calls to run" });
  await waitFor(async () => Number(await metricOf(dying, "llmproxy_unshipped_rows")) === 0, { what: "five rows" });
  const [{ holder }] = await postgres.psql("SELECT DISTINCT holder FROM reservations", url) as [{ holder: string }];
  const five = Array.from({ length: 5 }, (_, n) => limitedCall(living.url, token, { trace: `lives-${n}` }));
  await waitFor(() => held.seen.length === 20, { what: "five calls to run" });
  assert.equal((await limitedCall(living.url, token)).status, 429);
  dying.kill("SIGKILL");
  await dying.exited();
  assert.equal((await limitedCall(living.url, token)).status, 429);
  assert.equal(await used(), "2.000000000");

  // The lease ends.
  await postgres.psql(`UPDATE reservation_holders SET expires_at = 0 WHERE id = '${holder}'`, url);
  const more = await Promise.all(
    Array.from({ length: 15 }, (_, n) => limitedCall(living.url, token, { trace: `free-again-${n}` })),
  );
  assert.equal(admittedOf(more), 10);
  held.open();
  assert.equal(admittedOf(await Promise.all(five)), 5);

  await using again = await start(0);
  await waitFor(async () => (await quota(admin(living), "/w")).today_request_count === 30, { what: "all rows" });
  assert.equal(await used(), "2.000000000");
  assert.equal((await limitedCall(again.url, token)).status, 429);
  await waitFor(async () => (await postgres.psql("SELECT id FROM reservations", url)).length === 0, { what: "no reservation" });
  for (const dir of dirs) await Deno.remove(dir, { recursive: true });
});

Deno.test("PostgreSQL unreachable near the limit: each replica admits from the last totals alone, says so, and totals are exact afterwards", async () => {
  await using postgres = await startPostgres({ own: true });
  const url = await postgres.newDatabase();
  const relays = [await startTcpRelay(postgres.port), await startTcpRelay(postgres.port)];
  const replicas: ProxyUnderTest[] = [];
  for (const { port } of relays) {
    const through = new URL(url);
    through.port = String(port);
    replicas.push(await startProxy({ env: { ...await tenCentEnv(), LLMPROXY_DATABASE_URL: through.href } }));
  }
  const [first] = replicas as [ProxyUnderTest];
  for (const { upstream } of replicas) upstream.answer((call) => tenCentAnswer(call));
  const token = await first.token("w");
  await quota(first, "/w", { max_cost_per_day_usd: "3" });
  for (const proxy of replicas) {
    await waitFor(async () => await metricOf(proxy, "llmproxy_limits") === 1, { what: "all to know" });
  }
  // Tokens are looked up once while the database is there.
  for (let n = 0; n < 20; n++) assert.equal((await limitedCall(replicas[n % 2]!.url, token)).status, 200);

  for (const relay of relays) relay.cut();
  const answers = await Promise.all(
    replicas.map(({ url }) => Promise.all(Array.from({ length: 30 }, () => limitedCall(url, token)))),
  );
  const alone = answers.map(admittedOf);
  // The last totals that they had are 19 and 20 calls.
  assert.ok(alone[0]! >= 10 && alone[0]! <= 11 && alone[1] === 10, JSON.stringify(alone));
  for (const proxy of replicas) {
    assert.equal(await metricOf(proxy, "llmproxy_limits_alone"), 1);
    const { code, status, reason } = await readinessOf(proxy);
    assert.deepEqual([code, status], [200, "degraded"]);
    assert.ok(reason !== "");
  }

  for (const relay of relays) relay.mend();
  for (const proxy of replicas) {
    await waitFor(async () => await metricOf(proxy, "llmproxy_limits_alone") === 0, { what: "the store" });
  }
  const calls = 20 + alone[0]! + alone[1]!;
  const spent = async () => {
    const { today_request_count: count, limits: [limit] } = await quota(first, "/w");
    return [count, Number(limit.used)];
  };
  assert.deepEqual(await spent(), [calls, Math.round(calls * CALL_USD * 10) / 10]);
  for (const { url } of replicas) assert.equal((await limitedCall(url, token)).status, 429);
  await waitFor(async () => (await postgres.psql("SELECT id FROM reservations", url)).length === 0, { what: "all rows" });
  assert.deepEqual(await spent(), [calls, Math.round(calls * CALL_USD * 10) / 10]);
  for (const proxy of replicas) await waitFor(async () => (await readinessOf(proxy)).status === "ok", { what: "readiness" });
  for (const one of [...replicas, ...relays]) await one[Symbol.asyncDispose]();
});

Deno.test("200 waiting calls of one sandbox keep five of others no longer than two rounds, and those that leave go nowhere", async () => {
  await using proxy = await startProxy({ env: await tenCentEnv() });
  const held = new HeldAnswers();
  proxy.upstream.answer(held.answer);
  const [greedy, ...modest] = await Promise.all(
    ["greedy", "m0", "m1", "m2", "m3", "m4"].map((sandbox) => proxy.token("w", sandbox)),
  );
  await quota(proxy, "/w", { max_concurrent: 4 });
  const waiting = (calls: number) =>
    waitFor(async () => await metricOf(proxy, "llmproxy_calls_waiting") === calls, { what: `${calls} calls to wait` });
  const leave = new AbortController();
  const busy = Array.from({ length: 204 }, () => limitedCall(proxy.url, greedy!, { trace: "greedy", signal: leave.signal }));
  for (const call of busy) call.catch(() => {});
  await waiting(200);
  const others = modest.map((token, n) => limitedCall(proxy.url, token, { trace: `modest-${n}` }));
  await waiting(205);
  assert.equal(held.seen.length, 4);
  for (const calls of [8, 12]) {
    held.open();
    await waitFor(() => held.seen.length === calls, { what: "the next round" });
  }
  assert.deepEqual(held.seen.filter((trace) => trace !== "greedy").toSorted(), others.map((_, n) => `modest-${n}`));

  leave.abort();
  await waiting(0);
  held.open();
  assert.equal(admittedOf(await Promise.all(others)), 5);
  const { limits: [limit] } = await waitFor(async () => {
    const found = await quota(proxy, "/w");
    return found.limits[0].used === 0 && found;
  }, { what: "all places to be free" });
  assert.equal(limit.kind, "concurrent");
  assert.equal(held.seen.length, 12);
  const { usage } = await proxy.ask("/internal/usage") as { usage: { requestCount: number }[] };
  assert.equal(usage.reduce((sum, { requestCount }) => sum + requestCount, 0), 12);
});

Deno.test("a stop refuses at once the calls that wait for a place, and serves those that run", async () => {
  await using proxy = await startProxy({ env: await tenCentEnv() });
  const held = new HeldAnswers();
  proxy.upstream.answer(held.answer);
  const token = await proxy.token("w");
  await quota(proxy, "/w", { max_concurrent: 1 });
  const running = limitedCall(proxy.url, token, { trace: "runs" });
  await waitFor(() => held.seen.length === 1, { what: "a call to run" });
  const waits = limitedCall(proxy.url, token, { trace: "waits" });
  await waitFor(async () => await metricOf(proxy, "llmproxy_calls_waiting") === 1, { what: "a call to wait" });
  const stopped = proxy.running.stop();
  const { status, error } = await waits;
  assert.equal(status, 503);
  assert.match(error!.message, /restarting/);
  held.open();
  assert.equal((await running).status, 200);
  await stopped;
  assert.deepEqual(held.seen, ["runs"]);
});

Deno.test("kill -9 of the workers whose calls hold all places: those that come next get them, and clients that leave hold none", async () => {
  const held = new HeldAnswers();
  await using upstream = await startFakeUpstream();
  upstream.answer(held.answer);
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const env = { ...await tenCentEnv(), LLMPROXY_WORKERS: "2" };
  await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
  const workers = () => proxy.logs().filter(({ msg }) => msg === "a worker listens").map(({ pid }) => Number(pid));
  const token = await proxy.token("w");
  await quota(admin(proxy), "/w", { max_concurrent: 2 });
  const leave = new AbortController();
  for (let n = 0; n < 2; n++) limitedCall(proxy.url, token, { trace: "dies" }).catch(() => {});
  await waitFor(() => held.seen.length === 2, { what: "two calls to run" });
  for (let n = 0; n < 3; n++) limitedCall(proxy.url, token, { trace: "leaves", signal: leave.signal }).catch(() => {});
  await waitFor(async () => await metricOf(proxy, "llmproxy_calls_waiting") === 3, { what: "three calls to wait" });
  leave.abort();
  await waitFor(async () => await metricOf(proxy, "llmproxy_calls_waiting") === 0, { what: "nothing to wait" });
  assert.deepEqual(proxy.logs().filter(({ level }) => level === "error"), []);
  for (const pid of workers()) Deno.kill(pid, "SIGKILL");
  await waitFor(() => workers().length === 4, { what: "other workers" });
  const next = await Promise.all(Array.from({ length: 3 }, (_, n) => limitedCall(proxy.url, token, { trace: `free-${n}` })));
  assert.equal(admittedOf(next), 3);
  assert.equal(held.seen.length, 5);
  await Deno.remove(dataDir, { recursive: true });
});

Deno.test("limits and what is used of them outlive SIGHUP and a restart", async () => {
  await using upstream = await startFakeUpstream();
  upstream.answer((call) => tenCentAnswer(call));
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const env = await tenCentEnv();
  let token = "";
  for (const [run, expected] of [[200, 200, 429], [429, 429, 429]].entries()) {
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
    token ||= await proxy.token("w");
    if (run === 0) await quota(admin(proxy), "/w", { max_rpd: 2 });
    for (const [n, status] of expected.entries()) {
      assert.equal((await limitedCall(proxy.url, token)).status, status);
      if (n === 0) proxy.kill("SIGHUP");
    }
    proxy.kill("SIGTERM");
    await proxy.exited();
  }
  await Deno.remove(dataDir, { recursive: true });
});
