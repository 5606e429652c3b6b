import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { readCsv, readParquet } from "../exported_rows.ts";
import { startPostgres } from "../postgres_server.ts";
import { messageCall, type ProxyUnderTest, received, startProxy } from "../proxy_under_test.ts";
import { arrivedRows } from "../shared_rows.ts";
import { waitFor } from "../wait.ts";

/** $4 a million tokens of input, $20 of output. */
const MODEL = "claude-opus-5-5";
const MILLION = 1_000_000;

type Usage = Readonly<Record<string, unknown>>;

Deno.test("a refusal before any output costs what its category says, streamed or not, and says how certain that is", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  const refusal = (category: unknown) => ({ type: "refusal", category, explanation: null });
  const cases: readonly (readonly [name: string, details: unknown, costUsd: string, accuracy: string])[] = [
    ["cyber", refusal("cyber"), "0.000000000", "exact"],
    ["general_harms", refusal("general_harms"), "0.000000000", "exact"],
    ["none", refusal(null), "0.000000000", "exact"],
    ["bio", refusal("bio"), "4.000000000", "exact"],
    ["unheard_of", refusal("unheard_of"), "4.000000000", "estimated"],
    ["unsaid", undefined, "4.000000000", "estimated"],
  ];
  for (const [name, details, costUsd, accuracy] of cases) {
    for (const stream of [false, true]) {
      const trace = `${name}-${stream}`;
      const usage = { input_tokens: MILLION, output_tokens: 0 };
      await answered(proxy, { token, trace, stream, usage, stop: { stop_reason: "refusal", stop_details: details } });
      const { requests } = await proxy.ask(`/internal/traces/${trace}`) as { requests: Usage[] };
      const [row] = requests;
      assert.deepEqual([row?.costUsd, row?.accuracy, row?.stopReason, row?.inputTokens, row?.outputTokens], [
        ...[costUsd, accuracy, "refusal", MILLION, 0],
      ], trace);
      const category = (details as { category?: string } | undefined)?.category ?? undefined;
      assert.equal(row?.refusalCategory, category, trace);
    }
  }
  const { totals } = await proxy.ask("/internal/usage") as { totals: Usage };
  assert.deepEqual([totals.costUsd, totals.estimatedCostUsd, totals.estimatedCount], ["24.000000000", "16.000000000", 4]);
  // Priced again from what the rows keep, nothing changes.
  const headers = { authorization: `Bearer ${proxy.adminToken}` };
  const again = await fetch(`${proxy.adminUrl}/internal/reprice?since=2020-01-01T00:00:00Z`, { method: "POST", headers });
  const { readCount, repricedCount } = await again.json();
  assert.deepEqual([readCount, repricedCount], [12, 0]);
});

Deno.test("a refusal after output is paid and exact, whatever its category", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  for (const stream of [false, true]) {
    const usage = { input_tokens: MILLION, output_tokens: 50 };
    const stop = { stop_reason: "refusal", stop_details: { type: "refusal", category: "cyber", explanation: null } };
    await answered(proxy, { token, trace: `after-${stream}`, stream, usage, text: "Sure, the", stop });
    const { requests } = await proxy.ask(`/internal/traces/after-${stream}`) as { requests: Usage[] };
    assert.deepEqual([requests[0]?.costUsd, requests[0]?.accuracy], ["4.001000000", "exact"]);
  }
});

Deno.test("uses without a price are flagged beside the cost, in rows, totals, agents and exports, until a price is there", async () => {
  const file = await Deno.makeTempFile({ suffix: ".json" });
  await Deno.writeTextFile(file, "{}");
  await using proxy = await startProxy({ env: { LLMPROXY_PRICES_FILE: file } });
  const token = await proxy.token();
  const uses = { tool_search_requests: 2, code_execution_requests: 1 };
  const usage = { input_tokens: MILLION, output_tokens: 0, server_tool_use: { ...uses, web_fetch_requests: 3 } };
  await answered(proxy, { token, trace: "tools", usage });
  await answered(proxy, { token, trace: "tools", usage: { input_tokens: MILLION, output_tokens: 0 } });
  const seen = async () => {
    const detail = await proxy.ask("/internal/traces/tools") as { requests: Usage[]; agents: Usage[] };
    const { totals } = await proxy.ask("/internal/usage") as { totals: Usage };
    const { traces } = await proxy.ask("/internal/traces") as { traces: Usage[] };
    const sums = [totals, detail.agents[0]!, traces[0]!];
    return {
      rows: detail.requests.map(({ costUsd, accuracy, unpricedUses }) => [costUsd, accuracy, unpricedUses]),
      sums: sums.map(({ costUsd, unpricedCount, partlyPricedCount }) => [costUsd, unpricedCount, partlyPricedCount]),
    };
  };
  assert.deepEqual(await seen(), {
    rows: [["4.000000000", "exact", uses], ["4.000000000", "exact", undefined]],
    sums: Array.from({ length: 3 }, () => ["8.000000000", 0, 1]),
  });
  const [header, ...lines] = readCsv(await proxy.text("/internal/export?format=csv"));
  const place = header!.indexOf("unpricedUses");
  assert.deepEqual(lines.map((line) => line[place]), [JSON.stringify(uses), ""]);
  const parquet = await fetch(`${proxy.adminUrl}/internal/export?format=parquet`, {
    headers: { authorization: `Bearer ${proxy.adminToken}` },
  });
  const table = readParquet(await parquet.bytes());
  assert.deepEqual(table.toArray().map((row) => row.toJSON().unpricedUses), [JSON.stringify(uses), null]);
  const told = proxy.logs.map((line) => JSON.parse(line)).filter((line) => line.counter !== undefined);
  assert.deepEqual(told.map(({ counter, count }) => [counter, count]), Object.entries(uses));

  const price = [{ from: "2026-01-01", usdPerUse: "0.5" }];
  await Deno.writeTextFile(
    file,
    JSON.stringify({ serverTools: { tool_search_requests: price, code_execution_requests: price } }),
  );
  proxy.running.reload();
  await Deno.remove(file);
  const headers = { authorization: `Bearer ${proxy.adminToken}` };
  await received(await fetch(`${proxy.adminUrl}/internal/reprice?since=2020-01-01T00:00:00Z`, { method: "POST", headers }));
  assert.deepEqual(await seen(), {
    rows: [["5.500000000", "exact", undefined], ["4.000000000", "exact", undefined]],
    sums: Array.from({ length: 3 }, () => ["9.500000000", 0, 0]),
  });
});

Deno.test("counts that cannot be true are not taken: the row says so, and every question is still answered", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  const most = Number.MAX_SAFE_INTEGER;
  const absurd = [
    { input_tokens: most, output_tokens: 1 },
    { input_tokens: 1, output_tokens: most },
    { input_tokens: 1, output_tokens: 1, cache_read_input_tokens: 1_000_000_001 },
    { input_tokens: 1, output_tokens: 1, server_tool_use: { web_search_requests: most } },
    { input_tokens: 1, output_tokens: 1, iterations: [{ type: "compaction", input_tokens: most, output_tokens: 1 }] },
  ];
  for (const usage of absurd) {
    for (const stream of [false, true]) await answered(proxy, { token, trace: "absurd", stream, usage });
  }
  await answered(proxy, { token, trace: "real", usage: { input_tokens: MILLION, output_tokens: 0 } });
  const { requests } = await proxy.ask("/internal/traces/absurd") as { requests: Usage[] };
  assert.equal(requests.length, 2 * absurd.length);
  for (
    const { accuracy, errorType, costUsd, inputTokens, outputTokens, cacheReadInputTokens, serverToolUse, iterations } of requests
  ) {
    assert.deepEqual(
      [accuracy, errorType, costUsd, inputTokens, outputTokens, cacheReadInputTokens, serverToolUse, iterations],
      ["unknown", "absurd_usage", undefined, 0, 0, 0, undefined, undefined],
    );
  }
  const { totals } = await proxy.ask("/internal/usage") as { totals: Usage };
  assert.deepEqual([totals.inputTokens, totals.unknownCount, totals.costUsd], [MILLION, requests.length, "4.000000000"]);
  const [header, ...lines] = readCsv(await proxy.text("/internal/export?format=csv&workspace_id=w1"));
  assert.equal(lines.filter((line) => line[header!.indexOf("errorType")] === "absurd_usage").length, requests.length);
  const errors = proxy.logs.map((line) => JSON.parse(line)).filter(({ level }) => level === "error");
  assert.equal(errors.length, requests.length);
  assert.match(errors[0].msg, /token count that cannot be true/);
});

Deno.test("a database that holds absurd counts already answers exactly, by itself and when it has become a shared one", async () => {
  await using postgres = await startPostgres();
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const most = BigInt(Number.MAX_SAFE_INTEGER);
  const expected = [String(3n * most), "3", "12.000000000"];
  const found = async (proxy: ProxyUnderTest) => {
    const answers = [];
    for (
      const path of ["/internal/usage", "/internal/usage?group_by=trace,hour&order=tokens.asc", "/internal/traces?order=tokens"]
    ) {
      const text = await proxy.text(path);
      const { totals } = JSON.parse(
        text,
        (key, value, context?: { source?: string }) => key === "inputTokens" ? context?.source : value,
      );
      answers.push([totals.inputTokens, totals.outputTokens, totals.costUsd]);
    }
    const agents = /"agents":\[\{"kind":"main","inputTokens":(\d+),"outputTokens":(\d+).*?"costUsd":"([^"]+)"/;
    answers.push(agents.exec(await proxy.text("/internal/traces/old"))!.slice(1));
    return answers.map((answer) => answer.map(String));
  };
  try {
    {
      await using proxy = await startProxy({ dataDir });
      const token = await proxy.token();
      for (let n = 0; n < 3; n++) {
        await answered(proxy, { token, trace: "old", usage: { input_tokens: MILLION, output_tokens: 1 } });
      }
      await proxy.closedRows(3);
    }
    // As a version took them that believed every count; the costs are made round.
    const db = new DatabaseSync(`${dataDir}/llmproxy.db`);
    for (const table of ["usage", "usage_hours", "usage_rollups", "traces"]) {
      const column = table === "traces" ? "total_input_tokens" : "input_tokens";
      db.prepare(`UPDATE ${table} SET ${column} = ${column} / ${MILLION} * ?`).run(most);
      db.exec(`UPDATE ${table} SET cost = cost / 1000000 * 1000000`);
    }
    db.close();
    {
      await using proxy = await startProxy({ dataDir });
      assert.deepEqual(await found(proxy), [expected, expected, expected, expected]);
    }
    await using shared = await startProxy({ dataDir, env: { LLMPROXY_DATABASE_URL: postgres.url } });
    await arrivedRows(postgres, { count: 3 });
    await waitFor(async () => JSON.stringify(await found(shared)) === JSON.stringify([expected, expected, expected, expected]), {
      what: "the shared database's totals",
    });
  } finally {
    await Deno.remove(dataDir, { recursive: true });
  }
});

interface Answered {
  readonly token: string;
  readonly trace: string;
  readonly usage: Usage;
  readonly stream?: boolean;
  readonly text?: string;
  readonly stop?: Usage;
}

/** Makes a call that the upstream answers with that usage, and waits for its end. */
async function answered(proxy: ProxyUnderTest, { token, trace, usage, stream = false, text, stop }: Answered): Promise<void> {
  const ended = { stop_reason: "end_turn", stop_sequence: null, ...stop };
  const content = text === undefined ? [] : [{ type: "text", text }];
  const message = { id: "msg_1", type: "message", role: "assistant", model: MODEL, content, ...ended, usage };
  const { output_tokens, ...begun } = usage;
  const delta = (value: string) => ({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: value } });
  const events = [
    {
      type: "message_start",
      message: { ...message, content: [], stop_reason: null, stop_details: null, usage: { ...begun, output_tokens: 1 } },
    },
    ...(text === undefined ? [] : [delta(text)]),
    { type: "message_delta", delta: ended, usage: { output_tokens } },
    { type: "message_stop" },
  ];
  proxy.upstream.answer(
    stream
      ? {
        headers: { "content-type": "text/event-stream" },
        body: events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`),
      }
      : { headers: { "content-type": "application/json" }, body: JSON.stringify(message) },
  );
  const reply = await fetch(`${proxy.url}/v1/messages`, messageCall(token, { stream, headers: { "x-trace-id": trace } }));
  assert.equal((await received(reply)).error, null);
}
