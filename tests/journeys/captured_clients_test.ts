import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { OPERATOR_KEY, type ProxyUnderTest, type Row, startProxy } from "../proxy_under_test.ts";
import { RawConnection } from "../raw_connection.ts";
import { json, type SeenCall } from "../fake_answers.ts";
import { bodyOf, type Captured, capturesOf, type Header, headersOf } from "../captured_calls.ts";
import { waitFor } from "../wait.ts";

/** Where the calls of one capture belong, and what their rows say beyond what every row says. */
interface Expected {
  readonly source: string;
  /** Null: each billed call is a trace of its own. */
  readonly traceId: string | null;
  readonly client: string;
  /** Agent columns by the number of the request in its file; the others are null. */
  readonly agents?: Readonly<Record<number, Readonly<Record<string, string>>>>;
}

const SESSION = { source: "claude-code", traceId: "at-00000000-0000-4000-8000-000000000001", client: "claude-code" };
const OWN_PROMPT = { prompt_id: "00000000-0000-4000-8000-000000000002", request_class: "main" };

const CAPTURES: Readonly<Record<string, Expected>> = {
  "claude-code-1.0.50": { source: "auto", traceId: null, client: "claude-code" },
  "claude-code-1.0.100": SESSION,
  "claude-code-2.1.78": SESSION,
  "claude-code-2.1.330-apikey": SESSION,
  "claude-code-2.1.330-authtoken": SESSION,
  "claude-code-2.1.330-context-count-tokens": SESSION,
  "claude-code-2.1.330-hint-headers": { ...SESSION, agents: { 0: OWN_PROMPT } },
  "claude-code-2.1.330-subagent-hint-headers": {
    ...SESSION,
    agents: {
      0: OWN_PROMPT,
      1: { ...OWN_PROMPT, request_class: "subagent", agent_id: "a45cd61fe0c80e897", agent_type: "general-purpose" },
      2: OWN_PROMPT,
    },
  },
  "opencode-1.18.33": { source: "opencode", traceId: "at-ses_df497e776ffea4cRjgc1paYGa7", client: "opencode" },
  "anthropic-sdk-0.137.0": { source: "auto", traceId: null, client: "anthropic-sdk-js" },
  "anthropic-sdk-1.12.0": { source: "auto", traceId: null, client: "anthropic-sdk-js" },
};

/** What the next hop's framing, connection and credential replace. */
const REPLACED = new Set(["host", "connection", "content-length", "accept-encoding", "x-api-key", "authorization"]);

for (const [name, expected] of Object.entries(CAPTURES)) {
  Deno.test(`the proxy passes what ${name} sent unchanged, and its session and agents land in trace and rows`, async () => {
    await using proxy = await startProxy({ env: { LLMPROXY_ALLOW_PATHS: "*" } });
    // The batch that the captured client asks for afterwards.
    proxy.upstream.answer((call) =>
      call.method === "POST" && call.target === "/v1/messages/batches" ? json({ id: "msgbatch_01lab" }) : "default"
    );
    const token = await proxy.token();
    using connection = new RawConnection(proxy.url);
    const billed: { readonly captured: Captured; readonly body: Uint8Array; readonly number: number }[] = [];
    for (const [number, captured] of capturesOf(name).entries()) {
      const body = bodyOf(captured);
      const headers = headersOf(captured, { body, host: new URL(proxy.url).host, token });
      const reply = await connection.send({ method: captured.method, target: captured.url, headers, body });
      assert.deepEqual([reply.isBroken, reply.status], [false, captured.url.endsWith("/results") ? 404 : 200]);
      const call = await proxy.upstream.waitForCalls(number + 1);
      assertPassedUnchanged(call, { captured, headers, body, proxy, token });
      if (/^\/v1\/messages(\?|$)/.test(captured.url)) billed.push({ captured, body, number });
    }
    const rows = proxy.rows();
    assert.equal(rows.length, billed.length);
    for (const [index, { captured, body, number }] of billed.entries()) {
      assertRow(rows[index]!, { captured, body, expected, agents: expected.agents?.[number] ?? {} });
    }
    await assertTraces(proxy, { rows, expected });
  });
}

Deno.test("tests/fixtures/clients holds the captures that are replayed, 25 count_tokens calls of one session among them", () => {
  const files = [...Deno.readDirSync(new URL("../fixtures/clients/", import.meta.url))].map(({ name }) => name);
  assert.deepEqual(files.sort(), Object.keys(CAPTURES).map((name) => `${name}.jsonl`).sort());
  const counting = capturesOf("claude-code-2.1.330-context-count-tokens").filter(({ url }) => url.includes("/count_tokens"));
  assert.equal(counting.length, 25);
});

Deno.test("the proxy moves a session's activity on by a count_tokens call, and its totals not", async () => {
  await using proxy = await startProxy();
  using connection = new RawConnection(proxy.url);
  const token = await proxy.token();
  for (const name of ["claude-code-2.1.330-apikey", "claude-code-2.1.330-context-count-tokens"]) {
    const captured = capturesOf(name)[0]!;
    const body = bodyOf(captured);
    const headers = headersOf(captured, { body, host: new URL(proxy.url).host, token });
    await connection.send({ method: captured.method, target: captured.url, headers, body });
  }
  const [row] = proxy.rows();
  const trace = await waitFor(async () => {
    const { traces } = await proxy.ask("/internal/traces") as { traces: Readonly<Record<string, unknown>>[] };
    return new Date(String(traces[0]!.updatedAt)).getTime() > Number(row!.created_at) && traces[0]!;
  }, { what: "the trace's later activity" });
  assert.deepEqual([trace.requestCount, trace.totalInputTokens], [1, Number(row!.input_tokens)]);
  assert.equal(proxy.rows().length, 1);
});

Deno.test("the proxy records the parent of an agent that names one", async () => {
  await using proxy = await startProxy();
  using connection = new RawConnection(proxy.url);
  const captured = capturesOf("claude-code-2.1.330-subagent-hint-headers")[1]!;
  const body = bodyOf(captured);
  const headers = headersOf(captured, { body, host: new URL(proxy.url).host, token: await proxy.token() });
  const parent = ["X-Claude-Code-Parent-Agent-Id", "a0f0000000000000d"] as const;
  await connection.send({ method: captured.method, target: captured.url, headers: [parent, ...headers], body });
  const { agent_id, parent_agent_id } = proxy.rows()[0]!;
  assert.deepEqual({ agent_id, parent_agent_id }, { agent_id: "a45cd61fe0c80e897", parent_agent_id: parent[1] });
});

function assertPassedUnchanged(call: SeenCall, options: {
  readonly captured: Captured;
  readonly headers: readonly Header[];
  readonly body: Uint8Array;
  readonly proxy: ProxyUnderTest;
  readonly token: string;
}): void {
  const { captured, headers, body, proxy, token } = options;
  assert.equal(call.method, captured.method);
  assert.equal(call.target, captured.url);
  assert.deepEqual(new Uint8Array(call.body), body);
  const framing: readonly Header[] = body.length === 0 ? [] : [["transfer-encoding", "chunked"]];
  const expected = [
    ...headers.filter(([name]) => !REPLACED.has(name.toLowerCase())),
    ["host", new URL(proxy.upstream.url).host] as const,
    ["accept-encoding", "identity"] as const,
    ["x-api-key", OPERATOR_KEY] as const,
    ...framing,
  ];
  assert.deepEqual(sorted(call.rawHeaders), sorted(expected));
  assert.ok(!JSON.stringify(call.rawHeaders).includes(token));
}

function sorted(headers: readonly Header[]): readonly string[] {
  return headers.map(([name, value]) => `${name.toLowerCase()}: ${value}`).sort();
}

function assertRow(row: Row, options: {
  readonly captured: Captured;
  readonly body: Uint8Array;
  readonly expected: Expected;
  readonly agents: Readonly<Record<string, string>>;
}): void {
  const { captured, body, expected, agents } = options;
  const asked = captured.bodyShape!;
  const { messages } = JSON.parse(new TextDecoder().decode(body));
  const columns = {
    ending: "completed",
    trust: "exact",
    requested_model: asked.model,
    streaming: asked.stream === true ? 1 : 0,
    max_tokens: asked.max_tokens,
    request_bytes: body.length,
    messages_hash: createHash("sha256").update(JSON.stringify(messages)).digest("hex"),
    client: expected.client,
    agent_id: null,
    parent_agent_id: null,
    agent_type: null,
    request_class: null,
    prompt_id: null,
    ...agents,
  };
  assert.deepEqual(Object.fromEntries(Object.keys(columns).map((name) => [name, row[name]])), columns);
}

/** A named session is one trace, also where no call of it has a row; without a name each row has its own. */
async function assertTraces(
  proxy: ProxyUnderTest,
  { rows, expected }: { readonly rows: readonly Row[]; readonly expected: Expected },
): Promise<void> {
  const ids = expected.traceId === null ? rows.map(({ trace_id }) => String(trace_id)) : [expected.traceId];
  if (expected.traceId === null) {
    for (const id of ids) assert.match(id, /^at-[0-9A-HJKMNP-TV-Z]{26}$/);
    assert.equal(new Set(ids).size, ids.length);
  }
  for (const row of rows) assert.ok(ids.includes(String(row.trace_id)));
  const traces = await waitFor(async () => {
    const { traces } = await proxy.ask("/internal/traces?limit=1000") as { traces: Readonly<Record<string, unknown>>[] };
    // A batch has a trace of its own, which is empty until its lines are recorded.
    const found = traces.filter(({ id, requestCount }) => requestCount !== 0 || ids.includes(String(id)));
    return found.length >= ids.length && found;
  }, { what: `${ids.length} traces` });
  assert.deepEqual(traces.map(({ id }) => id).sort(), ids.toSorted());
  for (const trace of traces) {
    const own = rows.filter(({ trace_id }) => trace_id === trace.id);
    assert.deepEqual(
      { source: trace.source, requestCount: trace.requestCount, totalInputTokens: trace.totalInputTokens },
      {
        source: expected.source,
        requestCount: own.length,
        totalInputTokens: own.reduce((sum, row) => sum + Number(row.input_tokens), 0),
      },
    );
  }
}
