import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { costUsd } from "../../src/domain/money.ts";
import { assertAtMost } from "../best_attempt.ts";
import { readCsv, readParquet } from "../exported_rows.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { focusLines, nanoDollarsOfDecimal } from "../focus_rows.ts";
import { stallsOf } from "../process_metrics.ts";
import { type ProxyProcess, runCommandLine, startProxyProcess } from "../proxy_process.ts";
import { settingsOf } from "../proxy_under_test.ts";
import { waitFor } from "../wait.ts";

/** CONTRIBUTING.md: 1,000,000 where a change touches how rows are taken out. */
const ROWS = Number(Deno.env.get("EXPORT_ROWS") ?? 50_000);
/**
 * Above what a short export leaves. Measured: 53 to 80 MB with 50,000 rows of any format, 116 with
 * 200,000 as NDJSON, and 125 with 1,000,000, which the Worker's bounded heap makes the end.
 */
const MOST_ADDED_MB = 140;
const FIRST_ROW = "2023-11-14T22:13:20Z";
/** Of a further attempt. */
const FEWER_ROWS = 10_000;

const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
const upstream = await startFakeUpstream();
await fill();
let proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir });
async function restart(): Promise<void> {
  await proxy[Symbol.asyncDispose]();
  proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir });
}
Deno.test.afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
  await Deno.remove(dataDir, { recursive: true });
});

for (const format of ["csv", "ndjson", "parquet", "focus", "focus-parquet"] as const) {
  Deno.test(`llmproxy export --format ${format} of ${ROWS} rows adds under ${MOST_ADDED_MB} MB, and blocks the event loop for under 50 ms`, async () => {
    // Of its own: what an export leaves to be collected is not the next one's.
    await restart();
    const output = `${dataDir}/usage.${format}`;
    const short = await runCommandLine(["export", "--format", format, "--until", timeOf(10)], proxy.env);
    assert.equal(short.code, 0);
    const before = peakMb(proxy);
    await assertAtMost(0, async (attempt) => {
      const stalls = await stallsOf(proxy);
      const args = attempt === 0 ? ["--output", output] : ["--until", timeOf(FEWER_ROWS), "--output", `${output}.again`];
      const { code, stdout, stderr } = await runCommandLine(["export", "--format", format, ...args], proxy.env);
      assert.deepEqual([code, stdout, stderr], [0, "", ""]);
      return await stallsOf(proxy) - stalls;
    });
    const peak = peakMb(proxy);
    if (Deno.env.has("EXPORT_ROWS")) console.log(`peak RSS: ${before} MB before, ${peak} MB now`);
    assert.ok(peak - before < MOST_ADDED_MB, `${peak} MB after ${before} MB`);
    if (format === "focus") return assert.equal(await focusCosts(output), EXPECTED.costUsd);
    if (format === "focus-parquet") return assert.equal(focusParquetCosts(output), EXPECTED.costUsd);
    assert.deepEqual(await SUMS[format](output), EXPECTED);
  });
}

Deno.test("llmproxy export writes to stdout what it would write to a file, narrowed as it is told", async () => {
  const args = ["export", "--format", "ndjson", "--since", FIRST_ROW, "--until", timeOf(10), "--workspace", "w0"];
  const { code, stdout } = await runCommandLine(args, proxy.env);
  assert.equal(code, 0);
  assert.deepEqual(stdout.trimEnd().split("\n").map((line) => JSON.parse(line).id), ["ar-0", "ar-3", "ar-6", "ar-9"]);
});

Deno.test("GET /internal/export says what it is, and names a filter that it cannot read", async () => {
  const head = await askExport("?format=parquet", { method: "HEAD" });
  assert.equal(head.headers.get("content-type"), "application/vnd.apache.parquet");
  assert.equal(head.headers.get("content-disposition"), 'attachment; filename="llmproxy-usage.parquet"');
  const focus = await askExport(`?format=focus&until=${timeOf(10)}`);
  assert.equal(focus.headers.get("content-disposition"), 'attachment; filename="llmproxy-focus.csv"');
  assert.equal(focus.headers.get("x-llmproxy-rows"), null, "calls are not lines of this file");
  assert.match(await focus.text(), /^BilledCost,BillingAccountId,/);
  for (
    const [query, named] of [["", "format"], ["?format=xlsx", "format"], ["?format=csv&until=now", "until"], [
      "?format=csv&limit=3",
      "limit",
    ]]
  ) {
    const refused = await askExport(query!);
    assert.equal(refused.status, 400);
    assert.match((await refused.json()).error.message, new RegExp(named!));
  }
});

Deno.test("an export whose client leaves ends, and a third one at a time is 503 with retry-after", async () => {
  const leaving = new AbortController();
  const two = await Promise.all([1, 2].map(() => askExport("?format=ndjson", { signal: leaving.signal })));
  const third = await askExport("?format=csv");
  assert.deepEqual([third.status, third.headers.get("retry-after")], [503, "10"]);
  await third.body?.cancel();
  leaving.abort();
  for (const { body } of two) await body?.cancel().catch(() => {});
  const next = await waitFor(async () => {
    const answer = await askExport("?format=csv");
    if (answer.status === 200) return answer;
    await answer.body?.cancel();
    return null;
  }, { what: "room for another export" });
  await next.body?.cancel();
});

Deno.test("an export that breaks off ends untidily: the command fails and leaves no file", async () => {
  const output = `${dataDir}/broken.csv`;
  const damaged = await startOnDamagedRow();
  try {
    const { code, stderr } = await runCommandLine(["export", "--format", "csv", "--output", output], damaged.proxy.env);
    assert.equal(code, 1);
    assert.match(stderr, /^The export broke off: .*not whole/);
    assert.deepEqual([...Deno.readDirSync(dataDir)].filter(({ name }) => name.startsWith("broken")), []);
  } finally {
    await damaged.end();
  }
});

Deno.test("a proxy that is told to stop does not wait for an export that no client reads", async () => {
  const dir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  copyDatabase(dir);
  await using stopping = await startProxyProcess({ upstreamUrl: upstream.url, dataDir: dir });
  const answer = await fetch(`${stopping.adminUrl}/internal/export?format=ndjson`, {
    headers: { authorization: `Bearer ${stopping.env.LLMPROXY_ADMIN_TOKEN}` },
  });
  stopping.kill("SIGTERM");
  assert.equal((await stopping.exited()).code, 0);
  await assert.rejects(answer.arrayBuffer());
  await Deno.remove(dir, { recursive: true });
});

/** When row n was admitted. */
function timeOf(n: number): string {
  return new Date(Date.parse(FIRST_ROW) + n).toISOString();
}

/** Row n has n input tokens, 1 output token and costs 1,003 n nano-dollars. */
const EXPECTED = {
  rows: ROWS,
  inputTokens: String(BigInt(ROWS) * BigInt(ROWS - 1) / 2n),
  outputTokens: String(ROWS),
  costUsd: costUsd(1_003n * BigInt(ROWS) * BigInt(ROWS - 1) / 2n),
};

const SUMS: Readonly<Record<"csv" | "ndjson" | "parquet", (path: string) => Promise<typeof EXPECTED>>> = {
  async csv(path) {
    let header: readonly string[] = [];
    return await sumOf(path, (line) => {
      const [cells] = readCsv(line);
      if (header.length === 0) return void (header = cells!);
      const cell = (name: string) => cells![header.indexOf(name)]!;
      return { inputTokens: cell("inputTokens"), outputTokens: cell("outputTokens"), costUsd: cell("costUsd") };
    });
  },
  async ndjson(path) {
    return await sumOf(path, (line) => JSON.parse(line));
  },
  async parquet(path) {
    const table = readParquet(await Deno.readFile(path));
    const sum = (name: string) => {
      let total = 0n;
      for (const value of table.getChild(name)!) total += typeof value === "bigint" ? value : unscaled(value);
      return total;
    };
    return {
      rows: table.numRows,
      inputTokens: String(sum("inputTokens")),
      outputTokens: String(sum("outputTokens")),
      costUsd: costUsd(sum("costUsd")),
    };
  },
};

async function focusCosts(path: string): Promise<string> {
  const lines = focusLines(await Deno.readTextFile(path));
  return costUsd(lines.reduce((sum, line) => sum + nanoDollarsOfDecimal(line.BilledCost!), 0n));
}

/** FOCUS has atto-dollars. */
function focusParquetCosts(path: string): string {
  let atto = 0n;
  for (const value of readParquet(Deno.readFileSync(path)).getChild("BilledCost")!) atto += unscaled(value);
  assert.equal(atto % 1_000_000_000n, 0n);
  return costUsd(atto / 1_000_000_000n);
}

/** The integer of an Arrow decimal: 128 bits, the least first. */
function unscaled(words: Uint32Array): bigint {
  return words.reduceRight((value, word) => value << 32n | BigInt(word), 0n);
}

interface Counts {
  readonly inputTokens: string | number;
  readonly outputTokens: string | number;
  readonly costUsd: string;
}

/** Line by line: no cell of these rows holds a line end. */
async function sumOf(path: string, countsOf: (line: string) => Counts | undefined): Promise<typeof EXPECTED> {
  const sum = { rows: 0, inputTokens: 0n, outputTokens: 0n, nano: 0n };
  let rest = "";
  const file = await Deno.open(path);
  for await (const text of file.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop()!;
    for (const line of lines) {
      const counts = countsOf(line);
      if (counts === undefined) continue;
      sum.rows++;
      sum.inputTokens += BigInt(counts.inputTokens);
      sum.outputTokens += BigInt(counts.outputTokens);
      sum.nano += BigInt(counts.costUsd.replace(".", ""));
    }
  }
  assert.equal(rest, "");
  const { rows, inputTokens, outputTokens, nano } = sum;
  return { rows, inputTokens: String(inputTokens), outputTokens: String(outputTokens), costUsd: costUsd(nano) };
}

function askExport(query: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${proxy.adminUrl}/internal/export${query}`, {
    ...init,
    headers: { authorization: `Bearer ${proxy.env.LLMPROXY_ADMIN_TOKEN}` },
  });
}

/** The most memory that the process has had at once (proc(5)). */
function peakMb({ pid }: ProxyProcess): number {
  return Math.round(Number(/VmHWM:\s+(\d+) kB/.exec(Deno.readTextFileSync(`/proc/${pid}/status`))![1]) / 1024);
}

/** A proxy on a copy of the rows, of which one near the end cannot be read. */
async function startOnDamagedRow() {
  const dir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  copyDatabase(dir);
  const database = new DatabaseSync(`${dir}/llmproxy.db`);
  database.prepare("UPDATE usage SET iterations = 'no JSON' WHERE id = ?").run(`ar-${ROWS - 10}`);
  database.close();
  const proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir: dir });
  return {
    proxy,
    end: async () => {
      await proxy[Symbol.asyncDispose]();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

function copyDatabase(dir: string): void {
  const database = new DatabaseSync(`${dataDir}/llmproxy.db`);
  database.prepare("VACUUM INTO ?").run(`${dir}/llmproxy.db`);
  database.close();
}

async function fill(): Promise<void> {
  const migrated = await runCommandLine(["migrate"], settingsOf(upstream.url, dataDir));
  assert.equal(migrated.code, 0, migrated.stderr);
  const database = new DatabaseSync(`${dataDir}/llmproxy.db`);
  database.exec(`
    PRAGMA journal_mode = MEMORY;
    PRAGMA synchronous = OFF;
    PRAGMA cache_size = -400000;
    WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${ROWS - 1})
    INSERT INTO usage (
      id, revision, instance_id, workspace_id, sandbox_id, trace_id, kind, provider, requested_model, served_model, message_id,
      upstream_request_id, outcome, accuracy, status, streaming, created_at, duration_ms, ttft_ms, input_tokens, output_tokens,
      request_bytes, cost, price_version, client, token_id
    )
    SELECT
      'ar-' || n, 2, 'earlier', 'w' || (n % 3), 's' || (n % 100), 'at-' || (n % 5000), 'message', 'anthropic', 'asked',
      'm' || (n % 7), 'msg_' || hex(randomblob(12)), 'req_' || hex(randomblob(12)), 'completed', 'exact', 200, 1,
      ${Date.parse(FIRST_ROW)} + n, 1000, 100, n, 1, 100, n * 1003, '2026-11-24', 'claude-cli/2.1.330', 'lt-' || (n % 200)
    FROM numbers;
  `);
  database.close();
}
