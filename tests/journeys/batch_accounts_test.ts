import assert from "node:assert/strict";
import type { BatchPace } from "../../src/batches/accounts.ts";
import { type FakeThings, fakeThings, lineOf, MODEL, piecesHeld, usageOfLine } from "../fake_things.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { HURRIED } from "../hurried_pace.ts";
import { startPostgres } from "../postgres_server.ts";
import { type ProxyProcess, startProxyProcess } from "../proxy_process.ts";
import { OPERATOR_KEY, type ProxyUnderTest, type Row, startProxy } from "../proxy_under_test.ts";
import { gate, waitFor } from "../wait.ts";

const BATCHES = "/v1/messages/batches";
const LINES = 1_000;
const PROGRAM = "tests/hurried_program.ts";
const DEADLINE_MS = 30_000;
/**
 * Nano-dollars a token of claude-haiku-4-5 ($1 and $5 a million, a tenth for a cache read), of
 * which a batch pays half.
 */
const NANO = { input: 500, output: 2_500, read: 50 };

Deno.test("a batch of 1,000 lines that no client downloads is accounted for, whole and once, through a kill -9 of the replica that was fetching", async () => {
  await using postgres = await startPostgres();
  await using upstream = await startFakeUpstream();
  const things = fakeThings();
  upstream.answer(things.answer);
  const dirs = [await Deno.makeTempDir(), await Deno.makeTempDir()];
  const start = (dataDir: string) =>
    startProxyProcess({
      ...{ upstreamUrl: upstream.url, dataDir, program: PROGRAM },
      env: { LLMPROXY_DATABASE_URL: postgres.url },
    });
  await using first = await start(dirs[0]!);
  await using second = await start(dirs[1]!);
  const token = await first.token("w1", "s1");
  const killed = gate();
  const held = piecesThatStop(things, killed.passed);
  const id = await batchBy(second, token, { "x-trace-id": "the-session" });
  things.finish(id, LINES);

  await held.hasBegun();
  const [victim, heir] = await linesOf(first) > 0 ? [first, second] : [second, first];
  await waitFor(async () => await linesOf(victim) > 0, { what: "the first rows", deadlineMs: DEADLINE_MS });
  const counted = async () => Number((await postgres.psql("SELECT count(*) AS rows FROM usage"))[0]!.rows);
  const before = await counted();
  assert.ok(before > 0 && before < LINES, `${before} rows before the kill`);
  victim.kill("SIGKILL");
  await victim.exited();
  things.sendResults((text) => ({ body: text }));
  killed.open();

  await waitFor(async () => (await postgres.psql("SELECT outcome FROM owned"))[0]!.outcome === "counted", {
    what: "the batch to be counted",
    deadlineMs: DEADLINE_MS,
  });
  const rows = await postgres.psql("SELECT * FROM usage ORDER BY id") as readonly Row[];
  assertRows(rows, { id, workspace: "w1", trace: "the-session" });
  const expected = totals();
  const { usage } = await heir.ask("/internal/usage?workspace_id=w1") as { usage: Readonly<Record<string, unknown>>[] };
  assert.deepEqual(
    usage.map(({ model, requestCount, inputTokens, outputTokens, costUsd }) => ({
      ...{ model, requestCount, inputTokens, outputTokens, costUsd },
    })),
    [{
      model: MODEL,
      requestCount: LINES,
      inputTokens: expected.input,
      outputTokens: expected.output,
      costUsd: usd(expected.cost),
    }],
  );
  assert.equal(things.fetches(id), 2);
  for (const dir of dirs) await Deno.remove(dir, { recursive: true });
});

Deno.test("a batch is accounted for by the embedded database alone, through a kill -9, by the next start", async () => {
  const dataDir = await Deno.makeTempDir();
  await using upstream = await startFakeUpstream();
  const things = fakeThings();
  upstream.answer(things.answer);
  const held = piecesThatStop(things, new Promise(() => {}));
  const options = { upstreamUrl: upstream.url, dataDir, program: PROGRAM };
  const owner = { token: "", id: "" };
  {
    await using proxy = await startProxyProcess(options);
    owner.token = await proxy.token("w1", "s1");
    owner.id = await batchBy(proxy, owner.token, { "x-trace-id": "the-session" });
    things.finish(owner.id, LINES);
    await held.hasBegun();
    await waitFor(() => proxy.rows().length > 0, { what: "the first rows", deadlineMs: DEADLINE_MS });
    assert.ok(proxy.rows().length < LINES);
    proxy.kill("SIGKILL");
    await proxy.exited();
  }
  things.sendResults((text) => ({ body: text }));
  await using proxy = await startProxyProcess(options);
  await waitFor(async () => await linesOf(proxy) >= LINES, { what: "all lines", deadlineMs: DEADLINE_MS });
  assertRows(proxy.rows(), { id: owner.id, workspace: "w1", trace: "the-session" });
  const { trace, requests } = await proxy.ask("/internal/traces/the-session") as Record<string, never[]>;
  assert.equal((trace as unknown as Row).source, "header");
  assert.equal(requests!.length, LINES);
  const answer = await fetch(`${proxy.url}${BATCHES}/${owner.id}`, { headers: { "x-api-key": owner.token } });
  assert.equal(answer.status, 200, await answer.text());
  await Deno.remove(dataDir, { recursive: true });
});

Deno.test("each line of a batch is a row that says how it ended, and only what was answered costs", async () => {
  await using stand = await opened();
  const { proxy, things, token } = stand;
  const id = await batchBy(proxy, token);
  const error = { type: "error", error: { type: "invalid_request_error", message: "no" }, request_id: "req_1" };
  const noModel = { type: "message", usage: { input_tokens: 5, output_tokens: 5 } };
  const lines = [
    lineOf(1),
    JSON.stringify({ custom_id: "bad", result: { type: "errored", error } }),
    JSON.stringify({ custom_id: "off", result: { type: "canceled" } }),
    JSON.stringify({ custom_id: "old", result: { type: "expired" } }),
    JSON.stringify({ custom_id: "odd", result: { type: "succeeded", message: noModel } }),
    JSON.stringify({ custom_id: "not", result: { type: "succeeded", message: error } }),
    "no JSON",
  ];
  things.finish(id, lines);
  const rows = await proxy.closedRows(lines.length);
  const shown = rows.map(({ custom_id, outcome, accuracy, error_type, cost, input_tokens }) => ({
    ...{ custom_id, outcome, accuracy, error_type, cost, input_tokens },
  }));
  const { input_tokens, output_tokens, cache_read_input_tokens } = usageOfLine(1);
  const cost = input_tokens * NANO.input + output_tokens * NANO.output + cache_read_input_tokens * NANO.read;
  const none = { error_type: null, cost: 0, input_tokens: 0 };
  assert.deepEqual(
    shown.toSorted((a, b) => String(a.custom_id).localeCompare(String(b.custom_id))),
    [
      { ...none, custom_id: "bad", outcome: "upstream_error", accuracy: "exact", error_type: "invalid_request_error" },
      { ...none, custom_id: "line-1", outcome: "completed", accuracy: "exact", cost, input_tokens },
      { ...none, custom_id: "not", outcome: "upstream_error", accuracy: "exact", error_type: "invalid_request_error" },
      { ...none, custom_id: null, outcome: "unknown", accuracy: "unknown", cost: null },
      { ...none, custom_id: "odd", outcome: "completed", accuracy: "exact", cost: null, input_tokens: 5 },
      { ...none, custom_id: "off", outcome: "upstream_error", accuracy: "exact", error_type: "canceled" },
      { ...none, custom_id: "old", outcome: "upstream_error", accuracy: "exact", error_type: "expired" },
    ],
  );
});

Deno.test("results that end early are fetched again, and with the operator's key from the upstream alone", async () => {
  await using stand = await opened();
  const { proxy, things, token } = stand;
  things.sendResults((text) => ({ body: text.slice(0, text.indexOf("\n", 500) + 1) }));
  const id = await batchBy(proxy, token);
  things.finish(id, 5);
  await waitFor(() => things.fetches(id) > 1, { what: "a second try" });
  things.sendResults((text) => ({ body: text }));
  await proxy.closedRows(5);
  await waitFor(() => proxy.upstream.calls.at(-1)!.target === `${BATCHES}/${id}/results`, { what: "the last question" });
  const own = proxy.upstream.calls.filter(({ method }) => method === "GET");
  for (const call of own) assert.deepEqual([call.header("x-api-key"), call.header("authorization")], [OPERATOR_KEY, null]);
  assert.ok(proxy.logs.some((line) => line.includes("is asked for again") && line.includes(id)));
  assert.ok(await metric(proxy, "batch_errors_total") >= 1);
});

const NO_RESULTS:
  readonly (readonly [what: string, send: (text: string) => ReturnType<Parameters<FakeThings["sendResults"]>[0]>])[] = [
    ["are a page of a gateway", () => ({ body: "<html>\n<p>Sign in</p>\n</html>\n", headers: { "content-type": "text/html" } })],
    ["are an error", () => ({ body: '{"type":"error","error":{"type":"overloaded_error","message":"no"}}\n' })],
    ["are cut in the middle of a line", (text) => ({ body: text.slice(0, -20), framing: "close" })],
  ];
for (const [what, send] of NO_RESULTS) {
  Deno.test(`a batch's results that ${what}, with status 200, leave no row of their own and are fetched again`, async () => {
    await using stand = await opened();
    const { proxy, things, token } = stand;
    things.sendResults(send);
    const id = await batchBy(proxy, token);
    things.finish(id, 3);
    await waitFor(() => things.fetches(id) > 1, { what: "a second try" });
    things.sendResults((text) => ({ body: text.slice(0, -1) }));
    await waitFor(async () => await metric(proxy, "batches_waiting") === 0, { what: "the batch to be accounted for" });
    const rows = proxy.rows().map(({ custom_id, outcome, accuracy }) => [custom_id, outcome, accuracy]);
    assert.deepEqual(rows.toSorted(), [1, 2, 3].map((n) => [`line-${n - 1}`, "completed", "exact"]));
  });
}

Deno.test("a batch is deleted only when it has been accounted for, however soon its client asks", async () => {
  await using stand = await opened({ ...HURRIED, leastWaitMs: 600_000, mostWaitMs: 600_000 });
  const { proxy, things, token } = stand;
  const [running, ended] = [await batchBy(proxy, token), await batchBy(proxy, token)];
  things.finish(ended, 300);
  const remove = (id: string) => fetch(`${proxy.url}${BATCHES}/${id}`, { method: "DELETE", headers: { "x-api-key": token } });
  things.sendResults(() => ({ body: "", ending: "reset" }));
  const refused = await remove(ended);
  assert.deepEqual([refused.status, refused.headers.get("retry-after"), things.batches.has(ended)], [503, "5", true]);
  await refused.body?.cancel();
  things.sendResults((text) => ({ body: text }));
  const answer = await remove(ended);
  assert.deepEqual([answer.status, things.batches.has(ended)], [200, false], await answer.text());
  assert.equal(proxy.rows().length, 300);
  // The upstream itself refuses to delete what runs; here it does not.
  assert.equal((await (await remove(running)).json()).type, "message_batch_deleted");
});

Deno.test("a batch that is gone before it could be read is a log line and a counter, not silence", async () => {
  await using stand = await opened({ ...HURRIED, endedWithinMs: -1 });
  const { proxy, things, token } = stand;
  const id = await batchBy(proxy, token);
  (things.batches as Map<string, unknown>).delete(id);
  await waitFor(async () => await metric(proxy, "batches_lost_total") === 1, { what: "the loss to be counted" });
  const line = proxy.logs.find((line) => line.includes("it is in no total"));
  assert.match(line ?? "", new RegExp(`"batchId":"${id}".*"workspaceId":"w1"`));
  await waitFor(async () => await metric(proxy, "batches_waiting") === 0, { what: "the next look to find none waiting" });
});

Deno.test("a batch whose client leaves before the answer still has an owner, and is accounted for", async () => {
  await using stand = await opened();
  const { proxy, things, token } = stand;
  const answered = gate();
  proxy.upstream.answer(async (call) => {
    const answer = things.answer(call);
    if (call.method === "POST") await answered.passed;
    return answer;
  });
  const client = new AbortController();
  const asked = fetch(proxy.url + BATCHES, {
    ...{ method: "POST", headers: { "x-api-key": token }, body: "{}", signal: client.signal },
  });
  await proxy.upstream.waitForCalls(1);
  client.abort();
  await assert.rejects(asked);
  await waitFor(() => things.batches.size === 1, { what: "the batch to be made" });
  answered.open();
  things.finish([...things.batches.keys()][0]!, 3);
  const rows = await proxy.closedRows(3);
  assert.deepEqual(new Set(rows.map(({ workspace_id }) => workspace_id)), new Set(["w1"]));
});

async function opened(pace: BatchPace = HURRIED) {
  const proxy = await startProxy({ system: { batchPace: pace } });
  const things = fakeThings();
  proxy.upstream.answer(things.answer);
  return { proxy, things, token: await proxy.token("w1", "s1"), [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose]() };
}

/** The results stop in their middle until then. */
function piecesThatStop(things: FakeThings, until: Promise<unknown>) {
  const begun = gate();
  things.sendResults((text) => {
    begun.open();
    return { body: piecesHeld(text, { chunk: 10_000, number: Math.floor(text.length / 20_000), until }) };
  });
  return { hasBegun: () => begun.passed };
}

async function batchBy(
  proxy: Pick<ProxyUnderTest, "url">,
  token: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  const answer = await fetch(proxy.url + BATCHES, { method: "POST", headers: { "x-api-key": token, ...headers }, body: "{}" });
  const { id } = await answer.json();
  assert.equal(answer.status, 200);
  return id;
}

async function metric(proxy: Pick<ProxyUnderTest, "adminUrl">, name: string): Promise<number> {
  const authorization = "Bearer admin-token-of-the-tests-0123456789";
  const text = await (await fetch(`${proxy.adminUrl}/metrics`, { headers: { authorization } })).text();
  return Number(new RegExp(`^llmproxy_${name} (\\S+)$`, "m").exec(text)?.[1] ?? NaN);
}

function linesOf(proxy: ProxyProcess): Promise<number> {
  return metric(proxy, "batch_lines_total");
}

function totals() {
  const sums = { input: 0, output: 0, cost: 0 };
  for (let n = 0; n < LINES; n++) {
    const { input_tokens, output_tokens, cache_read_input_tokens } = usageOfLine(n);
    sums.input += input_tokens;
    sums.output += output_tokens;
    sums.cost += input_tokens * NANO.input + output_tokens * NANO.output + cache_read_input_tokens * NANO.read;
  }
  return sums;
}

function usd(nano: number): string {
  return `${Math.floor(nano / 1e9)}.${String(nano % 1e9).padStart(9, "0")}`;
}

/** One row of each line, by the wire's own counts. */
function assertRows(
  rows: readonly Row[],
  { id, workspace, trace }: Readonly<Record<"id" | "workspace" | "trace", string>>,
): void {
  assert.equal(rows.length, LINES);
  const byLine = new Map(rows.map((row) => [row.custom_id, row]));
  assert.equal(byLine.size, LINES);
  for (let n = 0; n < LINES; n++) {
    const row = byLine.get(`line-${n}`)!;
    const usage = usageOfLine(n);
    const cost = usage.input_tokens * NANO.input + usage.output_tokens * NANO.output + usage.cache_read_input_tokens * NANO.read;
    const expected = {
      ...{ workspace_id: workspace, sandbox_id: "s1", trace_id: trace, batch_id: id, kind: "batch_line", outcome: "completed" },
      ...{ accuracy: "exact", served_model: MODEL, service_tier: "batch", message_id: `msg_line_${n}` },
      ...{ input_tokens: usage.input_tokens, output_tokens: usage.output_tokens, cost },
    };
    const shown = Object.fromEntries(
      Object.keys(expected).map((column) => {
        const value = row[column];
        return [column, typeof value === "bigint" || /^\d+$/.test(String(value)) ? Number(value) : value];
      }),
    );
    assert.deepEqual(shown, expected);
    assert.match(String(row.id), /^ar-[0-9A-HJKMNP-TV-Z]{26}$/);
  }
}
