/** Agents that speak other dialects, one at a time, through the real proxy to scripted models. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { assertHeadPassed, passedTo, SCENE_KEYS, type SceneDialect, startDialectScene } from "../dialect_scene.ts";
import { defaultAnswer, type Script, type SeenCall } from "../fake_answers.ts";
import { bedrockModel } from "../fake_bedrock.ts";
import { geminiModel } from "../fake_gemini.ts";
import { openaiError, openaiModel } from "../fake_openai.ts";
import { vertexModel } from "../fake_vertex.ts";
import { quota } from "../limited_calls.ts";
import { messageCall, type Row } from "../proxy_under_test.ts";
import { FINAL_ANSWER, type ModelScript, TOOL_OUTPUT, toolThenAnswer, type Turn } from "../scripted_turns.ts";
import { gate, waitFor } from "../wait.ts";
import type { Exchange } from "../wire_tap.ts";
import { agentProgram } from "./agent_packages.ts";
import { type AgentRun, runAgent } from "./agents.ts";
import {
  CLAUDE_CODE_BEDROCK,
  CLAUDE_CODE_VERTEX,
  CODEX,
  type DialectAgent,
  GEMINI_CLI,
  OPENCODE_COMPATIBLE,
  OPENCODE_OPENAI,
} from "./dialect_agents.ts";
import { startOutsideWorld } from "./outside_world.ts";

/** What is true of one agent's runs. */
interface Expected {
  readonly agent: DialectAgent;
  readonly dialect: SceneDialect;
  /** Its base URL names no dialect. */
  readonly isBare?: true;
  readonly provider: string;
  readonly fake: (script: ModelScript) => (call: SeenCall) => Script;
  /** The rows' client. */
  readonly client: string;
  /** How its trace is found. */
  readonly source: string;
  /** Calls of a run that are no turns of its conversation: opencode makes the session's title. */
  readonly besides: 0 | 1;
  /** The counts that its fake names, without what was read from and written to the cache. */
  readonly tokens: readonly [input: number, read: number, write: number, output: number];
  readonly servedModel: string;
  /** Whether a stream is read on whose client left, because it is paid for in full. */
  readonly readsOn: boolean;
  /** Whether it asks again if its stream breaks; otherwise it ends with an error. */
  readonly asksAgain: boolean;
  /** What it gets if a limit is used up, how often it asks, and what its user reads. */
  readonly spent: { readonly status: number; readonly attempts: number; readonly words: RegExp };
  /** How often it asks with a token that we refuse. Left out: a start of opencode takes long. */
  readonly refusedAttempts?: number;
  /** Only its answers and a used-up limit are tried: another entry is the same program. */
  readonly isBrief?: true;
}

const OUR_WORDS = /Quota exceeded\. This workspace has used 0 of its limit of 1 tokens a day \(tokens_per_day\)/;
const OPENAI_TOKENS = [907, 36_000, 4_096, 207] as const;
const CLAUDE_TOKENS = [1_003, 36_000, 4_096, 207] as const;

const AGENTS: Readonly<Record<string, Expected>> = {
  "codex": {
    agent: CODEX,
    ...{ dialect: "openai", provider: "openai", fake: openaiModel, client: "codex", source: "codex", besides: 0 },
    ...{ tokens: OPENAI_TOKENS, servedModel: CODEX.model, readsOn: true, asksAgain: true },
    spent: { status: 400, attempts: 1, words: OUR_WORDS },
    refusedAttempts: 1,
  },
  "opencode on OpenAI": {
    agent: OPENCODE_OPENAI,
    ...{ dialect: "openai", provider: "openai", fake: openaiModel, client: "opencode", source: "opencode", besides: 1 },
    ...{ tokens: OPENAI_TOKENS, servedModel: OPENCODE_OPENAI.model, readsOn: true, asksAgain: true },
    spent: { status: 403, attempts: 2, words: /Quota exceeded\. The limit tokens_per_day of this workspace is used up\./ },
  },
  "opencode on an OpenAI-compatible provider": {
    agent: OPENCODE_COMPATIBLE,
    ...{ dialect: "openai", provider: "openai", fake: openaiModel, client: "opencode", source: "opencode", besides: 1 },
    isBrief: true,
    ...{ tokens: OPENAI_TOKENS, servedModel: OPENCODE_COMPATIBLE.model, readsOn: true, asksAgain: true },
    spent: { status: 403, attempts: 2, words: /Quota exceeded\. The limit tokens_per_day of this workspace is used up\./ },
  },
  "gemini-cli": {
    agent: GEMINI_CLI,
    isBare: true,
    ...{ dialect: "gemini", provider: "gcp.gemini", fake: geminiModel, client: "gemini-cli", source: "inferred", besides: 0 },
    ...{ tokens: [1_003, 36_000, 0, 207], servedModel: GEMINI_CLI.model, readsOn: true, asksAgain: false },
    spent: { status: 403, attempts: 1, words: OUR_WORDS },
    refusedAttempts: 1,
  },
  "Claude Code on Bedrock": {
    agent: CLAUDE_CODE_BEDROCK,
    isBare: true,
    ...{
      dialect: "bedrock",
      provider: "aws.bedrock",
      fake: bedrockModel,
      client: "claude-code",
      source: "claude-code",
      besides: 0,
    },
    ...{ tokens: CLAUDE_TOKENS, servedModel: "claude-haiku-4-5-20251001", readsOn: true, asksAgain: true },
    spent: { status: 429, attempts: 1, words: OUR_WORDS },
    refusedAttempts: 1,
  },
  "Claude Code on Vertex": {
    agent: CLAUDE_CODE_VERTEX,
    isBare: true,
    ...{
      dialect: "vertex",
      provider: "gcp.vertex_ai",
      fake: vertexModel,
      client: "claude-code",
      source: "claude-code",
      besides: 0,
    },
    ...{ tokens: CLAUDE_TOKENS, servedModel: "claude-haiku-4-5-20251001", readsOn: false, asksAgain: true },
    spent: { status: 429, attempts: 1, words: OUR_WORDS },
    // It asks for another token of Google's after each 401.
    refusedAttempts: 3,
  },
};

/** A busy machine takes its time to start an agent. */
const START_MS = 100_000;
const PROMPT = "Print a word and say what you saw.";
/** It has them by this switch only. */
const WITH_SUB_AGENTS = ["--enable", "multi_agent_v2"];
/** What Codex asks for beside the model: its plugins. No call of it has the token. */
const CODEX_ASKS = /^CONNECT http:\/\/(github\.com|api\.github\.com|chatgpt\.com):443$/;

// All are downloaded side by side, while the first ones run.
for (const { agent } of Object.values(AGENTS)) void agentProgram(agent.name);

const scene = await startDialectScene();
Deno.test.afterAll(async () => await scene[Symbol.asyncDispose]());

for (const [name, expected] of Object.entries(AGENTS)) {
  const { dialect, client, source, besides, readsOn } = expected;
  /** With one tool call in it, or with one turn that is asked again. */
  const calls = 2 + besides;
  const upstream = scene.upstreams[dialect];

  Deno.test(`${name} runs a tool through the proxy: bytes are equal, and the rows of its ${source} trace say what was used`, async () => {
    const { run, token, sandboxId } = await ran(expected);
    assert.equal(run.code, 0, run.output);
    assert.ok(run.stdout.includes(FINAL_ANSWER), run.output);
    const passed = passedTo(scene, dialect).filter(({ call }) => call.method === "POST");
    assert.equal(passed.length, calls);
    assert.ok(passed.some(({ call }) => Buffer.from(call.body).includes(TOOL_OUTPUT)));
    for (const one of passed) {
      assertHeadPassed(one, { dialect, token });
      assert.deepEqual([one.exchange.body.length, one.exchange.isBroken], [one.call.sent.length, false]);
    }
    const rows = await scene.rowsOf(sandboxId, calls);
    assert.equal(rows.length, calls);
    for (const row of rows) assertRow(row, { expected, outcome: "completed" });
    const { traces } = await scene.proxy.ask(`/internal/traces?sandbox_id=${sandboxId}`) as {
      traces: Readonly<Record<string, unknown>>[];
    };
    assert.deepEqual(traces.map((trace) => [trace.source, trace.requestCount]), [[source, calls]]);
    assert.ok(!run.output.includes(SCENE_KEYS[dialect]) && !scene.proxy.logs.join("").includes(token));
    assert.deepEqual(run.files.filter(({ bytes }) => Buffer.from(bytes).includes(SCENE_KEYS[dialect])), []);
  });

  Deno.test(`${name} asks ${expected.spent.attempts} time(s) if a limit is used up, and shows our words`, async () => {
    const { run } = await ran(expected, { limit: { max_tokens_per_day: 1 } });
    assert.notEqual(run.code, 0, run.output);
    assert.match(run.output, expected.spent.words);
    const refused = scene.tap.exchanges().filter(({ request, status }) =>
      request.method === "POST" && status === expected.spent.status
    );
    assert.equal(refused.length, expected.spent.attempts, run.output);
    assert.equal(upstream.calls.filter(({ method }) => method === "POST").length, 0);
  });

  if (expected.isBrief) continue;

  Deno.test(`${name} is interrupted in mid-stream: ${readsOn ? "the proxy reads on and knows what was used" : "the call ends"}`, async () => {
    const { passed: more, open } = gate();
    const stop = new AbortController();
    const begun = ran(expected, { turn: answering, middle: () => more, signal: stop.signal });
    // If the wait fails, its words are the test's.
    begun.catch(() => {});
    await waitFor(() => scene.tap.exchanges().some(isRunningTurn), {
      what: "the first half of a turn at the client",
      deadlineMs: START_MS,
    }).catch((error) => {
      open();
      throw error;
    });
    stop.abort();
    const { sandboxId } = await begun;
    await scene.allLeft();
    const asked = upstream.calls.filter(({ method }) => method === "POST");
    if (!readsOn) await waitFor(() => asked.every(({ closedAt }) => closedAt !== null), { what: "the end of the calls" });
    open();
    for (const row of await scene.rowsOf(sandboxId, asked.length)) {
      if (readsOn) assertRow(row, { expected, outcome: "client_left" });
      else assert.deepEqual([row.outcome, row.accuracy, row.client], ["client_left", "estimated", client]);
    }
    assert.ok(asked.every(({ closedAt }) => closedAt === null === readsOn));
    passedTo(scene, dialect);
  });

  Deno.test(`${name} sees a break in mid-stream, and ${expected.asksAgain ? "asks again" : "ends with an error"}`, async () => {
    let turns = 0;
    const middle = (call: SeenCall) => isTurn(call.body) && turns++ === 0 ? "cut" : null;
    const { run, sandboxId } = await ran(expected, { turn: answering, middle });
    const exchanges = scene.tap.exchanges().filter(({ status }) => status === 200);
    const [broken] = exchanges.filter(({ isBroken }) => isBroken);
    assert.ok(broken !== undefined);
    passedTo(scene, dialect);
    const asked = upstream.calls.filter(({ method }) => method === "POST").length;
    const rows = await scene.rowsOf(sandboxId, asked);
    assert.equal(rows.filter(({ outcome }) => outcome === "upstream_broke").length, 1);
    assert.equal(run.code, expected.asksAgain ? 0 : 1, run.output);
    if (!expected.asksAgain) return assert.equal(asked, 1 + besides);
    assert.ok(run.stdout.includes(FINAL_ANSWER), run.output);
    assert.equal(asked, calls);
  });

  if (expected.refusedAttempts === undefined) continue;
  Deno.test(`${name} comes again if too many calls run, and then shows the answer`, async () => {
    const { passed: ended, open } = gate();
    const { upstream: other } = scene.proxy;
    other.answer((call) => ended.then(() => defaultAnswer(call)));
    const workspaceId = `crowded-${name.replaceAll(" ", "-")}`;
    await quota(scene.proxy, `/${workspaceId}`, { max_concurrent: 1 });
    const running = fetch(`${scene.proxy.url}/v1/messages`, messageCall(await scene.proxy.token(workspaceId)));
    await other.waitForCalls(1);
    const begun = ran(expected, { turn: answering, token: await scene.proxy.token(workspaceId) });
    // If the wait fails, its words are the test's.
    begun.catch(() => {});
    const isRefused = ({ request, status }: Exchange) => request.method === "POST" && status >= 400;
    await waitFor(() => scene.tap.exchanges().some(isRefused), { what: "a refusal", deadlineMs: START_MS });
    open();
    await (await running).text();
    const { run } = await begun;
    assert.ok(run.stdout.includes(FINAL_ANSWER), run.output);
    const statuses = scene.tap.exchanges().filter(({ request }) => request.method === "POST").map(({ status }) => status);
    assert.deepEqual([statuses.at(-1), new Set(statuses.slice(0, -1))], [200, new Set([429])]);
  });

  Deno.test(`${name} asks ${expected.refusedAttempts} time(s) with a token that we refuse, and shows our words`, async () => {
    const { run } = await ran(expected, { token: "llmp_of-nobody-0123456789abcdef" });
    assert.notEqual(run.code, 0, run.output);
    assert.match(run.output, /invalid proxy token/);
    const asked = scene.tap.exchanges().filter(({ request }) => request.method === "POST");
    assert.deepEqual([asked.length, upstream.calls.length], [expected.refusedAttempts, 0], run.output);
  });
}

Deno.test("codex tries a WebSocket first, gets 426, and asks over HTTP at once", async () => {
  await ran(AGENTS.codex!, { turn: answering });
  const [first, ...others] = scene.tap.exchanges();
  assert.deepEqual([first!.request.method, first!.status], ["GET", 426]);
  assert.deepEqual(others.map(({ request, status }) => [request.method, status]), [["POST", 200]]);
  assert.equal(scene.upstreams.openai.calls.length, 1);
});

Deno.test("codex repeats a broken call in other bytes, and its row is linked with the first one's", async () => {
  let count = 0;
  const { sandboxId } = await ran(AGENTS.codex!, {
    turn: answering,
    middle: () => count++ === 0 ? "cut" : null,
  });
  const [first, second] = await scene.rowsOf(sandboxId, 2);
  assert.equal(second!.retry_of, first!.id);
});

Deno.test("codex starts a sub-agent, which stands below main in its session's tree", async () => {
  const agent = { ...CODEX, args: (...of: Parameters<typeof CODEX.args>) => [...CODEX.args(...of), ...WITH_SUB_AGENTS] };
  const isSubAgents = (call: SeenCall) => call.header("x-openai-subagent") !== null;
  const spawning: Turn = { tool: "spawn_agent", namespace: "collaboration", input: { task_name: "look", message: "look" } };
  const waiting: Turn = { tool: "wait_agent", namespace: "collaboration", input: { timeout_ms: 30_000 } };
  const turns = [spawning, waiting];
  const { run, sandboxId } = await ran({ ...AGENTS.codex!, agent }, {
    turn: (call) => isSubAgents(call) ? answering() : turns.shift() ?? answering(),
  });
  assert.equal(run.code, 0, run.output);
  const rows = await scene.rowsOf(sandboxId, 4);
  assert.deepEqual(rows.map(({ request_class }) => request_class).sort(), ["main", "main", "main", "subagent"]);
  const { agents } = await scene.proxy.ask(`/internal/traces/${rows[0]!.trace_id}?workspace_id=${sandboxId}`) as {
    readonly agents: readonly [
      { readonly requestCount: number; readonly children: readonly Readonly<Record<string, unknown>>[] },
    ];
  };
  const [main] = agents;
  assert.deepEqual([main.requestCount, main.children.map(({ kind, agentType }) => [kind, agentType])], [
    ...[3, [["subagent", "collab_spawn"]]],
  ]);
});

Deno.test("codex asks once if the upstream refuses the operator's key, and the operator's words stay with us", async () => {
  const words = "Incorrect API key provided: sk-operator";
  const { run, sandboxId } = await ran(AGENTS.codex!, {
    instead: ({ method }) => method === "POST" ? openaiError(401, { message: words, code: "invalid_api_key" }) : null,
  });
  assert.notEqual(run.code, 0);
  assert.equal(scene.upstreams.openai.calls.length, 1, run.output);
  assert.ok(!run.output.includes(words), run.output);
  const [row] = await scene.rowsOf(sandboxId, 1);
  assert.equal(row!.outcome, "upstream_error");
});

/** A request with all of the agent's instructions, and not for the title of a session. */
function isTurn(body: Uint8Array): boolean {
  return body.length > 10_000;
}

function isRunningTurn({ request, requestBody, status, body }: Exchange): boolean {
  return request.method === "POST" && status === 200 && body.length > 0 && isTurn(requestBody);
}

function answering(): Turn {
  return { text: FINAL_ANSWER };
}

let runs = 0;

/** One run of the agent, in a workspace of its own. Fails if it speaks with others. */
async function ran(
  { agent, dialect, isBare, fake }: Expected,
  { limit, signal, token: given, ...script }: Partial<ModelScript> & {
    readonly token?: string;
    readonly limit?: Readonly<Record<string, unknown>>;
    readonly signal?: AbortSignal;
  } = {},
): Promise<{ readonly run: AgentRun; readonly token: string; readonly sandboxId: string }> {
  scene.forget();
  scene.proxy.upstream.forget();
  const sandboxId = `agent-${++runs}`;
  const token = given ?? await scene.proxy.token(sandboxId, sandboxId);
  if (limit !== undefined) await quota(scene.proxy, `/${sandboxId}`, limit);
  scene.upstreams[dialect].answer(fake({ turn: toolThenAnswer(agent.tool, agent.inputOf), ...script }));
  await using outside = startOutsideWorld();
  const run = await runAgent(agent, {
    to: { url: isBare === true ? scene.tap.url : scene.urlOf(dialect), token, traceId: null },
    prompt: PROMPT,
    env: outside.env,
    ...(signal === undefined ? {} : { signal }),
  });
  assert.deepEqual(outside.asked.filter((asked) => agent.name !== CODEX.name || !CODEX_ASKS.test(asked)), []);
  return { run, token, sandboxId };
}

function assertRow(row: Row, { expected, outcome }: { readonly expected: Expected; readonly outcome: string }): void {
  const { dialect, provider, client, tokens, servedModel } = expected;
  const { input_tokens, cache_read_input_tokens, cache_creation_input_tokens, output_tokens, ...rest } = row;
  assert.deepEqual([input_tokens, cache_read_input_tokens, cache_creation_input_tokens, output_tokens], tokens);
  const columns = { outcome, accuracy: "exact", client, provider, upstream: `the-${dialect}`, served_model: servedModel };
  assert.deepEqual(Object.fromEntries(Object.keys(columns).map((name) => [name, rest[name]])), columns);
}
