/**
 * A million rows whose sums go beyond what a float keeps, and what the internal API must say of
 * them, digit by digit.
 */
import assert from "node:assert/strict";
import { TOTAL_NAMES } from "../src/stores/totals.ts";
import { T0 } from "./conformance/samples.ts";
import { insertRollups } from "./rollup_rows.ts";

export const ROWS = 1_000_000;
/**
 * So many rows cost nearly 2^53 nano-dollars; sums of a thousand such are near what 64 bits hold.
 */
const GREAT_ROWS = 1_000;
const GREAT_COST = 2 ** 53 - 1;
/**
 * Row n of the others costs so much and n more. Odd, so that every sum's last digits say whether it
 * was rounded on the way.
 */
const SMALL_COST = 1_234_567;
const HOUR_MS = 3_600_000;
/** The rows are a millisecond apart: the last lie in a broken hour. */
const HALF = T0 + ROWS / 2;

/** They would take longer to fill than all the rest, and no sum depends on them. */
const DROP_INDEXES = ["usage_by_sandbox", "usage_by_time", "usage_by_trace"]
  .map((index) => `DROP INDEX IF EXISTS ${index}`).join("; ");

const smallRows = BigInt(ROWS - GREAT_ROWS);
const COST = BigInt(GREAT_ROWS) * BigInt(GREAT_COST) + smallRows * BigInt(SMALL_COST) +
  sumUpTo(BigInt(ROWS)) - sumUpTo(BigInt(GREAT_ROWS));
const COST_OF_HALF = COST - sumFrom(ROWS / 2);

export interface MillionRows {
  /** A table of the numbers n of the rows. */
  readonly numbers: string;
  readonly isStreaming: string;
  readonly startOfMonth: (time: string) => string;
}

/** SQL that fills an empty database with them. */
export function millionRows(options: MillionRows): string {
  const { numbers, isStreaming, startOfMonth } = options;
  const rollups = insertRollups(startOfMonth).join("; ");
  return `${DROP_INDEXES}; ${insertRows({ from: numbers, isStreaming })}; ${insertTotals()}; ${rollups}`;
}

/** `ask`: the body of the answer to a path of the internal API. */
export async function assertExact(ask: (path: string) => Promise<string>): Promise<void> {
  const until = new Date(HALF).toISOString();
  const all = await ask("/internal/usage?group_by=model");
  assertCost(all, COST);
  assert.equal(JSON.parse(all).totals.inputTokens, Number(sumUpTo(BigInt(ROWS))));
  assertCost(await ask(`/internal/usage?until=${until}`), COST_OF_HALF);
  assertCost(await ask("/internal/usage?group_by=trace"), COST);
  assertCost(await ask("/internal/traces"), COST);
}

/** In the totals and in the one entry that there is, digit by digit. */
function assertCost(text: string, cost: bigint): void {
  assert.deepEqual(text.match(/"costUsd":"[^"]*"/g), [`"costUsd":"${dollars(cost)}"`, `"costUsd":"${dollars(cost)}"`]);
}

function insertRows({ from, isStreaming }: { readonly from: string; readonly isStreaming: string }): string {
  return `
    INSERT INTO usage (
      id, revision, instance_id, workspace_id, sandbox_id, trace_id, kind, provider, requested_model, served_model, outcome,
      accuracy, streaming, created_at, input_tokens, request_bytes, cost
    )
    SELECT
      'ar-' || n, 2, 'earlier', 'w-1', 'sb-1', 'at-1', 'message', 'anthropic', 'm', 'm', 'completed',
      'exact', ${isStreaming}, ${T0} + n, n, 1, CASE WHEN n < ${GREAT_ROWS} THEN ${GREAT_COST} ELSE ${SMALL_COST} + n END
    FROM ${from}`;
}

/** The totals that are not zero. */
const SUMS: Readonly<Record<string, string>> = {
  request_count: "count(*)",
  input_tokens: "sum(input_tokens)",
  cost: "sum(cost)",
};

/** As the rows' own transactions would have left them. */
function insertTotals(): string {
  const sums = "count(*), sum(input_tokens), 0, 0, 0, sum(cost), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0";
  return `
    INSERT INTO usage_hours (workspace_id, hour, sandbox_id, provider, upstream, model, kind, ${TOTAL_NAMES.join(", ")})
    SELECT workspace_id, created_at / ${HOUR_MS} * ${HOUR_MS} AS hour, sandbox_id, provider, '', served_model, kind,
      ${TOTAL_NAMES.map((name) => SUMS[name] ?? "0").join(", ")}
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
