import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { answerTraces, answerUsage, type InternalDeps, type InternalStore } from "../src/http/internal.ts";
import { cacheValueOf } from "../src/pricing/cache_value.ts";
import { CLAUDE_PRICES } from "../src/pricing/claude_prices.ts";
import { connectPostgres } from "../src/stores/postgres/connect.ts";
import { migrateSqlite } from "../src/stores/sqlite/migrate.ts";
import { openSqliteStore } from "../src/stores/sqlite/store.ts";
import { T0 } from "./conformance/samples.ts";
import { startPostgres } from "./postgres_server.ts";

const ROWS = 1_000_000;
/** So many rows cost nearly 2^53 nano-dollars; sums of a thousand such are near what 64 bits hold. */
const GREAT_ROWS = 1_000;
const GREAT_COST = 2 ** 53 - 1;
/** Row n of the others costs so much and n more. Odd, so that every sum's last digits say whether it was rounded on the way. */
const SMALL_COST = 1_234_567;
const HOUR_MS = 3_600_000;
/** The rows are a millisecond apart: the last lie in a broken hour. */
const HALF = T0 + ROWS / 2;

/** They would take longer to fill than all the rest, and no sum depends on them. */
const DROP_INDEXES = "DROP INDEX usage_by_sandbox; DROP INDEX usage_by_time; DROP INDEX usage_by_trace";

const smallRows = BigInt(ROWS - GREAT_ROWS);
const COST = BigInt(GREAT_ROWS) * BigInt(GREAT_COST) + smallRows * BigInt(SMALL_COST) +
  sumUpTo(BigInt(ROWS)) - sumUpTo(BigInt(GREAT_ROWS));
const COST_OF_HALF = COST - sumFrom(ROWS / 2);

Deno.test("sums of 1,000,000 rows are exact in the JSON of the embedded database, by hours and by rows", async () => {
  const dir = Deno.makeTempDirSync();
  const path = `${dir}/llmproxy.db`;
  migrateSqlite(path);
  const database = new DatabaseSync(path);
  database.exec(`
    PRAGMA journal_mode = MEMORY;
    PRAGMA synchronous = OFF;
    ${DROP_INDEXES};
    WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${ROWS - 1})
    ${insertRows({ from: "numbers", isStreaming: "1" })};
    ${insertTotals()}`);
  database.close();
  const store = await openSqliteStore({ path, synchronous: "normal", checkpointMs: 0 });
  await assertExact(store);
  await store.close();
  Deno.removeSync(dir, { recursive: true });
});

Deno.test("sums of 1,000,000 rows are exact in the JSON of PostgreSQL, by hours and by rows", async () => {
  await using server = await startPostgres({ settings: { fsync: "off", synchronous_commit: "off", max_wal_size: "2GB" } });
  const { store, migrate } = connectPostgres(server.url);
  await migrate();
  await store.makeReady(T0);
  await server.psql(
    `${DROP_INDEXES}; ${
      insertRows({ from: `generate_series(0, ${ROWS - 1}) AS numbers (n)`, isStreaming: "true" })
    }; ${insertTotals()}`,
  );
  await assertExact(store);
  await store.close();
});

async function assertExact(store: InternalStore): Promise<void> {
  const deps: InternalDeps = { store, cacheValueOf: cacheValueOf(CLAUDE_PRICES), now: () => T0 };
  const until = new Date(HALF).toISOString();
  const all = await textOf(answerUsage(requestOf("/internal/usage?group_by=model"), deps));
  assertCost(all, COST);
  assert.equal(JSON.parse(all).totals.inputTokens, Number(sumUpTo(BigInt(ROWS))));
  assertCost(await textOf(answerUsage(requestOf(`/internal/usage?until=${until}`), deps)), COST_OF_HALF);
  assertCost(await textOf(answerUsage(requestOf("/internal/usage?group_by=trace"), deps)), COST);
  assertCost(await textOf(answerTraces(requestOf("/internal/traces"), deps)), COST);
}

/** In the totals and in the one entry that there is, digit by digit. */
function assertCost(text: string, cost: bigint): void {
  assert.deepEqual(text.match(/"costUsd":"[^"]*"/g), [`"costUsd":"${dollars(cost)}"`, `"costUsd":"${dollars(cost)}"`]);
}

function insertRows({ from, isStreaming }: { readonly from: string; readonly isStreaming: string }): string {
  return `
    INSERT INTO usage (
      id, revision, instance_id, workspace_id, sandbox_id, trace_id, kind, provider, requested_model, served_model, ending,
      trust, streaming, created_at, input_tokens, request_bytes, cost
    )
    SELECT
      'ar-' || n, 2, 'earlier', 'w-1', 'sb-1', 'at-1', 'message', 'anthropic', 'm', 'm', 'completed',
      'exact', ${isStreaming}, ${T0} + n, n, 1, CASE WHEN n < ${GREAT_ROWS} THEN ${GREAT_COST} ELSE ${SMALL_COST} + n END
    FROM ${from}`;
}

/** As the rows' own transactions would have left them. */
function insertTotals(): string {
  const sums = "count(*), sum(input_tokens), 0, 0, 0, sum(cost), 0, 0, 0, 0, 0, 0";
  return `
    INSERT INTO usage_hours
    SELECT workspace_id, created_at / ${HOUR_MS} * ${HOUR_MS} AS hour, sandbox_id, provider, served_model, kind, ${sums}
    FROM usage GROUP BY workspace_id, hour, sandbox_id, provider, served_model, kind;
    INSERT INTO traces
    SELECT workspace_id, trace_id, sandbox_id, 'header', ${T0}, ${T0}, ${sums}
    FROM usage GROUP BY workspace_id, trace_id, sandbox_id`;
}

/** 0 + 1 + … to before `count`. */
function sumUpTo(count: bigint): bigint {
  return count * (count - 1n) / 2n;
}

/** What the rows from that number on cost: none of the great ones. */
function sumFrom(first: number): bigint {
  return BigInt(ROWS - first) * BigInt(SMALL_COST) + sumUpTo(BigInt(ROWS)) - sumUpTo(BigInt(first));
}

/** Written here without the product's help. */
function dollars(nanoDollars: bigint): string {
  const digits = String(nanoDollars);
  return `${digits.slice(0, -9)}.${digits.slice(-9)}`;
}

function requestOf(path: string): Request {
  return new Request(`http://localhost${path}`);
}

async function textOf(answer: Promise<Response>): Promise<string> {
  const response = await answer;
  assert.equal(response.status, 200);
  return await response.text();
}
