import { hourStart } from "../../domain/calendar.ts";
import { TOTALS } from "../../domain/totals.ts";
import { sumsByRollup } from "../rollups.ts";
import { type Delta, type Place, type Sum, sumsByHour, sumsByTrace, TOTAL_NAMES, traceColumn } from "../totals.ts";
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
  await ask(ADD_TO_TRACES, [sentSums(sumsByTrace(deltas))]);
  const hours = sumsByHour(deltas);
  await ask(ADD_TO_HOURS, [sentSums(hours)]);
  await ask(ADD_TO_ROLLUPS, [sentRollups(hours)]);
}

/** One row for each sum: the database takes as long to read a delta as to write a row. */
function sentSums(sums: readonly Sum[]): readonly object[] {
  return sums.map(({ place, latest, counts }) => ({
    workspace_id: place.workspaceId,
    trace_id: place.traceId,
    sandbox_id: place.sandboxId,
    hour: hourStart(place.createdAt),
    provider: place.provider,
    model: place.model,
    kind: place.kind,
    created_at: latest,
    ...sentCounts(counts),
  }));
}

function sentRollups(hours: readonly Delta[]): readonly object[] {
  return sumsByRollup(hours).map(({ key: [workspace_id, level, start, provider, model], counts }) => {
    return { workspace_id, level, start, provider, model, ...sentCounts(counts) };
  });
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

const DELTAS = `
  json_to_recordset($1) AS delta (
    workspace_id TEXT COLLATE "C", trace_id TEXT COLLATE "C", sandbox_id TEXT COLLATE "C", hour BIGINT,
    provider TEXT COLLATE "C", model TEXT COLLATE "C", kind TEXT COLLATE "C", created_at BIGINT,
    ${TOTAL_NAMES.map((name) => `${name} BIGINT`).join(", ")}
  )`;

const ADD_TO_TRACES = `
  UPDATE traces SET
    ${TOTALS.map((total) => `${traceColumn(total)} = traces.${traceColumn(total)} + delta.${total.name}`).join(", ")},
    updated_at = greatest(traces.updated_at, delta.created_at)
  FROM ${DELTAS}
  WHERE traces.workspace_id = delta.workspace_id AND traces.id = delta.trace_id`;

const HOUR_COLUMNS = `workspace_id, hour, sandbox_id, provider, model, kind, ${TOTAL_NAMES.join(", ")}`;

const ADD_TO_HOURS = `
  INSERT INTO usage_hours (${HOUR_COLUMNS})
  SELECT ${HOUR_COLUMNS}
  FROM ${DELTAS}
  ORDER BY workspace_id, hour, sandbox_id, provider, model, kind
  ON CONFLICT (workspace_id, hour, sandbox_id, provider, model, kind) DO UPDATE SET
    ${TOTAL_NAMES.map((name) => `${name} = usage_hours.${name} + excluded.${name}`).join(", ")}`;

const ROLLUP_KEY = "workspace_id, level, start, provider, model";

/** The fleet's rows come last: all writers change them, and each waits until the other commits. */
const ADD_TO_ROLLUPS = `
  INSERT INTO usage_rollups (${ROLLUP_KEY}, ${TOTAL_NAMES.join(", ")})
  SELECT ${ROLLUP_KEY}, ${TOTAL_NAMES.join(", ")}
  FROM json_to_recordset($1) AS delta (
    level TEXT COLLATE "C", start BIGINT, workspace_id TEXT COLLATE "C", provider TEXT COLLATE "C", model TEXT COLLATE "C",
    ${TOTAL_NAMES.map((name) => `${name} BIGINT`).join(", ")}
  )
  ORDER BY workspace_id DESC, level, start, provider, model
  ON CONFLICT (${ROLLUP_KEY}) DO UPDATE SET
    ${TOTAL_NAMES.map((name) => `${name} = usage_rollups.${name} + excluded.${name}`).join(", ")}`;
