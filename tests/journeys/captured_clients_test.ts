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
  /** Null: no session is named, and calls with the same first message are one. */
  readonly traceId: string | null;
  readonly client: string;
  /** Without a named session: the numbers of the requests that belong together. */
  readonly runs?: readonly (readonly number[])[];
  /**
   * The agents of each trace, the first to begin first, as `treeOf` writes them; main alone unless
   * given.
   */
  readonly trees?: readonly string[];
  /** Agent columns by the number of the request in its file; the others are null. */
  readonly agents?: Readonly<Record<number, Readonly<Record<string, string>>>>;
}

const SESSION = { source: "claude-code", traceId: "at-00000000-0000-4000-8000-000000000001", client: "claude-code" };
const OWN_PROMPT = { prompt_id: "00000000-0000-4000-8000-000000000002", request_class: "main" };

/** Every message that it asked for was the same. */
const SDK = { source: "inferred", traceId: null, client: "anthropic-sdk-js", runs: [[0, 1, 2, 3, 10, 11, 12, 13]] };
const OPENCODE_MAIN = "ses_ddea5ab7bffeCzUqla5udyN7Hc";
const OPENCODE_CHILD = "ses_ddea5a256ffedlhEB0qw8BJT5M";

const CAPTURES: Readonly<Record<string, Expected>> = {
  "claude-code-1.0.50": { source: "inferred", traceId: null, client: "claude-code", runs: [[0]] },
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
    trees: ["main 2 (subagent a45cd61fe0c80e897 1)"],
  },
  "opencode-1.18.33": { source: "opencode", traceId: "at-ses_df497e776ffea4cRjgc1paYGa7", client: "opencode" },
  // The title, main, the sub-agent, and main again.
  "opencode-1.18.33-subagent": {
    source: "opencode",
    traceId: `at-${OPENCODE_MAIN}`,
    client: "opencode",
    agents: { 2: { agent_id: OPENCODE_CHILD } },
    trees: [`main 3 (subagent ${OPENCODE_CHILD} 1)`],
  },
  "pi-coding-agent-1.6.0-bash-tool": { source: "inferred", traceId: null, client: "pi", runs: [[0, 1]] },
  // Main, twice more beside its sub-agent, which begins with a message of its own.
  "qwen-code-0.24.4-subagent": { source: "inferred", traceId: null, client: "qwen-code", runs: [[0, 1, 3], [2]] },
  "copilot-cli-1.0.102-byok-subagent": {
    source: "inferred",
    traceId: null,
    client: "copilot-cli",
    runs: [[0, 2], [1]],
    agents: { 1: { request_class: "subagent" } },
    trees: ["main 2", "main 0 (subagent 1)"],
  },
  "anthropic-sdk-0.137.0": SDK,
  "anthropic-sdk-1.12.0": SDK,
};

/** Captures of clients that do not speak to this API: what they ask for is refused. */
const REFUSED: Readonly<Record<string, string>> = { "codex-0.169.0": "codex", "codex-0.171.0-on-403": "codex" };

/** Captures of clients of another API, which `named_sessions_test.ts` replays. */
const ELSEWHERE = ["codex-0.171.0-review", "codex-0.171.0-subagent"];

/** What the next hop's framing, connection and credential replace. */
const REPLACED = new Set(["host", "connection", "content-length", "accept-encoding", "x-api-key", "authorization"]);

/**
 * Each capture is a sandbox's; both SDKs ask for the same batch afterwards, which is their
 * workspace's.
 */
const proxy = await startProxy({ env: { LLMPROXY_ALLOW_PATHS: "*" } });
Deno.test.afterAll(async () => await proxy[Symbol.asyncDispose]());
proxy.upstream.answer((call) =>
  call.method === "POST" && call.target === "/v1/messages/batches" ? json({ id: "msgbatch_01lab" }) : "default"
);

for (const [name, expected] of Object.entries(CAPTURES)) {
  Deno.test(`the proxy passes what ${name} sent unchanged, and its session and agents land in trace and rows`, async () => {
    proxy.upstream.forget();
    const place = { workspaceId: expected === SDK ? "sdk" : name, sandboxId: name };
    const token = await proxy.token(place.workspaceId, place.sandboxId);
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
    const rows = proxy.rows().filter(({ sandbox_id }) => sandbox_id === name);
    assert.equal(rows.length, billed.length);
    for (const [index, { captured, body, number }] of billed.entries()) {
      assertRow(rows[index]!, { captured, body, expected, agents: expected.agents?.[number] ?? {} });
    }
    await assertTraces({ ...place, rows, expected, numbers: billed.map(({ number }) => number) });
  });
}

for (const [name, client] of Object.entries(REFUSED)) {
  Deno.test(`the proxy refuses what ${name} sent each time, and says whose it was, which path and which client`, async () => {
    await using proxy = await startProxy();
    const token = await proxy.token("w-codex", "s-codex");
    using connection = new RawConnection(proxy.url);
    const captures = capturesOf(name);
    for (const captured of captures) {
      const body = bodyOf(captured);
      const headers = headersOf(captured, { body, host: new URL(proxy.url).host, token });
      const reply = await connection.send({ method: captured.method, target: captured.url, headers, body });
      assert.deepEqual([reply.isBroken, reply.status], [false, 403]);
    }
    assert.deepEqual([proxy.upstream.calls.length, proxy.rows().length], [0, 0]);
    const lines = proxy.logs.map((line) => JSON.parse(line)).filter(({ msg }) => msg === "refused");
    assert.equal(lines.length, captures.length);
    for (const { fault, workspaceId, sandboxId, path, client: named } of lines) {
      assert.deepEqual([fault, workspaceId, sandboxId, path, named], [
        ...["path_not_allowed", "w-codex", "s-codex", "/v1/responses"],
        client,
      ]);
    }
  });
}

Deno.test("tests/fixtures/clients holds the captures that are replayed, 25 count_tokens calls of one session among them", () => {
  const files = [...Deno.readDirSync(new URL("../fixtures/clients/", import.meta.url))].map(({ name }) => name);
  const replayed = [...Object.keys(CAPTURES), ...Object.keys(REFUSED), ...ELSEWHERE];
  assert.deepEqual(files.sort(), replayed.map((name) => `${name}.jsonl`).sort());
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
  // The Fetch standard adds it if the client sent none.
  const isLanguageSaid = headers.some(([name]) => name.toLowerCase() === "accept-language");
  const language: readonly Header[] = isLanguageSaid ? [] : [["accept-language", "*"]];
  const framing: readonly Header[] = body.length === 0 ? [] : [["content-length", String(body.length)]];
  const expected = [
    ...headers.filter(([name]) => !REPLACED.has(name.toLowerCase())),
    ["host", new URL(proxy.upstream.url).host] as const,
    ["accept-encoding", "identity"] as const,
    ["x-api-key", OPERATOR_KEY] as const,
    ...language,
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
    outcome: "completed",
    accuracy: "exact",
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

/**
 * A named session is one trace, also if no call of it has a row; without a name the first message
 * tells.
 */
async function assertTraces(
  { workspaceId, sandboxId, rows, expected, numbers }: {
    readonly workspaceId: string;
    readonly sandboxId: string;
    readonly rows: readonly Row[];
    readonly expected: Expected;
    readonly numbers: readonly number[];
  },
): Promise<void> {
  const ids = expected.traceId === null ? assertRuns(rows, { expected, numbers }) : [expected.traceId];
  for (const row of rows) assert.ok(ids.includes(String(row.trace_id)));
  const traces = await waitFor(async () => {
    const { traces } = await proxy.ask(`/internal/traces?limit=1000&sandbox_id=${sandboxId}`) as {
      traces: Readonly<Record<string, unknown>>[];
    };
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
    const tree = expected.trees?.[ids.indexOf(String(trace.id))] ?? `main ${own.length}`;
    const { agents } = await proxy.ask(`/internal/traces/${trace.id}?workspace_id=${workspaceId}`) as {
      agents: readonly [Agent];
    };
    assert.equal(treeOf(agents[0]), tree);
  }
}

/** The ids of the traces into which the calls fall, one a run. */
function assertRuns(
  rows: readonly Row[],
  { expected, numbers }: { readonly expected: Expected; readonly numbers: readonly number[] },
): readonly string[] {
  const ids = expected.runs!.map((run) => new Set(run.map((number) => String(rows[numbers.indexOf(number)]!.trace_id))));
  for (const id of ids) assert.equal(id.size, 1);
  const found = ids.flatMap((id) => [...id]);
  for (const id of found) assert.match(id, /^at-ZZ[0-9A-HJKMNP-TV-Z]{24}$/);
  assert.equal(new Set(found).size, found.length);
  return found;
}

interface Agent {
  readonly kind: string;
  readonly agentId?: string;
  readonly requestCount: number;
  readonly children: readonly Agent[];
}

function treeOf({ kind, agentId, requestCount, children }: Agent): string {
  const own = [kind, agentId, requestCount].filter((part) => part !== undefined).join(" ");
  return [own, ...children.map((child) => `(${treeOf(child)})`)].join(" ");
}
