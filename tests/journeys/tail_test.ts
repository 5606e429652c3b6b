/** `llmproxy tail` in a pipe and on a terminal, over restarts, and with several replicas. */
import assert from "node:assert/strict";
import { failing } from "../fake_answers.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { operatorOf } from "../operator.ts";
import { startPostgres } from "../postgres_server.ts";
import { runCommandLine, type RunningCommand, startCommandLine, startProxyProcess } from "../proxy_process.ts";
import { messageCall, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { openTerminal, plain } from "../terminal.ts";
import { waitFor } from "../wait.ts";

const WARM = "warm";

type Caller = Pick<ProxyUnderTest, "url" | "token">;

Deno.test("tail shows each call once as it ends, over a kill and a restart of the proxy, and ends with 0 at SIGINT", async () => {
  await using upstream = await startFakeUpstream();
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const ports = { LLMPROXY_LISTEN_ADDR: "127.0.0.1:0", LLMPROXY_ADMIN_ADDR: "127.0.0.1:0" };
  const first = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env: ports });
  await using tail = startCommandLine(["tail", "--json"], first.env);
  await follows(tail, first);
  await call(first, "one");
  await waitFor(() => tracesIn(tail).length === 1, { what: "the first line" });
  first.kill("SIGKILL");
  await first.exited();
  await waitFor(() => /Waiting for it/.test(tail.stderr()), { what: "tail to notice" });
  const again = { ...ports, LLMPROXY_ADMIN_ADDR: first.env.LLMPROXY_ADMIN_ADDR! };
  {
    await using second = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env: again });
    await call(second, "two");
    await waitFor(() => tracesIn(tail).length === 2, { what: "the second line" });
    assert.match(tail.stderr(), /The proxy answers again\.\n$/);
    tail.kill("SIGINT");
    assert.equal(await tail.exited(), 0);
  }
  assert.deepEqual(tracesIn(tail), ["one", "two"]);
  const { workspaceId, outcome, costUsd } = JSON.parse(tail.lines().at(-1)!);
  assert.deepEqual([workspaceId, outcome, costUsd], ["acme", "completed", "0.081796750"]);
  await first[Symbol.asyncDispose]();
  await Deno.remove(dataDir, { recursive: true });
});

Deno.test("tail on a terminal shows a table, failures in red, and ends with 0 at Ctrl-C", async () => {
  await using proxy = await startProxy();
  const { env } = operatorOf(proxy);
  await using terminal = openTerminal(["tail", "--workspace", "acme"], { env });
  await waitFor(() => terminal.written().includes("ENDED"), { what: "the headings" });
  await call(proxy, "other", "beta");
  await call(proxy, "good");
  await waitFor(() => terminal.written().includes("completed"), { what: "the first call" });
  proxy.upstream.answer(failing(529));
  await call(proxy, "bad");
  await waitFor(() => terminal.written().includes("overloaded_error"), { what: "the second call" });
  await terminal.type("\x03");
  assert.equal(await terminal.exited(), 0);
  const lines = terminal.written().replaceAll("\x1b", "␛").trimEnd().split("\r\n").filter((line) => !line.startsWith("^C"));
  assert.match(
    lines[0]!,
    /^␛\[1mENDED +WORKSPACE +SANDBOX +TRACE +MODEL +UPSTREAM +OUTCOME +TOOK +INPUT +CACHE READ +OUTPUT +COST␛\[0m$/,
  );
  assert.match(lines[1]!, /^20\S+Z +acme +s1 +good +claude-haiku-4-5 +anthropic +completed +\S.* +5 +30,005 +10,005 +\$0\.0818$/);
  assert.match(
    lines[2]!,
    /^␛\[31m20\S+Z +acme +s1 +bad +claude-haiku-4-5 +anthropic +upstream_error 529 overloaded_error .*␛\[0m$/,
  );
  assert.ok(!plain(terminal.written()).includes("beta"));
});

Deno.test("tail of one replica shows the calls of all, and each once", async () => {
  await using postgres = await startPostgres();
  const env = { LLMPROXY_DATABASE_URL: await postgres.newDatabase() };
  await using one = await startProxy({ env });
  await using other = await startProxy({ env });
  await using tail = startCommandLine(["tail", "--json"], operatorOf(one).env);
  await follows(tail, other);
  const expected: string[] = [];
  for (let n = 0; n < 6; n++) {
    await call(n % 2 === 0 ? one : other, `t-${n}`);
    expected.push(`t-${n}`);
  }
  await waitFor(() => tracesIn(tail).length >= expected.length, { what: "all calls" });
  tail.kill("SIGTERM");
  assert.equal(await tail.exited(), 0);
  assert.deepEqual(tracesIn(tail).toSorted(), expected);
});

Deno.test("tail ends quietly if the reader of its output leaves, and fails with 3 if no proxy answers at first", async () => {
  await using proxy = await startProxy();
  const { env } = operatorOf(proxy);
  await using tail = startCommandLine(["tail", "--json"], env);
  await follows(tail, proxy);
  await tail.stopReading();
  await call(proxy, "one");
  assert.equal(await tail.exited(), 0);
  assert.equal(tail.stderr(), "");
  const nowhere = await runCommandLine(["tail"], { ...env, LLMPROXY_ADMIN_URL: "http://127.0.0.1:1" });
  assert.equal(nowhere.code, 3);
});

/** Makes calls until tail shows one: no test sees when the proxy has answered it first. */
async function follows(tail: RunningCommand, proxy: Caller): Promise<void> {
  await waitFor(async () => {
    await call(proxy, WARM);
    return tail.lines().length > 0;
  }, { what: "tail to follow" });
}

/** The traces of the lines, except of those that it began with. */
function tracesIn(tail: RunningCommand): readonly string[] {
  return tail.lines().map((line) => String(JSON.parse(line).traceId)).filter((trace) => trace !== WARM);
}

async function call(proxy: Caller, trace: string, workspace = "acme"): Promise<void> {
  const token = await proxy.token(workspace);
  const answer = await fetch(`${proxy.url}/v1/messages`, messageCall(token, { headers: { "x-trace-id": trace } }));
  await answer.text();
}
