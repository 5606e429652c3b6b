import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { eventStream, messageTo, streamed } from "../fake_answers.ts";
import { messageEvents } from "../fake_messages.ts";
import { type ProxyUnderTest, received, type Row, startProxy } from "../proxy_under_test.ts";

const HOUR_MS = 3_600_000;
const PI = { "user-agent": "pi/1.6.0 (linux; node/v24.21.0; x64)" };
const OPENCODE = { "user-agent": "opencode/1.18.33 ai-sdk/provider-utils/4.0.46 runtime/bun/1.3.14" };
const CACHED = { cache_control: { type: "ephemeral" } };

interface Asking {
  readonly token: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly messages?: readonly unknown[];
  /** White space in the JSON. */
  readonly indent?: number;
  readonly isCompressed?: boolean;
}

const FIRST = { role: "user", content: [{ type: "text", text: "list the files" }] };
const FIRST_CACHED = { role: "user", content: [{ type: "text", text: "list the files", ...CACHED }] };
const REST = [{ role: "assistant", content: "ok" }, { role: "user", content: [{ type: "text", text: "go on", ...CACHED }] }];

/** Makes one call, reads its answer to the end, and gives its row. */
async function ask(proxy: ProxyUnderTest, { token, headers = PI, messages = [FIRST], ...how }: Asking): Promise<Row> {
  const count = proxy.rows().length + 1;
  const json = JSON.stringify({ model: "claude-haiku-4-5", max_tokens: 64, stream: true, messages }, null, how.indent);
  const answer = await fetch(`${proxy.url}/v1/messages`, {
    method: "POST",
    headers: {
      "x-api-key": token,
      "content-type": "application/json",
      ...headers,
      ...(how.isCompressed ? { "content-encoding": "gzip" } : {}),
    },
    body: how.isCompressed ? new Uint8Array(gzipSync(json)) : json,
  });
  await received(answer);
  return (await proxy.closedRows(count)).at(-1)!;
}

async function sourceOf(proxy: ProxyUnderTest, { trace_id }: Row): Promise<unknown> {
  const { trace } = await proxy.ask(`/internal/traces/${trace_id}`) as { trace: { source: string } };
  return trace.source;
}

Deno.test("the proxy links what an agent without a session asks again after a broken stream, and shows what was paid twice", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  proxy.upstream.answer((call) => ({
    ...eventStream(messageEvents({ ...messageTo(call), deltas: 10 }).slice(0, 6)),
    ending: "reset",
  }));
  const broken = await ask(proxy, { token });
  proxy.upstream.answer(streamed());
  await ask(proxy, { token });
  const [first, again] = await proxy.closedRows(2);
  assert.deepEqual([first!.id, first!.outcome, again!.outcome], [broken.id, "upstream_broke", "completed"]);
  assert.deepEqual([again!.retry_of, again!.trace_id], [first!.id, first!.trace_id]);
  const { traces } = await proxy.ask("/internal/traces") as { traces: Record<string, unknown>[] };
  assert.deepEqual(
    traces.map(({ source, requestCount, retryCount, retriedCostUsd }) => [source, requestCount, retryCount, retriedCostUsd]),
    [
      ["inferred", 2, 1, (Number(first!.cost) / 1e9).toFixed(9)],
    ],
  );
});

Deno.test("the proxy infers a session from sandbox, client and first message, however that is marked and spaced, and from nothing else", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  const own = await ask(proxy, { token, messages: [FIRST_CACHED] });
  assert.equal(await sourceOf(proxy, own), "inferred");
  const same: readonly Omit<Asking, "token">[] = [
    { messages: [FIRST, ...REST] },
    { messages: [FIRST_CACHED, ...REST], indent: 2 },
    { messages: [FIRST], headers: { "user-agent": "pi/1.6.1 (another version)" } },
  ];
  for (const asking of same) assert.equal((await ask(proxy, { token, ...asking })).trace_id, own.trace_id);

  const seen = new Set([own.trace_id]);
  const others: readonly (readonly [source: string, asking: Asking])[] = [
    ["inferred", { token, messages: [{ ...FIRST, role: "assistant" }] }],
    ["inferred", { token, headers: { "user-agent": "factory-cli/0.225.2" } }],
    ["inferred", { token: await proxy.token("w1", "s2") }],
    ["inferred", { token: await proxy.token("w2", "s1") }],
    // A named session keeps its own, and no client can name an inferred one.
    ["pi", { token, headers: { ...PI, "x-session-affinity": "019a" } }],
    ["header", { token, headers: { ...PI, "x-trace-id": "run-7" } }],
    ["auto", { token, isCompressed: true }],
    ["auto", { token, messages: [] }],
  ];
  for (const [source, asking] of others) {
    const row = await ask(proxy, asking);
    assert.equal(await sourceOf(proxy, row), source);
    assert.ok(!seen.has(row.trace_id!), `${source} ${row.trace_id}`);
    seen.add(row.trace_id!);
  }
  const stranger = await ask(proxy, {
    token: await proxy.token("w1", "s2"),
    headers: { ...PI, "x-trace-id": String(own.trace_id) },
  });
  assert.notEqual(stranger.trace_id, own.trace_id);
});

Deno.test("the proxy infers no session if LLMPROXY_INFER_SESSION_HOURS is 0", async () => {
  await using proxy = await startProxy({ env: { LLMPROXY_INFER_SESSION_HOURS: "0" } });
  const token = await proxy.token();
  const rows = [await ask(proxy, { token }), await ask(proxy, { token })];
  assert.notEqual(rows[0]!.trace_id, rows[1]!.trace_id);
  assert.equal(await sourceOf(proxy, rows[0]!), "auto");
});

Deno.test("the proxy goes on in an inferred session and in a tree of sub-agents after a restart, until the session's hours are over", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  // The last minute of a slot of twelve hours, and so a run that reaches into the next one.
  const begun = Date.UTC(2026, 10, 28, 11, 59);
  const at = async (now: number, use: (proxy: ProxyUnderTest, token: string) => Promise<Row>) => {
    await using proxy = await startProxy({ dataDir, system: { now: () => now } });
    return await use(proxy, await proxy.token());
  };
  const session = (id: string, parent: string) => ({ ...OPENCODE, "x-session-id": id, "x-parent-session-id": parent });
  try {
    const first = await at(begun, async (proxy, token) => {
      await ask(proxy, { token, headers: session("ses_child", "ses_main") });
      return await ask(proxy, { token });
    });
    const later = await at(begun + 11 * HOUR_MS, async (proxy, token) => {
      const nested = await ask(proxy, { token, headers: session("ses_grandchild", "ses_child") });
      assert.deepEqual([nested.trace_id, nested.agent_id, nested.parent_agent_id], [
        "at-ses_main",
        "ses_grandchild",
        "ses_child",
      ]);
      const foreign = await ask(proxy, { token: await proxy.token("w1", "s2"), headers: session("ses_x", "ses_child") });
      assert.deepEqual([foreign.trace_id, foreign.agent_id, foreign.parent_agent_id], ["at-ses_child", "ses_x", null]);
      return await ask(proxy, { token });
    });
    assert.equal(later.trace_id, first.trace_id);
    const over = await at(begun + 12 * HOUR_MS, (proxy, token) => ask(proxy, { token }));
    assert.notEqual(over.trace_id, first.trace_id);
  } finally {
    await Deno.remove(dataDir, { recursive: true });
  }
});
