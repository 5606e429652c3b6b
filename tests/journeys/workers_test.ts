import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { systemOf } from "../../src/server/system.ts";
import { defaultAnswer, eventStream, heldBefore, messageTo, type SeenCall, streamed } from "../fake_answers.ts";
import { messageEvents } from "../fake_messages.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { assertExactRows, assertRecorded, callAndRead, type SeenAnswer, textOf } from "../metered_calls.ts";
import { metricOf, readinessOf } from "../process_metrics.ts";
import { type ProxyProcess, startProxyProcess } from "../proxy_process.ts";
import { messageCall, OPERATOR_KEY, startProxy } from "../proxy_under_test.ts";
import { RawConnection } from "../raw_connection.ts";
import { gate, waitFor } from "../wait.ts";

/** Connections at a time. That one worker of two gets them all happens once in 10^12. */
const CLIENTS = 40;
/** Whole answers after which a worker is killed. */
const ENOUGH = 150;
/** The first delta has passed. */
const STARTED_EVENTS = 4;
const TRACE = "x-trace-id";
/** DESIGN, promise of a revocation. */
const REVOKED_MS = 5_000;
const NOTICED_MS = 5_000;

for (const count of [2, 4]) {
  const of = `of ${count} workers`;
  const env = { LLMPROXY_WORKERS: String(count) };

  Deno.test(`kill -9 of one ${of} under load loses no answer that was seen whole; the others go on and another one starts`, async () => {
    await using stand = await standOf(env);
    const { upstream, proxy } = stand;
    upstream.answer((call) => isStreamed(call) ? streamed({ paceMs: 2 })(call) : defaultAnswer(call));
    const token = await proxy.token();
    const seen = new Map<string, SeenAnswer | null>();
    const until = gate();
    const isOver = { now: false };
    void until.passed.then(() => isOver.now = true);
    const clients = Array.from({ length: CLIENTS }, () => callUntil(proxy, { seen, token, isOver }));
    const whole = () => [...seen.values()].filter((answer) => answer?.isWhole).length;
    await waitFor(() => whole() >= ENOUGH, { what: "enough whole answers", deadlineMs: 30_000 });

    const [victim = assert.fail()] = workersOf(proxy);
    Deno.kill(victim, "SIGKILL");
    const before = whole();
    await waitFor(() => whole() >= before + ENOUGH, { what: "the other workers to go on", deadlineMs: 30_000 });
    await waitFor(async () => await metricOf(proxy, "llmproxy_workers") === count, { what: "another worker" });
    await waitFor(() => workersOf(proxy).length === count + 1, { what: "its line in the log" });
    assert.equal(await metricOf(proxy, "llmproxy_worker_restarts_total"), 1);
    until.open();
    await Promise.all(clients);

    const rows = await proxy.closedRows(whole());
    const sent = upstream.calls.map((call) => call.header(TRACE)!);
    assertRecorded(seen, rows, sent);
    const unknown = rows.filter((row) => row.outcome === "unknown");
    assert.ok(unknown.length <= CLIENTS, "more is unknown than was in flight");
    assert.ok(rows.every((row) => ["completed", "unknown"].includes(String(row.outcome))));
    const { totals } = await proxy.ask("/internal/usage") as { totals: { requestCount: number; unknownCount: number } };
    assert.deepEqual([totals.requestCount, totals.unknownCount], [rows.length, unknown.length]);
  });

  Deno.test(`a token that is revoked works in none ${of} a moment later`, async () => {
    await using stand = await standOf(env);
    const { proxy } = stand;
    const token = await proxy.token();
    for (const answer of await freshCalls(proxy, token)) assert.equal(answer, 200);
    const { tokens } = await proxy.ask("/internal/tokens") as { tokens: { id: string }[] };
    const at = performance.now();
    const revoked = await fetch(`${proxy.adminUrl}/internal/tokens/${tokens[0]!.id}`, {
      method: "DELETE",
      headers: { authorization: `Bearer ${proxy.env.LLMPROXY_ADMIN_TOKEN}` },
    });
    await revoked.body?.cancel();
    for (const answer of await freshCalls(proxy, token)) assert.equal(answer, 401);
    assert.ok(performance.now() - at < REVOKED_MS);
  });

  Deno.test(`SIGTERM drains all ${of}: streams finish and are recorded, and the proxy ends with 0`, async () => {
    await using stand = await standOf({ ...env, LLMPROXY_DRAIN_SECONDS: "600" });
    const { upstream, proxy } = stand;
    const held = gate();
    upstream.answer((call) => halted(call, held.passed));
    const token = await proxy.token();
    const running = Promise.all(Array.from({ length: CLIENTS }, (_, n) => callAndRead(proxy.url, { token, text: textOf(n) })));
    await upstream.waitForCalls(CLIENTS, 20_000);
    assert.equal(await metricOf(proxy, "llmproxy_calls_in_flight"), CLIENTS);
    proxy.kill("SIGTERM");
    await waitFor(() => drainingLines(proxy) === count, { what: "all workers to drain" });
    held.open();
    assertExactRows(await exitedRows(proxy), await running);
  });

  Deno.test(`a second signal cuts the calls of all ${of}, and each is recorded`, async () => {
    await using stand = await standOf({ ...env, LLMPROXY_DRAIN_SECONDS: "600" });
    const { upstream, proxy } = stand;
    const never = gate();
    upstream.answer((call) => halted(call, never.passed));
    const token = await proxy.token();
    const started = new Set<number>();
    const running = Array.from(
      { length: CLIENTS },
      (_, n) => callAndRead(proxy.url, { token, text: textOf(n), onText: () => void started.add(n) }),
    );
    await waitFor(() => started.size === CLIENTS, { what: "the streams to begin", deadlineMs: 20_000 });
    proxy.kill("SIGTERM");
    await waitFor(() => drainingLines(proxy) === count, { what: "all workers to drain" });
    proxy.kill("SIGINT");
    const rows = await exitedRows(proxy);
    for (const answer of await Promise.all(running)) {
      assert.deepEqual([answer.status, answer.isWhole], [200, false]);
      assert.ok(answer.error instanceof Error, "a cut stream ended tidily");
    }
    assert.deepEqual(rows.map(({ outcome }) => outcome), Array(CLIENTS).fill("proxy_cut"));
    never.open();
  });
}

Deno.test("workers record in spools of their own, and a start with fewer workers takes the rows and open calls of all", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  await using upstream = await startFakeUpstream();
  const never = gate();
  upstream.answer((call) => call.header(TRACE)!.startsWith("held") ? halted(call, never.passed) : defaultAnswer(call));
  let answers: readonly SeenAnswer[];
  {
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env: { LLMPROXY_WORKERS: "4" } });
    const token = await proxy.token();
    const held = Array.from({ length: CLIENTS }, (_, n) => callAndRead(proxy.url, { token, text: "x", traceId: `held-${n}` }));
    await upstream.waitForCalls(CLIENTS, 20_000);
    const call = (n: number) => callAndRead(proxy.url, { token, text: textOf(n), stream: false, traceId: `t-${n}` });
    answers = await Promise.all(Array.from({ length: CLIENTS }, (_, n) => call(n)));
    proxy.kill("SIGKILL");
    await proxy.exited();
    await Promise.all(held);
  }
  const spools = [...Deno.readDirSync(dataDir)].map(({ name }) => name).filter((name) => /^spool-\d\.db$/.test(name));
  assert.deepEqual(spools.sort(), ["spool-0.db", "spool-1.db", "spool-2.db", "spool-3.db"]);
  {
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir });
    const rows = await proxy.closedRows(2 * CLIENTS);
    assertExactRows(rows.filter(({ trace_id }) => String(trace_id).startsWith("t-")), answers);
    const held = rows.filter(({ trace_id }) => String(trace_id).startsWith("held-"));
    assert.deepEqual(held.map(({ outcome, accuracy }) => [outcome, accuracy]), Array(CLIENTS).fill(["unknown", "unknown"]));
  }
  never.open();
  await Deno.remove(dataDir, { recursive: true });
});

Deno.test("workers end if their parent is killed, so the next start gets the directory and the port", async () => {
  await using stand = await standOf({ LLMPROXY_WORKERS: "2" });
  const { proxy, upstream, dataDir } = stand;
  const workers = workersOf(proxy);
  proxy.kill("SIGKILL");
  await proxy.exited();
  await waitFor(() => workers.every((pid) => !isAlive(pid)), { what: "the workers to end" });
  const env = { LLMPROXY_WORKERS: "2", LLMPROXY_LISTEN_ADDR: new URL(proxy.url).host };
  await using again = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
  assert.equal((await readinessOf(again)).status, "ok");
});

for (const [what, does] of [["the database", "rm llmproxy.db*"], ["one spool", "rm spool-1.db*"]] as const) {
  Deno.test(`the loss of ${what} is noticed by all workers: they refuse calls, and none of their answers ends tidily`, async () => {
    await using stand = await standOf({ LLMPROXY_WORKERS: "2" });
    const { proxy, upstream, dataDir } = stand;
    const held = gate();
    upstream.answer((call) => halted(call, held.passed));
    const token = await proxy.token();
    const running = Promise.all(Array.from({ length: CLIENTS }, (_, n) => callAndRead(proxy.url, { token, text: textOf(n) })));
    await upstream.waitForCalls(CLIENTS, 20_000);
    const { success } = await new Deno.Command("sh", { args: ["-c", does], cwd: dataDir }).output();
    assert.ok(success);
    await waitFor(async () => (await freshCalls(proxy, token)).every((status) => status === 503), {
      what: "all workers to notice",
      deadlineMs: NOTICED_MS,
    });
    const isTold = async () => (await readinessOf({ url: proxy.adminUrl })).status === "unavailable";
    await waitFor(isTold, { what: "the admin listener to notice", deadlineMs: NOTICED_MS });
    assert.equal(await metricOf(proxy, "llmproxy_ledger_trouble"), 1);
    held.open();
    for (const answer of await running) assert.ok(answer.error !== null && !answer.isWhole, "a lost row's answer ended tidily");
    proxy.kill("SIGTERM");
    assert.equal((await proxy.exited()).code, 0);
  });
}

Deno.test("new secrets reach every worker, also one that is being started again", async () => {
  const keyFile = await Deno.makeTempFile({ prefix: "llmproxy-test-" });
  await Deno.writeTextFile(keyFile, OPERATOR_KEY);
  await using stand = await standOf({ LLMPROXY_WORKERS: "2", ANTHROPIC_API_KEY: "", ANTHROPIC_API_KEY_FILE: keyFile });
  const { proxy, upstream } = stand;
  const token = await proxy.token();
  Deno.kill(workersOf(proxy)[0]!, "SIGKILL");
  await waitFor(async () => await metricOf(proxy, "llmproxy_workers") === 1, { what: "the worker's death to be noticed" });
  const fresh = `${OPERATOR_KEY}-fresh`;
  await Deno.writeTextFile(keyFile, fresh);
  proxy.kill("SIGHUP");
  await waitFor(async () => await metricOf(proxy, "llmproxy_workers") === 2, { what: "another worker" });
  const isRead = () => proxy.logs().some(({ msg }) => msg === "the secrets were read again");
  await waitFor(isRead, { what: "the secrets to be read again" });
  upstream.forget();
  await freshCalls(proxy, token);
  assert.deepEqual([...new Set(upstream.calls.map((call) => call.header("x-api-key")))], [fresh]);
  await Deno.remove(keyFile);
});

Deno.test("counters do not go down while workers drain one after the other", async () => {
  await using stand = await standOf({ LLMPROXY_WORKERS: "2", LLMPROXY_DRAIN_SECONDS: "600" });
  const { upstream, proxy } = stand;
  const token = await proxy.token();
  for (const status of await freshCalls(proxy, token)) assert.equal(status, 200);
  const ended = async () => await callsIn(proxy);
  await waitFor(async () => await ended() === CLIENTS, { what: "all calls to be counted" });
  const held = gate();
  upstream.answer((call) => halted(call, held.passed));
  const running = callAndRead(proxy.url, { token, text: "x" });
  await upstream.waitForCalls(CLIENTS + 1);
  proxy.kill("SIGTERM");
  await waitFor(async () => await metricOf(proxy, "llmproxy_workers") === 1, { what: "one worker to end" });
  assert.equal(await ended(), CLIENTS);
  held.open();
  assert.equal((await running).isWhole, true);
  assert.equal((await proxy.exited()).code, 0);
});

Deno.test("workers that cannot record their calls at a stop make the proxy end with 1", async () => {
  await using stand = await standOf({ LLMPROXY_WORKERS: "2", LLMPROXY_DRAIN_SECONDS: "1" });
  const { upstream, proxy, dataDir } = stand;
  const held = gate();
  upstream.answer((call) => halted(call, held.passed));
  const token = await proxy.token();
  const running = Promise.all(Array.from({ length: CLIENTS }, (_, n) => callAndRead(proxy.url, { token, text: textOf(n) })));
  await upstream.waitForCalls(CLIENTS, 20_000);
  const locks = [0, 1].map((number) => new DatabaseSync(`${dataDir}/spool-${number}.db`, { timeout: 5_000 }));
  for (const lock of locks) lock.exec("BEGIN IMMEDIATE");
  proxy.kill("SIGTERM");
  const isEnded = async () => await metricOf(proxy, "llmproxy_workers") === 0;
  await waitFor(isEnded, { what: "the workers to give up", deadlineMs: 30_000 });
  for (const lock of locks) lock.close();
  held.open();
  assert.equal((await proxy.exited()).code, 1);
  for (const answer of await running) assert.equal(answer.isWhole, false);
  assert.match(proxy.output(), /ended calls could not be recorded|did not end in time/);
});

Deno.test("a worker whose program cannot be started is tried again", async () => {
  const { startWorker } = systemOf({ env: () => undefined, names: [], readFile: () => "" });
  let starts = 0;
  const failing = () => {
    if (++starts === 3) throw new Deno.errors.NotFound("no such program");
    return startWorker();
  };
  await using proxy = await startProxy({ env: { LLMPROXY_WORKERS: "2" }, system: { startWorker: failing } });
  const workers = () => proxy.logs.map((line) => JSON.parse(line)).filter(({ msg }) => msg === "a worker listens");
  await waitFor(() => workers().length === 2, { what: "two workers" });
  Deno.kill(workers()[0].pid, "SIGKILL");
  await waitFor(() => workers().length === 3, { what: "another worker" });
  assert.equal(starts, 4);
  assert.ok(proxy.logs.some((line) => line.includes("a worker cannot start") && line.includes("no such program")));
});

Deno.test("a worker that hangs is killed after 15 s, and another one serves in its place", async () => {
  await using stand = await standOf({ LLMPROXY_WORKERS: "2" });
  const { proxy } = stand;
  Deno.kill(workersOf(proxy)[0]!, "SIGSTOP");
  await waitFor(() => workersOf(proxy).length === 3, { what: "another worker", deadlineMs: 30_000 });
  const token = await proxy.token();
  assert.deepEqual([...new Set(await freshCalls(proxy, token))], [200]);
  assert.ok(proxy.logs().some(({ msg, level }) => level === "error" && msg === "a worker does not answer and is killed"));
});

Deno.test("workers do not join another program on its port", async () => {
  using other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = other.addr as Deno.NetAddr;
  const env = { LLMPROXY_WORKERS: "2", LLMPROXY_LISTEN_ADDR: `127.0.0.1:${port}` };
  await assert.rejects(standOf(env), /Cannot listen on 127\.0\.0\.1:\d+: .*LLMPROXY_LISTEN_ADDR must name a free address/);
});

Deno.test("one budget of bodies holds for all workers: a sandbox has no more than its own, wherever its connections are", async () => {
  await using stand = await standOf({
    LLMPROXY_WORKERS: "2",
    LLMPROXY_BODY_BUDGET_MB: "64",
    LLMPROXY_BODY_BUDGET_PER_SANDBOX_MB: "32",
    LLMPROXY_DRAIN_SECONDS: "0",
  });
  const { proxy } = stand;
  const token = await proxy.token();
  const bytes = 2 * 1_048_576;
  const uploads = Array.from({ length: 24 }, () => new RawConnection(proxy.url));
  const answers: number[] = [];
  for (const upload of uploads) {
    const headers = [["host", "x"], ["x-api-key", token], ["content-length", String(bytes)]] as const;
    void upload.send({ method: "POST", target: "/v1/messages", headers, body: new Uint8Array([0x7b]) }).then(
      ({ status }) => answers.push(status),
      () => {},
    );
  }
  const held = () => metricOf(proxy, "llmproxy_buffered_bytes");
  await waitFor(async () => answers.length + await held() / bytes === uploads.length, {
    what: "each upload to be held or refused",
  });
  assert.ok(await held() <= 32 * 1_048_576, "the sandbox holds more than its budget");
  assert.ok(await held() >= 20 * 1_048_576, "less than half of the budget and one worker's part can be used");
  assert.ok(answers.every((status) => status === 503) && answers.length >= 8);
  for (const upload of uploads) upload[Symbol.dispose]();
  await waitFor(async () => await held() === 0, { what: "the room to be free again" });
});

interface Stand extends AsyncDisposable {
  readonly proxy: ProxyProcess;
  readonly upstream: Awaited<ReturnType<typeof startFakeUpstream>>;
  readonly dataDir: string;
}

async function standOf(env: Readonly<Record<string, string>>): Promise<Stand> {
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const upstream = await startFakeUpstream();
  const end = async () => {
    await upstream[Symbol.asyncDispose]();
    await Deno.remove(dataDir, { recursive: true });
  };
  try {
    const proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
    return {
      ...{ proxy, upstream, dataDir },
      [Symbol.asyncDispose]: async () => {
        await proxy[Symbol.asyncDispose]();
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Process ids of all workers that have listened so far. */
function workersOf(proxy: ProxyProcess): readonly number[] {
  return proxy.logs().filter(({ msg }) => msg === "a worker listens").map(({ pid }) => Number(pid));
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
}

function drainingLines(proxy: ProxyProcess): number {
  return proxy.logs().filter(({ msg }) => msg === "draining").length;
}

async function exitedRows(proxy: ProxyProcess) {
  assert.equal((await proxy.exited()).code, 0);
  return proxy.rows();
}

/** Makes calls one after the other until it is over, also after one that broke. */
async function callUntil(
  proxy: ProxyProcess,
  { seen, token, isOver }: {
    readonly seen: Map<string, SeenAnswer | null>;
    readonly token: string;
    readonly isOver: { readonly now: boolean };
  },
): Promise<void> {
  while (!isOver.now) {
    const number = seen.size;
    const traceId = `t-${number}`;
    seen.set(traceId, null);
    const text = textOf(number % 1_000);
    // A client's fetch sends a call again if a connection that it uses again breaks.
    const headers = { connection: "close" };
    seen.set(traceId, await callAndRead(proxy.url, { token, text, stream: number % 2 === 0, traceId, headers }));
  }
}

/** The statuses of as many calls at once, each on a connection of its own. */
async function freshCalls(proxy: ProxyProcess, token: string): Promise<readonly number[]> {
  const init = messageCall(token, { headers: { connection: "close" } });
  return await Promise.all(Array.from({ length: CLIENTS }, async () => {
    using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
    const answer = await fetch(`${proxy.url}/v1/messages`, { ...init, client });
    await answer.body?.cancel();
    return answer.status;
  }));
}

/** Ended calls that `/metrics` has counted. */
async function callsIn(proxy: ProxyProcess): Promise<number> {
  const headers = { authorization: `Bearer ${proxy.env.LLMPROXY_ADMIN_TOKEN}` };
  const text = await (await fetch(`${proxy.adminUrl}/metrics`, { headers })).text();
  return [...text.matchAll(/^llmproxy_calls_total\{.*\} (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
}

function isStreamed(call: SeenCall): boolean {
  return (call.json() as { stream: boolean }).stream;
}

/** A stream that stops after its first delta, until then. */
function halted(call: SeenCall, until: Promise<void>) {
  return eventStream(heldBefore(messageEvents(messageTo(call)), { number: STARTED_EVENTS, until }));
}
