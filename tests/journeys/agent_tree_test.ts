import assert from "node:assert/strict";
import { bodyOf, capturesOf, headersOf } from "../captured_calls.ts";
import { firstUserText, usageOf } from "../fake_messages.ts";
import { type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { RawConnection } from "../raw_connection.ts";

const CAPTURE = "claude-code-2.1.330-subagent-hint-headers";
const TRACE = "/internal/traces/at-00000000-0000-4000-8000-000000000001";
const SUB_AGENT = "a45cd61fe0c80e897";

interface Node {
  readonly kind: string;
  readonly agentId?: string;
  readonly parentAgentId?: string;
  readonly agentType?: string;
  readonly requestCount: number;
  readonly outputTokens: number;
  readonly costUsd: string;
  readonly firstAt: string;
  readonly lastAt: string;
  readonly children: readonly Node[];
}

Deno.test("a session of Claude Code with a sub-agent is a tree: main and below it the sub-agent, each with its type, calls and cost", async () => {
  await using proxy = await startProxy();
  const usage = await replay(proxy, [{ number: 0 }, { number: 1 }, { number: 2 }]);
  const main = await treeOf(proxy);
  assert.deepEqual([main.kind, main.requestCount, main.costUsd], ["main", 2, dollars(2n * costOf(usage))]);
  assert.deepEqual(main.children.length, 1);
  const [sub] = main.children;
  assert.deepEqual([sub!.kind, sub!.agentId, sub!.agentType, sub!.parentAgentId, sub!.children], [
    ...["subagent", SUB_AGENT, "general-purpose", undefined],
    [],
  ]);
  assert.deepEqual([sub!.requestCount, sub!.outputTokens, sub!.costUsd], [1, usage.output_tokens, dollars(costOf(usage))]);
  // The sub-agent ran between main's two calls.
  assert.ok(main.firstAt <= sub!.firstAt && sub!.lastAt <= main.lastAt);
});

Deno.test("a sub-agent hangs below the one that it names as its parent, and compactions and auxiliary calls below who made them", async () => {
  await using proxy = await startProxy();
  await replay(proxy, [
    { number: 0 },
    { number: 0, over: { "x-claude-code-request-class": "auxiliary" } },
    { number: 1 },
    {
      number: 1,
      over: { "x-claude-code-agent-id": "b", "x-claude-code-parent-agent-id": SUB_AGENT, "x-claude-code-agent-type": "Explore" },
    },
    { number: 1, over: { "x-claude-code-request-class": "compaction" } },
    { number: 1, over: { "x-claude-code-agent-id": "c", "x-claude-code-parent-agent-id": "nobody" } },
  ]);
  assert.equal(
    shapeOf(await treeOf(proxy)),
    `main 1 (auxiliary 1) (subagent ${SUB_AGENT} general-purpose 1 (subagent b Explore 1) (compaction 1)) (subagent c general-purpose 1)`,
  );
});

Deno.test("a session says what the cache saved it, and what was written again", async () => {
  await using proxy = await startProxy();
  const usage = await replay(proxy, [{ number: 0 }, { number: 2 }]);
  const { cache } = await proxy.ask(TRACE) as { readonly cache: Readonly<Record<string, unknown>> };
  const [read, written] = [usage.cache_read_input_tokens, usage.cache_creation_input_tokens];
  const { ephemeral_5m_input_tokens: written5m, ephemeral_1h_input_tokens: written1h } = usage.cache_creation;
  // The second call writes as much as the first, though it reads so much less than the first left
  // in the cache.
  const missed1h = written - written5m;
  assert.deepEqual(cache, {
    readTokens: 2 * read,
    writeTokens: 2 * written,
    savedUsd: dollars(BigInt(2 * read) * 3_800n),
    writePremiumUsd: dollars(BigInt(2 * written5m) * 1_000n + BigInt(2 * written1h) * 4_000n),
    missedTokens: written,
    missCostUsd: dollars(BigInt(written5m) * 4_800n + BigInt(missed1h) * 7_800n),
    unpricedCount: 0,
    isWhole: true,
  });
});

interface Replayed {
  /** Of the request in its file. */
  readonly number: number;
  /** Headers in place of the captured ones. */
  readonly over?: Readonly<Record<string, string>>;
}

/** Makes the calls one after the other. Each is charged the usage that this returns. */
async function replay(proxy: ProxyUnderTest, calls: readonly Replayed[]): Promise<ReturnType<typeof usageOf>> {
  using connection = new RawConnection(proxy.url);
  const token = await proxy.token();
  const texts = new Set<string>();
  for (const { number, over = {} } of calls) {
    const captured = capturesOf(CAPTURE)[number]!;
    const body = bodyOf(captured);
    const kept = headersOf(captured, { body, host: new URL(proxy.url).host, token }).filter(([name]) =>
      !(name.toLowerCase() in over)
    );
    const headers = [...kept, ...Object.entries(over)];
    const reply = await connection.send({ method: captured.method, target: captured.url, headers, body });
    assert.equal(reply.status, 200);
    texts.add(firstUserText(JSON.parse(new TextDecoder().decode(body))));
  }
  await proxy.closedRows(calls.length);
  assert.equal(texts.size, 1);
  return usageOf([...texts][0]!);
}

async function treeOf(proxy: ProxyUnderTest): Promise<Node> {
  const { agents } = await proxy.ask(TRACE) as { readonly agents: readonly Node[] };
  assert.equal(agents.length, 1);
  return agents[0]!;
}

/**
 * Of claude-opus-5-5: $4 input, $5 and $8 writes, $0.20 reads, $20 output a million tokens; in
 * nano-dollars a token.
 */
function costOf(usage: ReturnType<typeof usageOf>): bigint {
  const { ephemeral_5m_input_tokens: written5m, ephemeral_1h_input_tokens: written1h } = usage.cache_creation;
  assert.equal(written5m + written1h, usage.cache_creation_input_tokens);
  return BigInt(
    usage.input_tokens * 4_000 + written5m * 5_000 + written1h * 8_000 + usage.cache_read_input_tokens * 200 +
      usage.output_tokens * 20_000,
  );
}

function dollars(nanoDollars: bigint): string {
  const digits = String(nanoDollars).padStart(10, "0");
  return `${digits.slice(0, -9)}.${digits.slice(-9)}`;
}

function shapeOf({ kind, agentId, agentType, requestCount, children }: Node): string {
  const own = [kind, agentId, agentType, requestCount].filter((part) => part !== undefined).join(" ");
  return [own, ...children.map((child) => `(${shapeOf(child)})`)].join(" ");
}
