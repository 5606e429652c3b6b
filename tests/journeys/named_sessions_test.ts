import assert from "node:assert/strict";
import { bodyOf, type Captured, capturesOf, headersOf } from "../captured_calls.ts";
import { dashboardAt } from "../dashboard_browser.ts";
import { readerOf, textOf } from "../dashboard_reader.ts";
import { geminiModel } from "../fake_gemini.ts";
import { openaiModel } from "../fake_openai.ts";
import { startOpenaiProxy } from "../openai_proxy.ts";
import type { ProxyUnderTest, Row } from "../proxy_under_test.ts";
import { RawConnection } from "../raw_connection.ts";

const uuid = (n: number) => `00000000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
const SESSION = uuid(2);
const answering = { turn: () => ({ text: "done" }) };

interface Node {
  readonly kind: string;
  readonly agentId?: string;
  readonly agentType?: string;
  readonly requestCount: number;
  readonly children: readonly Node[];
}

function shapeOf({ kind, agentId, agentType, requestCount, children }: Node): string {
  const own = [kind, agentId, agentType, requestCount].filter((part) => part !== undefined).join(" ");
  return [own, ...children.map((child) => `(${shapeOf(child)})`)].join(" ");
}

/** Makes the calls one after the other; those for a WebSocket get their 426. Returns the rows. */
async function replay(proxy: ProxyUnderTest, captures: readonly Captured[]): Promise<readonly Row[]> {
  const token = await proxy.token();
  for (const captured of captures) {
    using connection = new RawConnection(proxy.url);
    const body = bodyOf(captured);
    const headers = headersOf(captured, { body, host: new URL(proxy.url).host, token });
    const reply = await connection.send({ method: captured.method, target: captured.url, headers, body });
    assert.equal(reply.status, captured.method === "GET" ? 426 : 200);
  }
  return await proxy.closedRows(captures.filter(({ method }) => method === "POST").length);
}

async function traceOf(proxy: ProxyUnderTest, id: unknown) {
  return await proxy.ask(`/internal/traces/${id}`) as {
    readonly trace: Readonly<Record<string, unknown>>;
    readonly agents: readonly [Node];
    readonly requests: readonly Readonly<Record<string, unknown>>[];
  };
}

/** The same call with what its metadata say replaced, in header and body. */
function saying(captured: Captured, turnMetadata: string): Captured {
  const { rawHeaders, bodyShape = {} } = captured;
  const at = rawHeaders.indexOf("x-codex-turn-metadata") + 1;
  const metadata = bodyShape.client_metadata as Readonly<Record<string, unknown>>;
  return {
    ...captured,
    rawHeaders: rawHeaders.with(at, turnMetadata),
    bodyShape: { ...bodyShape, client_metadata: { ...metadata, "x-codex-turn-metadata": turnMetadata } },
  };
}

function turnMetadataOf({ rawHeaders }: Captured): string {
  return rawHeaders[rawHeaders.indexOf("x-codex-turn-metadata") + 1]!;
}

Deno.test("a session of Codex is a tree: main, its sub-agent, its compaction and its warm-up, all of one user's turn", async () => {
  await using proxy = await startOpenaiProxy();
  proxy.upstream.answer(openaiModel(answering));
  const captures = capturesOf("codex-0.171.0-subagent");
  // What it asks over a WebSocket first, as it would ask it over HTTP.
  const prewarm = saying(captures[1]!, turnMetadataOf(captures[0]!));
  const rows = await replay(proxy, [captures[0]!, prewarm, ...captures.slice(1)]);
  const thread = uuid(11);
  const columns = rows.map((row) => [row.trace_id, row.agent_id, row.parent_agent_id, row.agent_type, row.request_class]);
  const main = [`at-${SESSION}`, null, null, null, "main"];
  const sub = [`at-${SESSION}`, thread, null, "collab_spawn", "subagent"];
  const of = (requestClass: string) => main.with(4, requestClass);
  assert.deepEqual(columns, [of("auxiliary"), main, main, sub, sub, sub, main, of("compaction"), main]);
  assert.ok(rows.every(({ client }) => client === "codex"));
  assert.deepEqual([...new Set(rows.slice(1).map(({ prompt_id }) => prompt_id))], [uuid(4)]);
  const { trace, agents, requests } = await traceOf(proxy, `at-${SESSION}`);
  assert.deepEqual([trace.source, requests.length], ["codex", 9]);
  assert.equal(shapeOf(agents[0]), `main 4 (auxiliary 1) (subagent ${thread} collab_spawn 3) (compaction 1)`);
  const reader = await readerOf(dashboardAt(proxy.adminUrl), proxy.adminToken);
  const page = textOf((await reader.open(`/dashboard/traces/at-${SESSION}?workspace_id=${rows[0]!.workspace_id}`)).text);
  for (const name of ["codex", "collab_spawn", "Compaction", "Auxiliary"]) assert.match(page, new RegExp(name, "i"));
  const { traces } = await proxy.ask("/internal/traces") as { traces: readonly unknown[] };
  assert.equal(traces.length, 1);
});

Deno.test("a review of Codex is a sub-agent of its session, which has no other call", async () => {
  await using proxy = await startOpenaiProxy();
  proxy.upstream.answer(openaiModel(answering));
  const rows = await replay(proxy, capturesOf("codex-0.171.0-review"));
  const { trace, agents } = await traceOf(proxy, rows[0]!.trace_id);
  assert.deepEqual([trace.source, rows[0]!.trace_id], ["codex", `at-${SESSION}`]);
  assert.equal(shapeOf(agents[0]), `main 0 (subagent ${uuid(4)} review 2)`);
});

Deno.test("malformed metadata of Codex name no agent, and the session of its other headers stays", async () => {
  await using proxy = await startOpenaiProxy();
  proxy.upstream.answer(openaiModel(answering));
  const turn = capturesOf("codex-0.171.0-subagent")[1]!;
  const odd = ["{", "[]", '{"session_id":7,"thread_id":{},"turn_id":[]}'];
  const rows = await replay(proxy, odd.map((text) => saying(turn, text)));
  for (const row of rows) {
    assert.deepEqual([row.trace_id, row.agent_id, row.request_class], [`at-${SESSION}`, null, null]);
  }
});

interface Asking {
  readonly path?: string;
  readonly token: string;
  readonly body: object;
}

/** Makes one call with an SDK's name, and returns its row and its answer. */
async function ask(proxy: ProxyUnderTest, { path = "/v1/responses", token, body }: Asking) {
  const count = proxy.rows().length + 1;
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", "user-agent": "OpenAI/JS 7.59.0" };
  const answer = await fetch(proxy.url + path, { method: "POST", headers, body: JSON.stringify({ model: "gpt-5.5", ...body }) });
  assert.equal(answer.status, 200);
  const { id } = await answer.json() as { readonly id: string };
  return { id, row: (await proxy.closedRows(count)).at(-1)! };
}

Deno.test("calls without a session are one trace by the first item of their input, or by its text, and by no key of the cache", async () => {
  await using proxy = await startOpenaiProxy();
  proxy.upstream.answer(openaiModel(answering));
  const token = await proxy.token();
  const first = { role: "user", content: "hi" };
  const of = async (body: object, path?: string) =>
    String(
      (await ask(proxy, { token, body: { prompt_cache_key: "shared", ...body }, ...path === undefined ? {} : { path } })).row
        .trace_id,
    );
  const list = await of({ input: [first] });
  assert.equal(await of({ input: [first, { role: "assistant", content: "ho" }] }), list);
  const text = await of({ input: "hi" });
  assert.equal(await of({ input: "hi", client_metadata: { session_id: "an application's own" } }), text);
  const chat = await of({ messages: [first] }, "/v1/chat/completions");
  const others = [await of({ input: "ho" }), await of({ input: [{ ...first, content: "ho" }] })];
  assert.equal(new Set([list, text, ...others]).size, 4);
  assert.equal(chat, list);
  assert.equal((await traceOf(proxy, text)).trace.source, "inferred");
});

Deno.test("calls of gemini-cli, which names no session, are one trace by the first of their contents (trap 41)", async () => {
  await using proxy = await startOpenaiProxy({ name: "gemini", dialect: "gemini" });
  proxy.upstream.answer(geminiModel(answering));
  const headers = { "x-goog-api-key": await proxy.token(), "user-agent": "GeminiCLI-tui/0.61.0/gemini-3.8-flash (linux)" };
  const texts = [["hi"], ["hi", "ho"], ["ho"]];
  for (const [n, said] of texts.entries()) {
    const contents = said.map((text) => ({ role: "user", parts: [{ text }] }));
    const url = `${proxy.url}/v1beta/models/gemini-3.8-flash:generateContent`;
    const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify({ contents }) });
    assert.equal(answer.status, 200);
    await answer.text();
    await proxy.closedRows(n + 1);
  }
  const rows = proxy.rows();
  assert.deepEqual(rows.map(({ client }) => client), ["gemini-cli", "gemini-cli", "gemini-cli"]);
  const [first, second, other] = rows.map(({ trace_id }) => trace_id);
  assert.deepEqual([second === first, other === first], [true, false]);
  assert.equal((await traceOf(proxy, first)).trace.source, "inferred");
});

Deno.test("a call that goes on with a response or a conversation joins the trace in which that was made", async () => {
  await using proxy = await startOpenaiProxy();
  proxy.upstream.answer((call) =>
    call.target === "/v1/conversations"
      ? { headers: { "content-type": "application/json" }, body: JSON.stringify({ id: "conv_1a2b", object: "conversation" }) }
      : openaiModel(answering)(call)
  );
  const token = await proxy.token();
  const first = await ask(proxy, { token, body: { input: "begin" } });
  const second = await ask(proxy, { token, body: { input: "go on", previous_response_id: first.id } });
  const third = await ask(proxy, {
    token,
    body: { input: [{ role: "user", content: "and on" }], previous_response_id: second.id },
  });
  assert.deepEqual([second.row.trace_id, third.row.trace_id], [first.row.trace_id, first.row.trace_id]);
  const { trace, requests } = await traceOf(proxy, first.row.trace_id);
  assert.deepEqual([trace.source, requests.length], ["inferred", 3]);
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const made = await fetch(`${proxy.url}/v1/conversations`, { method: "POST", headers, body: "{}" });
  assert.deepEqual([made.status, (await made.json()).id], [200, "conv_1a2b"]);
  const talk = await ask(proxy, { token, body: { input: "begin", conversation: "conv_1a2b" } });
  const talked = await ask(proxy, { token, body: { input: "go on", conversation: { id: "conv_1a2b" } } });
  assert.equal(talked.row.trace_id, talk.row.trace_id);
  assert.notEqual(talk.row.trace_id, first.row.trace_id);
  assert.equal((await traceOf(proxy, talk.row.trace_id)).trace.source, "continued");
});
