/**
 * A fleet's year, made in SQL that both databases understand: rows of calls, and the totals that
 * their transactions would have left. The same numbers make the same rows.
 */
import { COUNTED_ROW, HOUR_KEY, SUMS, TOTAL_NAMES, traceColumn } from "../src/stores/totals.ts";
import { TOTALS } from "../src/domain/totals.ts";

export const FLEET = { workspaces: 2_000, from: Date.UTC(2025, 10, 28), until: Date.UTC(2026, 10, 28), rowsOfTrace: 10 } as const;

/** What the two databases spell differently. */
export interface Dialect {
  /** A table of the numbers n from `from` to before `to`. */
  readonly numbers: (from: number, to: number) => string;
  /** A whole number with leading zeros. */
  readonly padded: (value: string, length: number) => string;
  readonly flag: (condition: string) => string;
}

/** A workspace's share of the slots falls with its rank: the first has a ninth of all calls. */
const SLOTS = 65_536;
const HOUR_MS = 3_600_000;
/** The calls of one trace come one after the other. */
const PAUSE_MS = 150_000;

export function workspaceOf(rank: number): string {
  return `ws-${String(rank).padStart(5, "0")}`;
}

export function sandboxOf(rank: number, number: number): string {
  return `sb-${rank}-${number}`;
}

export function traceOf(number: number): string {
  return `at-${String(scattered(number)).padStart(10, "0")}`;
}

/** Large workspaces have up to 60 sandboxes, the others a few. */
export function sandboxesOf(rank: number): number {
  return Math.max(2, Math.round(60 / Math.sqrt(rank)));
}

/** The rank of the workspace whose slot it is: Zipf's law. */
export function rankOf(slot: number): number {
  return Math.min(FLEET.workspaces, Math.floor(Math.exp(slot / SLOTS * Math.log(FLEET.workspaces + 1))));
}

/** The slot of a trace, as the statements have it. */
export function slotOf(trace: number): number {
  return Math.floor(scattered(trace) / 65_536);
}

const SPREAD = 2_654_435_761;

function scattered(number: number): number {
  return Number(BigInt(number + 1) * BigInt(SPREAD) % 4_294_967_296n);
}

/** 0 to 65,535, by a number and by what it is for. */
function chance(number: string, purpose: number): string {
  return `((${number} + ${purpose * 7_919 + 1}) * ${SPREAD} % 4294967296 / 65536)`;
}

export function fleetTable(): readonly string[] {
  const slots = Array.from({ length: SLOTS }, (_, slot) => `(${slot}, ${rankOf(slot)}, ${sandboxesOf(rankOf(slot))})`);
  const inserts = Array.from(
    { length: 64 },
    (_, part) => `INSERT INTO bench_fleet VALUES ${slots.slice(part * 1_024, (part + 1) * 1_024).join(", ")}`,
  );
  return ["CREATE TABLE bench_fleet (slot INTEGER PRIMARY KEY, place INTEGER NOT NULL, sandboxes INTEGER NOT NULL)", ...inserts];
}

/** The rows from one number to before another, of a year that has `rows`. */
export function insertRows(
  dialect: Dialect,
  { rows, from, to }: { readonly rows: number; readonly from: number; readonly to: number },
): string {
  const { padded, flag } = dialect;
  const stepMs = Math.floor((FLEET.until - FLEET.from - HOUR_MS) / Math.ceil(rows / FLEET.rowsOfTrace));
  const values = {
    id: `'ar-' || ${padded("n", 26)}`,
    revision: "2",
    instance_id: "'bench'",
    workspace_id: `'ws-' || ${padded("place", 5)}`,
    sandbox_id: `'sb-' || place || '-' || (${chance("t", 1)} % sandboxes)`,
    trace_id: `'at-' || ${padded(`((t + 1) * ${SPREAD} % 4294967296)`, 10)}`,
    kind: "'message'",
    provider: "'anthropic'",
    upstream: "'anthropic'",
    requested_model: "model",
    served_model: "CASE WHEN outcome = 'upstream_error' THEN NULL ELSE model END",
    message_id: `'msg_01' || ${padded("n", 22)}`,
    upstream_request_id: `'req_01' || ${padded("n", 22)}`,
    outcome: "outcome",
    accuracy: "accuracy",
    status: "CASE WHEN outcome = 'upstream_error' THEN 529 ELSE 200 END",
    stop_reason: "CASE WHEN outcome = 'completed' THEN 'tool_use' END",
    streaming: flag("1 = 1"),
    created_at: `${FLEET.from} + t * ${stepMs} + k * ${PAUSE_MS} + ${chance("n", 2)}`,
    duration_ms: `800 + ${chance("n", 3)}`,
    ttft_ms: `300 + ${chance("n", 4)} % 2000`,
    input_tokens: "input",
    output_tokens: "output",
    cache_creation_input_tokens: "written",
    cache_read_input_tokens: "cached",
    cache_creation_5m_tokens: "written",
    service_tier: "'standard'",
    max_tokens: "32000",
    request_bytes: "20000 + cached * 4",
    messages_hash: `${padded("0", 40)} || ${padded(`n - CASE WHEN ${isRetry()} THEN 1 ELSE 0 END`, 24)}`,
    retry_of: `CASE WHEN ${isRetry()} THEN 'ar-' || ${padded("n - 1", 26)} END`,
    asked_again: flag("outcome = 'upstream_error' AND k < 9"),
    agent_id: `CASE WHEN k BETWEEN 3 AND 5 THEN 'agent-' || (t % 50) END`,
    agent_type: "CASE WHEN k BETWEEN 3 AND 5 THEN 'Explore' END",
    client: `'claude-cli/2.1.' || (${chance("t", 5)} % 6)`,
    credential_id: "'0a1b2c3d'",
    cost: "CASE WHEN model = 'local-model' OR accuracy = 'unknown' THEN NULL ELSE cost END",
    price_version: "'2026-11-28'",
  };
  return `
    INSERT INTO usage (${Object.keys(values).join(", ")})
    SELECT ${Object.values(values).join(", ")}
    FROM (
      SELECT *, input * 3000 + output * 15000 + written * 3750 + cached * 300 AS cost,
        CASE outcome WHEN 'client_left' THEN 'estimated' WHEN 'unknown' THEN 'unknown' ELSE 'exact' END AS accuracy
      FROM (
        SELECT n, t, k, place, sandboxes, ${outcomeOf("n")} AS outcome, ${modelOf()} AS model,
          3 + ${chance("n", 6)} % 2000 AS input,
          CASE WHEN ${outcomeOf("n")} = 'upstream_error' THEN 0 ELSE 20 + ${chance("n", 7)} % 3000 END AS output,
          ${chance("n", 8)} % 6000 AS written, CASE WHEN k > 0 THEN 9000 * k + ${chance("n", 9)} % 9000 ELSE 0 END AS cached
        FROM (SELECT n, n / ${FLEET.rowsOfTrace} AS t, n % ${FLEET.rowsOfTrace} AS k FROM ${
    dialect.numbers(from, to)
  }) AS numbered
        JOIN bench_fleet ON slot = (t + 1) * ${SPREAD} % 4294967296 / 65536
      ) AS drawn
    ) AS made`;
}

function outcomeOf(n: string): string {
  const drawn = `${chance(n, 10)} % 100`;
  return `CASE WHEN ${drawn} < 3 THEN 'upstream_error' WHEN ${drawn} < 5 THEN 'client_left' WHEN ${drawn} < 6 THEN 'unknown'
    ELSE 'completed' END`;
}

function isRetry(): string {
  return `k > 0 AND ${outcomeOf("(n - 1)")} = 'upstream_error'`;
}

/** A session has one model, and a small one beside it. */
function modelOf(): string {
  const drawn = `${chance("t", 11)} % 100`;
  return `CASE WHEN k = 2 OR k = 7 THEN 'claude-haiku-4-5' WHEN ${drawn} < 55 THEN 'claude-sonnet-4-5'
    WHEN ${drawn} < 95 THEN 'claude-opus-4-5' ELSE 'local-model' END`;
}

/**
 * By the definitions of `domain/totals.ts`, for an empty database that has just got its rows. They
 * are written in the order of time, as a proxy does.
 */
export const INSERT_TOTALS: readonly string[] = [
  `INSERT INTO usage_hours (${HOUR_KEY.join(", ")}, ${TOTAL_NAMES.join(", ")})
   SELECT ${HOUR_KEY.join(", ")}, ${SUMS}
   FROM (
     SELECT workspace_id, created_at / ${HOUR_MS} * ${HOUR_MS} AS hour, sandbox_id, provider,
       coalesce(upstream, '') AS upstream, coalesce(served_model, requested_model) AS model, kind, ${COUNTED_ROW}
     FROM usage
   ) AS counted
   GROUP BY ${HOUR_KEY.join(", ")}
   ORDER BY hour`,
  `INSERT INTO traces (workspace_id, id, sandbox_id, source, created_at, updated_at, ${TOTALS.map(traceColumn).join(", ")})
   SELECT workspace_id, trace_id, min(sandbox_id), 'claude-code', min(created_at), max(created_at), ${SUMS}
   FROM (SELECT workspace_id, trace_id, sandbox_id, created_at, ${COUNTED_ROW} FROM usage) AS counted
   GROUP BY workspace_id, trace_id
   ORDER BY min(created_at)`,
  `INSERT INTO refusals (workspace_id, sandbox_id, fault, minute, instance_id, count)
   SELECT workspace_id, min(sandbox_id), 'sandbox_inactive', created_at / 60000 * 60000, 'bench', count(*)
   FROM usage
   WHERE outcome = 'client_left'
   GROUP BY workspace_id, created_at / 60000 * 60000`,
];
