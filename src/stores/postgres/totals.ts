import { TOTALS } from "../../domain/totals.ts";
import { ROLLUP_KEY, sumsByRollup } from "../rollups.ts";
import {
  type Delta,
  HOUR_KEY,
  hourKeyOf,
  type Place,
  type Sum,
  sumsByHour,
  sumsByTrace,
  TOTAL_NAMES,
  traceColumn,
} from "../totals.ts";
import type { Ask } from "./connection.ts";

/**
 * Locks the traces of rows before anything is written. Until the transaction ends, no other one
 * writes rows of them, so what is read of their other rows stays true. A missing trace is made, by
 * the first of its calls.
 */
export async function lockTraces(ask: Ask, calls: readonly Pick<Place, "workspaceId" | "traceId" | "sandboxId" | "createdAt">[]) {
  const first = new Map<string, object>();
  for (const { workspaceId, traceId, sandboxId, createdAt } of calls) {
    const key = JSON.stringify([workspaceId, traceId]);
    if (first.has(key)) continue;
    first.set(key, { workspace_id: workspaceId, trace_id: traceId, sandbox_id: sandboxId, created_at: createdAt });
  }
  await ask(LOCK_TRACES, [[...first.values()]]);
}

/** In the transaction that writes the rows, after `lockTraces`. */
export async function applyDeltas(ask: Ask, deltas: readonly Delta[]): Promise<void> {
  if (deltas.length === 0) return;
  await ask(ADD_TO_TRACES, [sumsByTrace(deltas).map(sentTrace)]);
  const hours = sumsByHour(deltas);
  await ask(ADD_TO_HOURS, [hours.map(({ place, counts }) => ({ ...keyed(HOUR_KEY, hourKeyOf(place)), ...sentCounts(counts) }))]);
  await ask(ADD_TO_ROLLUPS, [
    sumsByRollup(hours).map(({ key, counts }) => ({ ...keyed(ROLLUP_KEY, key), ...sentCounts(counts) })),
  ]);
}

function sentTrace({ place, latest, counts }: Sum): object {
  return { workspace_id: place.workspaceId, trace_id: place.traceId, created_at: latest, ...sentCounts(counts) };
}

function keyed(names: readonly string[], values: readonly (string | number)[]): object {
  return Object.fromEntries(names.map((name, n) => [name, values[n]]));
}

/** As text: a sum can be more than a JSON number keeps. */
function sentCounts(counts: readonly bigint[]): Readonly<Record<string, string>> {
  return Object.fromEntries(TOTAL_NAMES.map((name, n) => [name, String(counts[n])]));
}

/**
 * Also locks those that it leaves as they are (https://www.postgresql.org/docs/14/sql-insert.html,
 * "ON CONFLICT Clause").
 */
const LOCK_TRACES = `
  INSERT INTO traces (workspace_id, id, sandbox_id, source, created_at, updated_at)
  SELECT workspace_id, trace_id, sandbox_id, 'auto', created_at, created_at
  FROM json_to_recordset($1) AS sent (
    workspace_id TEXT COLLATE "C", trace_id TEXT COLLATE "C", sandbox_id TEXT, created_at BIGINT
  )
  ORDER BY workspace_id, trace_id
  ON CONFLICT (workspace_id, id) DO UPDATE SET updated_at = traces.updated_at WHERE false`;

const TOTAL_TYPES = TOTAL_NAMES.map((name) => `${name} BIGINT`).join(", ");

/** One row for each sum: the database takes as long to read a delta as to write a row. */
const ADD_TO_TRACES = `
  UPDATE traces SET
    ${TOTALS.map((total) => `${traceColumn(total)} = traces.${traceColumn(total)} + delta.${total.name}`).join(", ")},
    updated_at = greatest(traces.updated_at, delta.created_at)
  FROM json_to_recordset($1) AS delta (
    workspace_id TEXT COLLATE "C", trace_id TEXT COLLATE "C", created_at BIGINT, ${TOTAL_TYPES}
  )
  WHERE traces.workspace_id = delta.workspace_id AND traces.id = delta.trace_id`;

const ADD_TO_HOURS = addTo("usage_hours", { key: HOUR_KEY, order: HOUR_KEY });

/** The fleet's rows come last: all writers change them, and each waits until the other commits. */
const ADD_TO_ROLLUPS = addTo("usage_rollups", {
  key: ROLLUP_KEY,
  order: ROLLUP_KEY.map((name) => name === "workspace_id" ? `${name} DESC` : name),
});

/** To the rows of keys, or new ones. All writers take the rows in one order. */
function addTo(
  table: string,
  { key, order }: { readonly key: readonly string[]; readonly order: readonly string[] },
): string {
  const columns = [...key, ...TOTAL_NAMES].join(", ");
  const keyTypes = key.map((name) => `${name} ${name === "hour" || name === "start" ? "BIGINT" : 'TEXT COLLATE "C"'}`);
  return `
    INSERT INTO ${table} (${columns})
    SELECT ${columns}
    FROM json_to_recordset($1) AS delta (${keyTypes.join(", ")}, ${TOTAL_TYPES})
    ORDER BY ${order.join(", ")}
    ON CONFLICT (${key.join(", ")}) DO UPDATE SET
      ${TOTAL_NAMES.map((name) => `${name} = ${table}.${name} + excluded.${name}`).join(", ")}`;
}
