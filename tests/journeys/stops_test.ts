import assert from "node:assert/strict";
import { startReplicas } from "../chaos/replicas.ts";
import { defaultAnswer, eventStream, heldBefore, messageTo } from "../fake_answers.ts";
import { startFakeAgentserver } from "../fake_agentserver.ts";
import { messageEvents, usageOf } from "../fake_messages.ts";
import { type FakeUpstream, startFakeUpstream } from "../fake_upstream.ts";
import { callAndRead, type SeenAnswer, textOf } from "../metered_calls.ts";
import { startPostgres } from "../postgres_server.ts";
import { metricOf } from "../process_metrics.ts";
import { runCommandLine, startProxyProcess } from "../proxy_process.ts";
import { messageCall, type Row, startProxy } from "../proxy_under_test.ts";
import { arrivedRows } from "../shared_rows.ts";
import { gate, waitFor } from "../wait.ts";

/** Issue 11, acceptance 7. */
const STREAMS = 100;
const CUT_MS = 2_000;
/** How often the control plane is asked about one token at most. */
const ASKED_AGAIN_MS = 1_500;
/** The first delta has passed. */
const STARTED_EVENTS = 4;
const ADMIN_TOKEN = "admin-token-of-the-tests-0123456789";

interface CutEntry {
  readonly target: string;
  readonly workspaceId: string;
  readonly before: { readonly id: string; readonly sandboxId: string };
  readonly after?: unknown;
}

interface Proxy {
  readonly url: string;
  readonly adminUrl: string;
  readonly token: (workspaceId?: string, sandboxId?: string) => Promise<string>;
}

const postgres = await startPostgres();
Deno.test.afterAll(async () => await postgres[Symbol.asyncDispose]());

Deno.test(`a suspended workspace's ${STREAMS} streams on two replicas are cut within 2 s and recorded, and both refuse its new calls`, async () => {
  const databaseUrl = await postgres.newDatabase();
  await using upstream = await holdingUpstream();
  await using replicas = await startReplicas({ count: 2, upstreamUrl: upstream.url, databaseUrl });
  const [one, other] = replicas.all.map(({ proxy }) => proxy!) as unknown as readonly [Proxy, Proxy];
  const tokens = [await one.token("acme", "sb-1"), await other.token("acme", "sb-2")];
  const neighbour = await one.token("other", "sb-1");
  const neighbours = await begun([one, other].map((proxy) => ({ proxy, token: neighbour })));
  const running = await begun(
    Array.from({ length: STREAMS }, (_, n) => ({ proxy: [one, other][n % 2]!, token: tokens[n >> 1 & 1]! })),
  );

  const { ms, answers } = await timed(running, async () => {
    const { status, json } = await admin(one, "PUT", "/internal/suspensions/acme", { reason: "the budget is spent" });
    assert.deepEqual([status, json.workspaceId, json.reason], [200, "acme", "the budget is spent"]);
  });
  assert.ok(ms < CUT_MS, `the last stream was cut after ${ms} ms`);
  assertStopped(await arrivedRows(postgres, { count: STREAMS, url: databaseUrl }), answers, "suspended");
  for (const proxy of [one, other]) for (const token of tokens) await refuses(proxy, token, 403, /suspended/);
  assert.deepEqual((await admin(other, "GET", "/internal/suspensions")).json.suspensions.length, 1);

  upstream.goOn();
  for (const answer of await Promise.all(neighbours)) assert.ok(answer.isWhole, "a stream of another workspace was cut");
  const resumed = await admin(other, "DELETE", "/internal/suspensions/acme");
  assert.deepEqual([resumed.status, resumed.json.reason], [200, "the budget is spent"]);
  assert.equal((await admin(other, "DELETE", "/internal/suspensions/acme")).status, 404);
  for (const proxy of [one, other]) await servesAgain(proxy, tokens[0]!);
});

Deno.test("a suspension holds through a restart while PostgreSQL is away, though the token works by its copy", async () => {
  await using database = await startPostgres({ own: true });
  const url = await database.newDatabase();
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const env = { LLMPROXY_DATABASE_URL: url };
  const tokens = { suspended: "", good: "" };
  {
    await using proxy = await startProxy({ env, dataDir });
    tokens.suspended = await proxy.token("acme", "sb-1");
    tokens.good = await proxy.token("other", "sb-1");
    for (const token of Object.values(tokens)) assert.equal((await callAndRead(proxy.url, { token, text: "x" })).status, 200);
    assert.equal((await admin(proxy, "PUT", "/internal/suspensions/acme")).status, 200);
  }
  await database.stop();
  {
    await using proxy = await startProxy({ env, dataDir });
    await refuses(proxy, tokens.suspended, 403, /suspended/);
    assert.equal((await callAndRead(proxy.url, { token: tokens.good, text: "x" })).status, 200);
    for (const method of ["PUT", "DELETE"]) assert.equal((await admin(proxy, method, "/internal/suspensions/acme")).status, 503);
    await database.start();
    await waitFor(async () => (await admin(proxy, "DELETE", "/internal/suspensions/acme")).status === 200, {
      what: "PostgreSQL",
    });
    assert.equal((await callAndRead(proxy.url, { token: tokens.suspended, text: "x" })).status, 200);
  }
  await Deno.remove(dataDir, { recursive: true });
});

Deno.test(`a suspended sandbox's ${STREAMS} streams in four workers are cut within 2 s, and those of its neighbours are not; kill -9 changes nothing`, async () => {
  await using upstream = await holdingUpstream();
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const start = () => startProxyProcess({ upstreamUrl: upstream.url, dataDir, env: { LLMPROXY_WORKERS: "4" } });
  const tokens = { sandbox: "", neighbour: "" };
  {
    await using proxy = await start();
    tokens.sandbox = await proxy.token("acme", "sb-1");
    tokens.neighbour = await proxy.token("acme", "sb-2");
    const neighbours = await begun(Array.from({ length: 8 }, () => ({ proxy, token: tokens.neighbour })));
    const running = await begun(Array.from({ length: STREAMS }, () => ({ proxy, token: tokens.sandbox })));
    const listed = (await admin(proxy, "GET", "/internal/requests?sandbox_id=sb-1")).json.requests;
    assert.equal(listed.length, STREAMS);
    assert.ok(new Set(listed.map(({ worker }: { worker: number }) => worker)).size > 1, "one worker had them all");

    const { ms, answers } = await timed(running, async () => {
      assert.equal((await admin(proxy, "PUT", "/internal/suspensions/acme/sandboxes/sb-1")).status, 200);
    });
    assert.ok(ms < CUT_MS, `the last stream was cut after ${ms} ms`);
    const { code, stdout, stderr } = await runCommandLine(["suspend", "acme", "--sandbox", "sb-1"], proxy.env);
    assert.deepEqual([code, stdout, stderr], [0, "suspended sandbox sb-1 of workspace acme\n", ""]);
    for (let n = 0; n < 8; n++) await refuses(proxy, tokens.sandbox, 403, /suspended/);
    upstream.goOn();
    for (const answer of await Promise.all(neighbours)) assert.ok(answer.isWhole, "a stream of another sandbox was cut");
    const rows = await proxy.closedRows(STREAMS + neighbours.length);
    assertStopped(rows.filter(({ sandbox_id }) => sandbox_id === "sb-1"), answers, "suspended");
    proxy.kill("SIGKILL");
    await proxy.exited();
  }
  {
    await using proxy = await start();
    for (let n = 0; n < 8; n++) await refuses(proxy, tokens.sandbox, 403, /suspended/);
    const { code, stdout } = await runCommandLine(["resume", "acme", "--sandbox", "sb-1"], proxy.env);
    assert.deepEqual([code, stdout], [0, "resumed sandbox sb-1 of workspace acme\n"]);
    for (let n = 0; n < 8; n++) assert.equal((await callAndRead(proxy.url, { token: tokens.sandbox, text: "x" })).status, 200);
    const again = await runCommandLine(["resume", "acme", "--sandbox", "sb-1"], proxy.env);
    assert.deepEqual([again.code, again.stderr], [1, "Cannot resume sandbox sb-1 of workspace acme: it is not suspended\n"]);
  }
  await Deno.remove(dataDir, { recursive: true });
});

Deno.test("a local token that one replica revokes has its streams cut on both within 2 s, and those of the sandbox's other token go on", async () => {
  const databaseUrl = await postgres.newDatabase();
  await using upstream = await holdingUpstream();
  await using replicas = await startReplicas({ count: 2, upstreamUrl: upstream.url, databaseUrl });
  const [one, other] = replicas.all.map(({ proxy }) => proxy!) as unknown as readonly [Proxy, Proxy];
  const token = await one.token("acme", "sb-1");
  const [{ id }] = (await admin(one, "GET", "/internal/tokens")).json.tokens;
  const kept = await one.token("acme", "sb-1");
  const keptRunning = await begun([one, other].map((proxy) => ({ proxy, token: kept })));
  const running = await begun([one, other, one, other].map((proxy) => ({ proxy, token })));

  const { ms, answers } = await timed(running, async () => {
    assert.equal((await admin(one, "DELETE", `/internal/tokens/${id}`)).status, 200);
  });
  assert.ok(ms < CUT_MS, `the last stream was cut after ${ms} ms`);
  assertStopped(await arrivedRows(postgres, { count: answers.length, url: databaseUrl }), answers, "unauthenticated");
  for (const proxy of [one, other]) await refuses(proxy, token, 401, /invalid proxy token/);
  upstream.goOn();
  for (const answer of await Promise.all(keptRunning)) assert.ok(answer.isWhole, "a stream of another token was cut");
});

for (const [change, fault] of [["stopped", "sandbox_inactive"], ["gone", "unauthenticated"]] as const) {
  Deno.test(`streams of a sandbox that is ${change} at the control plane are cut without a further call, and an outage cuts none`, async () => {
    await using upstream = await holdingUpstream();
    await using control = startFakeAgentserver();
    const info = { workspace_id: "acme", status: "running" };
    control.sandboxes.set("token-1", { ...info, sandbox_id: "sb-1" });
    control.sandboxes.set("token-2", { ...info, sandbox_id: "sb-2" });
    await using proxy = await startProxy({ env: { LLMPROXY_AGENTSERVER_URL: control.url, ANTHROPIC_BASE_URL: upstream.url } });
    const running = await begun([{ proxy, token: "token-1" }, { proxy, token: "token-1" }]);
    const neighbours = await begun([{ proxy, token: "token-2" }]);

    await control.goAway();
    const failed = () => proxy.text("/metrics").then((text) => Number(/outcome="unavailable"\} (\d+)/.exec(text)?.[1]));
    await waitFor(async () => await failed() >= 4, { what: "questions without an answer about both tokens" });
    assert.equal((await admin(proxy, "GET", "/internal/requests")).json.requests.length, 3);
    control.comeBack();

    const [before, since] = [control.lookUps.length, performance.now()];
    await waitFor(() => control.lookUpsOf("token-1") > 1, { what: "the control plane to be asked again" });
    const { ms, answers } = await timed(running, () => {
      if (change === "gone") control.sandboxes.delete("token-1");
      else control.sandboxes.set("token-1", { ...info, sandbox_id: "sb-1", status: "stopped" });
      return Promise.resolve();
    });
    // A lookup takes its time on a busy machine.
    assert.ok(ms < 2 * CUT_MS, `the last stream was cut after ${ms} ms`);
    const rounds = 1 + (performance.now() - since) / ASKED_AGAIN_MS;
    assert.ok(control.lookUps.length - before <= 2 * rounds, "the control plane is asked too often");
    const closed = () => proxy.rows().filter(({ outcome }) => outcome !== null);
    await waitFor(() => closed().length === answers.length, { what: "the rows to be closed" });
    assertStopped(closed(), answers, fault);
    upstream.goOn();
    for (const answer of await Promise.all(neighbours)) assert.ok(answer.isWhole, "a stream of another sandbox was cut");
  });
}

for (const workers of ["1", "2"]) {
  Deno.test(`a call that waits for a place is refused at once if its sandbox is suspended, its token revoked or the call cut, with LLMPROXY_WORKERS=${workers}`, async () => {
    await using upstream = await holdingUpstream();
    const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
    {
      const env = { LLMPROXY_WORKERS: workers, LLMPROXY_QUEUE_SECONDS: "60" };
      await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
      assert.equal((await admin(proxy, "PUT", "/internal/quotas/acme", { max_concurrent: 1 })).status, 200);
      await waitFor(async () => await metricOf(proxy, "llmproxy_limits") === 1, { what: "the limit" });
      const token = await proxy.token("acme", "sb-1");
      const [running] = await begun([{ proxy, token }]);
      for (const [sandboxId, status] of [["sb-2", 403], ["sb-3", 401], ["sb-4", 403]] as const) {
        const waiting = callAndRead(proxy.url, { token: await proxy.token("acme", sandboxId), text: "hello" });
        const listed = async () => (await admin(proxy, "GET", `/internal/requests?sandbox_id=${sandboxId}`)).json.requests;
        await waitFor(async () => (await listed()).length === 1, { what: "the call to wait" });
        const [{ id, status: none }] = await listed();
        assert.equal(none, null);
        const { ms, answers } = await timed([waiting], async () => {
          const { tokens } = (await admin(proxy, "GET", "/internal/tokens")).json;
          const tokenId = tokens.find((each: { sandboxId: string }) => each.sandboxId === sandboxId).id;
          const [method, path] = {
            "sb-2": ["PUT", "/internal/suspensions/acme/sandboxes/sb-2"],
            "sb-3": ["DELETE", `/internal/tokens/${tokenId}`],
            "sb-4": ["DELETE", `/internal/requests/${id}`],
          }[sandboxId] as [string, string];
          assert.equal((await admin(proxy, method, path)).status, 200);
        });
        assert.equal(answers[0]!.status, status);
        assert.ok(ms < CUT_MS, `${sandboxId}: it was refused after ${ms} ms`);
        assert.deepEqual(await listed(), []);
      }
      assert.equal(upstream.calls.length, 1);
      upstream.goOn();
      assert.ok((await running!).isWhole);
      assert.equal(
        (await callAndRead(proxy.url, { token, text: "next" })).status,
        200,
        "a call that was stopped holds the place",
      );
      assert.equal((await proxy.closedRows(2)).length, 2);
    }
    await Deno.remove(dataDir, { recursive: true });
  });
}

Deno.test("GET /internal/requests lists calls in flight as far as they are known, and DELETE cuts one of them", async () => {
  await using upstream = await holdingUpstream();
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  {
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir });
    const token = await proxy.token("acme", "sb-1");
    const [stream] = await begun([{ proxy, token }]);
    const silent = callAndRead(proxy.url, { token, text: "silent", stream: false, traceId: "at-silent" });
    await upstream.waitForCalls(2, 10_000);
    const counting = fetch(`${proxy.url}/v1/messages/count_tokens`, messageCall(token, { text: "silent" }));
    counting.catch(() => {});
    await upstream.waitForCalls(3, 10_000);
    const list = async (query = "") => (await admin(proxy, "GET", `/internal/requests${query}`)).json.requests;
    const requests = await list();
    assert.deepEqual(requests.map(({ route, traceId }: Row) => [route, traceId]), [
      ["messages", "at-0"],
      ["messages", "at-silent"],
      ["count_tokens", null],
    ]);
    const [first, second, third] = requests;
    const { input_tokens, cache_read_input_tokens, cache_creation_input_tokens } = usageOf(textOf(0));
    assert.deepEqual(
      [first.status, first.accuracy, first.inputTokens, first.cacheReadInputTokens, first.cacheCreationInputTokens],
      [200, "estimated", input_tokens, cache_read_input_tokens, cache_creation_input_tokens],
    );
    assert.ok(first.outputTokens > 0 && Number(first.costUsd) > 0 && first.ageMs >= 0, JSON.stringify(first));
    for (const call of [second, third]) {
      const { status, accuracy, inputTokens, outputTokens, cacheReadInputTokens, costUsd, worker } = call;
      assert.deepEqual([status, accuracy, worker], [null, "unknown", null]);
      assert.deepEqual([inputTokens, outputTokens, cacheReadInputTokens, costUsd], [null, null, null, null]);
    }
    assert.deepEqual([second.model, third.model], ["claude-haiku-4-5", null]);
    assert.deepEqual((await list("?trace_id=at-silent")).map(({ id }: Row) => id), [second.id]);
    assert.deepEqual(await list("?workspace_id=other"), []);
    const table = await runCommandLine(["requests", "--trace", "at-0"], proxy.env);
    assert.match(
      table.stdout,
      new RegExp(`^ID .*COST\\n${first.id} +acme +sb-1 +at-0 +claude-haiku-4-5 .* ~[\\d,]+ +~<?\\$0\\.\\d{4}\\n$`),
    );

    assert.equal((await admin(proxy, "DELETE", `/internal/requests/${first.id}`)).json.id, first.id);
    const answer = await stream!;
    assert.deepEqual([answer.status, answer.isWhole, answer.error instanceof Error], [200, false, true]);
    assert.equal((await admin(proxy, "DELETE", `/internal/requests/${second.id}`)).status, 200);
    assert.equal((await silent).status, 403);
    assert.equal((await admin(proxy, "DELETE", `/internal/requests/${third.id}`)).status, 200);
    assert.equal((await counting).status, 403);
    assert.match((await (await counting).json()).error.message, /operator/);
    assert.equal((await admin(proxy, "DELETE", `/internal/requests/${third.id}`)).status, 404);
    assert.deepEqual(await list(), []);
    const { audit } = (await admin(proxy, "GET", "/internal/audit?action=request.cut")).json;
    assert.deepEqual(
      audit.map(({ target, workspaceId, before, after }: CutEntry) => [target, workspaceId, before.id, before.sandboxId, after]),
      [third, second, first].map(({ id }) => [id, "acme", id, "sb-1", undefined]),
    );
    assert.deepEqual([audit[2].who, audit[2].address, audit[2].before.traceId], ["admin", "127.0.0.1", "at-0"]);
    const rows = await proxy.closedRows(2);
    assert.deepEqual(
      rows.map(({ outcome, error_type, accuracy, input_tokens }) => [outcome, error_type, accuracy, input_tokens]),
      [
        ["stopped", "call_cut", "estimated", input_tokens],
        ["stopped", "call_cut", "unknown", 0],
      ],
    );
  }
  await Deno.remove(dataDir, { recursive: true });
});

/**
 * Streams halt after their first delta until `goOn`. Calls whose text is `silent` get no answer
 * before.
 */
async function holdingUpstream(): Promise<FakeUpstream & { readonly goOn: () => void }> {
  const upstream = await startFakeUpstream();
  const held = gate();
  upstream.answer((call) => {
    if (JSON.stringify(call.json()).includes('"silent"')) return "stall";
    const isStreamed = (call.json() as { stream?: unknown }).stream === true;
    if (!isStreamed) return defaultAnswer(call);
    return eventStream(heldBefore(messageEvents(messageTo(call)), { number: STARTED_EVENTS, until: held.passed }));
  });
  return Object.assign(upstream, { goOn: held.open });
}

/** Starts these calls. Resolves to their answers once something of each has come. */
async function begun(calls: readonly { readonly proxy: Pick<Proxy, "url">; readonly token: string }[]) {
  const started = new Set<number>();
  const answers = calls.map(({ proxy, token }, n) =>
    callAndRead(proxy.url, { token, text: textOf(n), traceId: `at-${n}`, onText: () => void started.add(n) })
  );
  await waitFor(() => started.size === calls.length, { what: "the streams to begin", deadlineMs: 20_000 });
  return answers;
}

/** How long after the stop the last of the calls was cut. */
async function timed(running: readonly Promise<SeenAnswer>[], stop: () => Promise<void>) {
  const last = Promise.all(running).then((answers) => ({ answers, at: performance.now() }));
  const before = performance.now();
  await stop();
  const { answers, at } = await last;
  return { ms: at - before, answers };
}

/** Each was cut in mid-stream, and has a row with what had passed. */
function assertStopped(rows: readonly Row[], answers: readonly SeenAnswer[], why: string): void {
  for (const { status, isWhole, error } of answers) {
    assert.deepEqual([status, isWhole], [200, false]);
    assert.ok(error instanceof Error, "a cut stream ended tidily");
  }
  assert.deepEqual(
    rows.map((row) => JSON.stringify([row.outcome, row.error_type, row.accuracy, row.status, Number(row.input_tokens)])).sort(),
    answers.map(({ text }) => JSON.stringify(["stopped", why, "estimated", 200, usageOf(text).input_tokens])).sort(),
  );
  for (const row of rows) assert.ok(Number(row.output_tokens) > 0 && Number(row.cost) > 0, "what had passed is not in the row");
}

async function refuses({ url }: Pick<Proxy, "url">, token: string, status: number, says: RegExp): Promise<void> {
  const answer = await fetch(`${url}/v1/messages`, messageCall(token));
  const text = await answer.text();
  assert.equal(answer.status, status, text);
  assert.match(JSON.parse(text).error.message, says);
  assert.equal(answer.headers.get("x-should-retry"), "false");
}

async function servesAgain({ url }: Pick<Proxy, "url">, token: string): Promise<void> {
  await waitFor(async () => (await callAndRead(url, { token, text: "x" })).status === 200, { what: "the call to be served" });
}

async function admin({ adminUrl }: Pick<Proxy, "adminUrl">, method: string, path: string, body?: unknown) {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
  const answer = await fetch(adminUrl + path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  // deno-lint-ignore no-explicit-any -- a test looks into answers of every shape
  return { status: answer.status, json: await answer.json() as any };
}
