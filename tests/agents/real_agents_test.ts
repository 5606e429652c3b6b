/** Runs agents of docs/agents.md, one at a time, through the real proxy to a scripted model. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { FaultCode } from "../../src/domain/fault.ts";
import { limitedCall, quota } from "../limited_calls.ts";
import { OPERATOR_KEY, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { AGENT_PACKAGES, type AgentProgram, agentProgram } from "./agent_packages.ts";
import { type Agent, type AgentRun, AGENTS, runAgent } from "./agents.ts";
import { startOutsideWorld } from "./outside_world.ts";
import { CLAUDE_USAGE } from "../fake_claude.ts";
import { FINAL_ANSWER, TOOL_OUTPUT } from "../scripted_turns.ts";
import { scriptedModel } from "./scripted_model.ts";

/** What is true of an agent's run with one tool call in it. */
interface Expected {
  /** The rows' client. */
  readonly client: string;
  /** How the trace was found if the agent was not told to send an id. */
  readonly source: string;
  readonly calls: number;
  /** How often it asks with a token that we refuse, and if the budget is spent. */
  readonly refusedCalls: number;
  /** What it gets and shows if the budget is spent. */
  readonly spent: { readonly status: number; readonly words: RegExp };
  /** Whether an id of one's own is tried too: a start of opencode takes much processor time. */
  readonly sendsTraceId: boolean;
}

/** Less than one call costs. Some agents take the 503 for a status. */
const BUDGET_USD = "0.011503";
const AMOUNTS =
  /Quota exceeded\. This workspace has used 0\.011526 of its limit of 0\.011503 dollars a day \(cost_per_day\), .* will reset at /;

const EXPECTED: Readonly<Record<Exclude<AgentProgram, "node" | "codex" | "gemini-cli">, Expected>> = {
  "claude-code": {
    client: "claude-code",
    source: "claude-code",
    calls: 2,
    refusedCalls: 1,
    spent: { status: 429, words: AMOUNTS },
    sendsTraceId: true,
  },
  // The third call, and of those refused the first, makes the session's title.
  "opencode": {
    ...{ client: "opencode", source: "opencode", calls: 3, refusedCalls: 2, sendsTraceId: false },
    spent: {
      status: 403,
      words: /Quota exceeded\. The limit cost_per_day of this workspace is used up\. The limit will reset at /,
    },
  },
  "pi": {
    client: "pi",
    source: "inferred",
    calls: 2,
    refusedCalls: 1,
    spent: { status: 403, words: AMOUNTS },
    sendsTraceId: true,
  },
  "qwen-code": {
    client: "qwen-code",
    source: "inferred",
    calls: 2,
    refusedCalls: 1,
    spent: { status: 403, words: AMOUNTS },
    sendsTraceId: true,
  },
};

const PROMPT = "Print a word and say what you saw.";
const OWN_TRACE_ID = "3d6dbe5e-6c6e-4d3a-8a0e-000000000001";
/**
 * What CLAUDE_USAGE costs on claude-haiku-4-5, in nano-dollars. USD a million tokens: 1 in,
 * 5 out, 1.25 and 2 for cache writes, 0.10 for reads.
 */
const CALL_NANO = 1_003 * 1_000 + 207 * 5_000 + 3_072 * 1_250 + 1_024 * 2_000 + 36_000 * 100;

// All are downloaded side by side, while the first ones run. A machine without them waits for its
// line, not for its processors.
for (const agent of AGENTS) void agentProgram(agent.name);

for (const agent of AGENTS) {
  const expected = EXPECTED[agent.name as keyof typeof EXPECTED];

  Deno.test(`${agent.name} runs a tool through the proxy, shows the answer, and its calls are one ${expected.source} trace`, async () => {
    await using proxy = await startProxy();
    const token = await proxy.token();
    const run = await driven(agent, { proxy, token, traceId: null });
    assert.equal(run.code, 0, run.output);
    assert.ok(run.stdout.includes(FINAL_ANSWER), run.output);
    await assertToolRan(proxy, expected.calls);
    assertKeysInPlace(proxy, { token, run });

    const rows = await proxy.closedRows(expected.calls);
    const columns = rows.map(({ outcome, accuracy, output_tokens, cost }) => ({ outcome, accuracy, output_tokens, cost }));
    const each = { outcome: "completed", accuracy: "exact", output_tokens: CLAUDE_USAGE.output_tokens, cost: CALL_NANO };
    assert.deepEqual(columns, Array.from({ length: expected.calls }, () => each));
    if (agent.name === "claude-code") assertSameCost(run, expected.calls * CALL_NANO);
    // Last, so that a failure here says that all the rest holds.
    assert.deepEqual(rows.map(({ client }) => client), rows.map(() => expected.client));
    assert.deepEqual(await tracesOf(proxy), [{ source: expected.source, requestCount: expected.calls }]);
  });

  if (expected.sendsTraceId) {
    Deno.test(`${agent.name} sends a trace id of one's own as docs/agents.md says`, async () => {
      await using proxy = await startProxy();
      const run = await driven(agent, { proxy, token: await proxy.token(), traceId: OWN_TRACE_ID });
      assert.equal(run.code, 0, run.output);
      const rows = await proxy.closedRows(expected.calls);
      assert.deepEqual(rows.map(({ trace_id }) => trace_id), rows.map(() => OWN_TRACE_ID));
      assert.deepEqual(await tracesOf(proxy), [{ source: "header", requestCount: expected.calls }]);
    });
  }

  Deno.test(`${agent.name} stops at the proxy's 401 and shows its words`, async () => {
    await using proxy = await startProxy();
    const token = "llmp_of-nobody-0123456789abcdef";
    const run = await driven(agent, { proxy, token, traceId: null });
    assert.notEqual(run.code, 0, run.output);
    assert.ok(run.output.includes(await ourWords(proxy, token)), run.output);
    assert.deepEqual([proxy.upstream.calls.length, proxy.rows().length], [0, 0]);
    // `ourWords` asked once itself.
    const refused = refusalsOf(proxy, "unauthenticated");
    assert.equal(refused.length, expected.refusedCalls + 1, refused.join(""));
  });

  Deno.test(`${agent.name} stops if the budget is spent, says so, and does not ask again`, async () => {
    await using proxy = await startProxy();
    const token = await proxy.token();
    proxy.upstream.answer(scriptedModel(agent.tool));
    await limitedCall(proxy.url, token, { model: "claude-haiku-4-5" });
    await proxy.closedRows(1);
    await quota(proxy, "/w1", { max_cost_per_day_usd: BUDGET_USD });
    const run = await driven(agent, { proxy, token, traceId: null });
    assert.notEqual(run.code, 0, run.output);
    assert.match(run.output, expected.spent.words);
    const refused = refusalsOf(proxy, "over_cost_per_day");
    assert.equal(refused.length, expected.refusedCalls, refused.join(""));
    for (const line of refused) assert.equal((JSON.parse(line) as { status: unknown }).status, expected.spent.status);
    assert.equal(proxy.upstream.calls.length, 1);
  });
}

Deno.test("the agents are pinned to one version each, which docs/agents.md names, and no deno.json or lock brings them", async () => {
  const [read, docs] = [
    async (path: string) => await Deno.readTextFile(new URL(`../../${path}`, import.meta.url)),
    await Deno.readTextFile(new URL("../../docs/agents.md", import.meta.url)),
  ];
  const brought = (await Promise.all(
    ["", "tests/embedded_postgres/", "tests/client_sdks/"].flatMap((folder) => [`${folder}deno.json`, `${folder}deno.lock`]).map(
      read,
    ),
  )).join("");
  for (const [program, platforms] of Object.entries(AGENT_PACKAGES)) {
    const packages = Object.values(platforms);
    // One package of codex has a version for each platform.
    const versions = new Set(packages.map(({ version }) => version.split("-")[0]));
    assert.equal(versions.size, 1, program);
    for (const { name, version } of packages) {
      assert.match(version, /^\d+\.\d+\.\d+(-[a-z0-9-]+)?$/);
      assert.ok(!brought.includes(name), name);
    }
    if (program !== "node") assert.ok(docs.includes([...versions][0]!), `docs/agents.md names ${program} ${[...versions][0]}`);
  }
});

/** The agent's run; fails if the agent spoke with anybody but the proxy. */
async function driven(agent: Agent, { proxy, token, traceId }: {
  readonly proxy: ProxyUnderTest;
  readonly token: string;
  readonly traceId: string | null;
}): Promise<AgentRun> {
  await using outside = startOutsideWorld();
  proxy.upstream.answer(scriptedModel(agent.tool));
  const run = await runAgent(agent, { to: { url: proxy.url, token, traceId }, prompt: PROMPT, env: outside.env });
  assert.deepEqual(outside.asked, []);
  return run;
}

function refusalsOf(proxy: ProxyUnderTest, code: FaultCode): readonly string[] {
  return proxy.logs.filter((line) => (JSON.parse(line) as { fault?: unknown }).fault === code);
}

async function assertToolRan(proxy: ProxyUnderTest, calls: number): Promise<void> {
  await proxy.upstream.waitForCalls(calls);
  assert.equal(proxy.upstream.calls.length, calls);
  const asked = proxy.upstream.calls.map((call) => JSON.stringify((call.json() as { messages: unknown }).messages));
  const results = asked.filter((text) => text.includes('"tool_result"')).map((text) => text.slice(text.indexOf('"tool_result"')));
  assert.ok(results.some((text) => text.includes(TOOL_OUTPUT)), results.join("\n"));
}

/**
 * Only the upstream has the operator's key. The token goes nowhere behind the proxy.
 */
function assertKeysInPlace(proxy: ProxyUnderTest, { token, run }: { readonly token: string; readonly run: AgentRun }): void {
  for (const call of proxy.upstream.calls) {
    assert.deepEqual([call.header("x-api-key"), call.header("authorization")], [OPERATOR_KEY, null]);
    assert.ok(!JSON.stringify(call.rawHeaders).includes(token));
    assert.ok(!Buffer.from(call.body).includes(token));
  }
  assert.ok(!proxy.logs.join("").includes(token));
  assert.ok(!run.output.includes(OPERATOR_KEY));
  assert.deepEqual(run.files.filter(({ bytes }) => Buffer.from(bytes).includes(OPERATOR_KEY)).map(({ path }) => path), []);
}

function assertSameCost(run: AgentRun, nano: number): void {
  const { total_cost_usd } = JSON.parse(run.stdout) as { readonly total_cost_usd: number };
  assert.equal(Math.round(total_cost_usd * 1e9), nano);
}

async function tracesOf(proxy: ProxyUnderTest): Promise<unknown[]> {
  const { traces } = await proxy.ask("/internal/traces") as { readonly traces: readonly Readonly<Record<string, unknown>>[] };
  return traces.map(({ source, requestCount }) => ({ source, requestCount }));
}

async function ourWords(proxy: ProxyUnderTest, token: string): Promise<string> {
  const answer = await fetch(`${proxy.url}/v1/messages`, { method: "POST", headers: { "x-api-key": token }, body: "{}" });
  assert.equal(answer.status, 401);
  return (await answer.json() as { readonly error: { readonly message: string } }).error.message;
}
