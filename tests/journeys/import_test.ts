import assert from "node:assert/strict";
import { costUsd } from "../../src/domain/money.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { startPostgres } from "../postgres_server.ts";
import { runCommandLine, startProxyProcess } from "../proxy_process.ts";
import { readRows, settingsOf } from "../proxy_under_test.ts";
import { waitFor } from "../wait.ts";

const ROWS = 1_500;

/**
 * As migration 001 of agentserver's internal/llmproxy has it, with the columns of its later
 * releases.
 */
const SCHEMA = `
  CREATE TABLE traces (
    id           TEXT PRIMARY KEY,
    sandbox_id   TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    source       TEXT NOT NULL DEFAULT 'unknown',
    created_at   TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at   TIMESTAMPTZ NOT NULL DEFAULT NOW()
  );
  CREATE TABLE usage (
    id                          TEXT PRIMARY KEY,
    trace_id                    TEXT REFERENCES traces(id) ON DELETE SET NULL,
    sandbox_id                  TEXT NOT NULL,
    workspace_id                TEXT NOT NULL,
    provider                    TEXT NOT NULL,
    model                       TEXT NOT NULL,
    message_id                  TEXT,
    input_tokens                BIGINT NOT NULL DEFAULT 0,
    output_tokens               BIGINT NOT NULL DEFAULT 0,
    cache_creation_input_tokens BIGINT NOT NULL DEFAULT 0,
    cache_read_input_tokens     BIGINT NOT NULL DEFAULT 0,
    streaming                   BOOLEAN NOT NULL DEFAULT FALSE,
    duration                    BIGINT NOT NULL DEFAULT 0,
    ttft                        BIGINT NOT NULL DEFAULT 0,
    created_at                  TIMESTAMPTZ NOT NULL DEFAULT NOW()
  );`;

/**
 * Two workspaces, months apart; ids of its own form and foreign ones, traces of clients' choice,
 * and calls without one.
 */
const FILL = `
  INSERT INTO traces
  SELECT
    CASE WHEN n = 0 THEN repeat('long', 50) ELSE 'at-' || n END, 's' || n % 5, 'w' || n % 2, 'claude-code',
    TIMESTAMPTZ '2026-01-31 23:59:59.999999Z' + n * INTERVAL '1 hour', TIMESTAMPTZ '2026-04-01 00:00:00Z'
  FROM generate_series(0, 39) AS n;
  INSERT INTO usage
  SELECT
    CASE WHEN n % 10 = 0 THEN 'req ' || n ELSE 'ar-' || md5(n::text)::uuid END,
    CASE WHEN n % 7 = 0 THEN NULL WHEN n % 40 = 0 THEN repeat('long', 50) ELSE 'at-' || n % 40 END,
    's' || n % 5, 'w' || n % 2, 'anthropic',
    (ARRAY['claude-haiku-4-5-20251001', 'claude-haiku-4-5', 'a-model-of-nobody'])[1 + n % 3],
    CASE WHEN n % 2 = 0 THEN 'msg_' || n END,
    n, n * 3, n % 11, n * 1000003, n % 2 = 0, 1000 + n, n % 400,
    TIMESTAMPTZ '2026-01-31 23:59:59.999999Z' + n * INTERVAL '1 hour'
  FROM generate_series(0, ${ROWS - 1}) AS n;`;

/** What its own GET /internal/usage answers. */
const TOTALS = `
  SELECT
    provider, model, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
    sum(cache_creation_input_tokens) AS cache_creation_input_tokens, sum(cache_read_input_tokens) AS cache_read_input_tokens,
    count(*) AS request_count
  FROM usage GROUP BY provider, model`;

const server = await startPostgres();
const upstream = await startFakeUpstream();
const dirs: string[] = [];
Deno.test.afterAll(async () => {
  for (const dir of dirs) await Deno.remove(dir, { recursive: true });
  await upstream[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

Deno.test("llmproxy import gives the running proxy the Go program's totals, priced; run again it takes what is new, and counts the rest once", async () => {
  const { from, dir } = await openScene();
  await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir: dir });
  const first = await runCommandLine(["import", "--from", from], proxy.env);
  assert.deepEqual([first.code, first.stdout], [
    0,
    `${ROWS} calls and 40 traces are imported; those that were there already count once\n`,
  ]);
  assert.match(first.stderr, new RegExp(`^${ROWS / 3} of the calls have no price`));
  assert.deepEqual(await usageOf(proxy.ask), await expectedUsage(from));
  assert.equal((await runCommandLine(["import", "--from", from], proxy.env)).code, 0);
  assert.deepEqual(await usageOf(proxy.ask), await expectedUsage(from));
  assert.equal(proxy.rows().length, ROWS);

  const since = "2026-02-15T10:30:00Z";
  assert.deepEqual(
    await usageOf(proxy.ask, `?since=${since}&workspace_id=w1`),
    await expectedUsage(from, {
      where: `WHERE created_at >= '${since}' AND workspace_id = 'w1'`,
    }),
  );
  const { trace, requests } = await proxy.ask("/internal/traces/at-2") as {
    readonly trace: Readonly<Record<string, unknown>>;
    readonly requests: readonly Readonly<Record<string, unknown>>[];
  };
  assert.deepEqual(trace, {
    id: "at-2",
    sandboxId: "s2",
    workspaceId: "w0",
    source: "claude-code",
    createdAt: "2026-02-01T01:59:59.999Z",
    updatedAt: "2026-04-03T17:59:59.999Z",
  });
  const { id, duration, ttft, streaming, outcome, accuracy, costUsd: cost, messageId } = requests[0]!;
  const [{ id: itsId } = {}] = await server.psql("SELECT id FROM usage WHERE input_tokens = 2", from);
  assert.deepEqual({ id, duration, ttft, streaming, outcome, accuracy, cost, messageId }, {
    id: itsId,
    duration: 1_002,
    ttft: 2,
    streaming: true,
    outcome: "completed",
    accuracy: "exact",
    // No price covers the third model.
    cost: undefined,
    messageId: "msg_2",
  });

  await server.psql(
    "INSERT INTO usage (id, sandbox_id, workspace_id, provider, model, output_tokens) VALUES ('0', 's', 'w', 'p', 'm', 7)",
    from,
  );
  assert.equal((await runCommandLine(["import", "--from", from], proxy.env)).code, 0);
  assert.deepEqual(await usageOf(proxy.ask), await expectedUsage(from));
});

Deno.test("llmproxy import --offline writes the data directory, and refuses while a proxy holds it; the URL may come from a file", async () => {
  const { from, dir } = await openScene();
  await Deno.writeTextFile(`${dir}/url`, `${from}\n`);
  const args = ["import", "--offline", "--from", `${dir}/url`];
  const env = settingsOf(upstream.url, dir);
  assert.equal((await runCommandLine(args, env)).code, 0);
  assert.equal(readRows(dir).length, ROWS);
  await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir: dir });
  const refused = await runCommandLine(args, env);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /another llmproxy holds it/);
  assert.deepEqual(await usageOf(proxy.ask), await expectedUsage(from));
});

Deno.test("llmproxy import with a shared database writes there at once, twice and once counted, and exports give it out", async () => {
  const { from, dir } = await openScene();
  const env = settingsOf(upstream.url, dir, { LLMPROXY_DATABASE_URL: await server.newDatabase() });
  for (let run = 0; run < 2; run++) {
    const { code, stderr } = await runCommandLine(["import", "--from", from], env);
    assert.equal(code, 0, stderr);
  }
  await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir: dir, env });
  const got = await waitFor(async () => {
    const usage = await usageOf(proxy.ask);
    return usage.length > 0 && usage;
  }, { what: "the shared database's answer" });
  assert.deepEqual(got, await expectedUsage(from));
  const { code, stdout } = await runCommandLine(["export", "--format", "ndjson"], proxy.env);
  assert.equal(code, 0);
  const ids = stdout.trimEnd().split("\n").map((line) => JSON.parse(line).id);
  assert.deepEqual([ids.length, new Set(ids).size], [ROWS, ROWS]);
});

Deno.test("llmproxy import takes its first releases' columns too, and names what is missing of another's tables", async () => {
  const { from, dir } = await openScene();
  const env = settingsOf(upstream.url, dir);
  await server.psql("ALTER TABLE usage RENAME duration TO duration_ms; ALTER TABLE usage DROP ttft", from);
  assert.equal((await runCommandLine(["import", "--offline", "--from", from], env)).code, 0);
  assert.deepEqual(readRows(dir).filter((row) => row.input_tokens === 2).map((row) => [row.duration_ms, row.ttft_ms]), [[
    1_002,
    null,
  ]]);
  await server.psql("ALTER TABLE usage DROP model, DROP duration_ms", from);
  const other = await runCommandLine(["import", "--offline", "--from", from], env);
  assert.equal(other.code, 1);
  assert.equal(
    other.stderr,
    "Cannot import: the table usage is not the Go program's, it has no column model, duration or duration_ms\n",
  );
  const empty = await runCommandLine(["import", "--offline", "--from", await server.newDatabase()], env);
  assert.equal(empty.stderr, "Cannot import: there is no table usage in that database\n");
  const unread = await runCommandLine(["import", "--offline", "--from", "mysql://u:secret@h/d"], env);
  assert.deepEqual([unread.code, unread.stderr.includes("secret")], [1, false]);
});

async function openScene() {
  const from = await server.newDatabase();
  await server.psql(SCHEMA + FILL, from);
  const dir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  dirs.push(dir);
  return { from, dir };
}

type Summary = Readonly<Record<string, unknown>>;

async function usageOf(ask: (path: string) => Promise<Summary>, query = ""): Promise<readonly unknown[]> {
  const { usage } = await ask(`/internal/usage${query}`) as { readonly usage: readonly Summary[] };
  return usage.map((row) => [
    row.model,
    row.provider,
    row.inputTokens,
    row.outputTokens,
    row.cacheCreationInputTokens,
    row.cacheReadInputTokens,
    row.requestCount,
    row.costUsd,
    row.unpricedCount,
  ]).sort();
}

/**
 * Haiku 4.5 costs a million tokens of input $1, of output $5, of 5-minute cache writes $1.25 and of
 * cache reads $0.10.
 */
async function expectedUsage(from: string, { where = "" }: { readonly where?: string } = {}): Promise<readonly unknown[]> {
  const rows = await server.psql(TOTALS.replace("GROUP BY", `${where} GROUP BY`), from);
  return rows.map((row) => {
    const [input, output, write, read] = ["input", "output", "cache_creation_input", "cache_read_input"]
      .map((name) => BigInt(String(row[`${name}_tokens`])));
    const isPriced = String(row.model).startsWith("claude-haiku-4-5");
    const cost = isPriced ? input! * 1_000n + output! * 5_000n + write! * 1_250n + read! * 100n : 0n;
    const count = Number(row.request_count);
    const counts = [input, output, write, read].map(Number);
    return [row.model, row.provider, ...counts, count, costUsd(cost), isPriced ? 0 : count];
  }).sort();
}
