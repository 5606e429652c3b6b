import type { UsageRow } from "../../domain/usage.ts";
import { retryOf } from "../retries.ts";
import { type Row, rowKeyOf, text, textOrNull } from "../row_decoders.ts";
import { added, COUNTED_COLUMNS, countedClosing, countedRow, placeOf, removed } from "../totals.ts";
import {
  CALL_COLUMNS,
  CLOSING_COLUMNS,
  closingValue,
  sentColumns,
  storedCall,
  storedClosing,
  type StoredValues,
} from "../usage_row.ts";
import type { Ask } from "./connection.ts";
import { release } from "./limits.ts";
import { relink } from "./retries.ts";
import { applyDeltas, lockTraces } from "./totals.ts";

interface Sent {
  readonly row: UsageRow;
  readonly closing: StoredValues;
  /** By column. */
  readonly values: Row;
}

/**
 * Writes closed rows and moves the totals by what was really inserted or changed. What their calls
 * held is free. The caller has a transaction open. Every writer takes the tables in the same order
 * (traces, usage, reservations, hours), and the keys of each in order: so two writers never wait
 * for each other in a circle.
 */
export async function writeRows(ask: Ask, given: readonly UsageRow[]): Promise<void> {
  const rows = strongest(given);
  if (rows.size === 0) return;
  await lockTraces(ask, [...rows.values()].map(({ row }) => row.call));
  const sent = [...rows.values()].map(({ values }) => values);
  const inserted = insertedOf(rows, await ask(INSERT, [sent, sent.length]));
  // In the order in which they were given: the first row of an unknown trace makes it.
  const deltas = [...rows].filter(([key]) => inserted.has(key)).map(([, { row, closing }]) =>
    added(placeOf(row.call, row.closing), countedClosing(closing))
  );
  const ended = [...inserted];
  if (inserted.size < rows.size) {
    // What was there already: mostly the same row again.
    const met = sent.filter((values) => !inserted.has(rowKeyOf(values)));
    const weaker = await ask(LOCK_WEAKER, [
      met.map(({ workspace_id, created_at, id, revision }) => ({ workspace_id, created_at, id, revision })),
    ]);
    const keys = new Set(weaker.map(rowKeyOf));
    if (keys.size > 0) await ask(REPLACE, [met.filter((values) => keys.has(rowKeyOf(values)))]);
    for (const old of weaker) {
      const { row, closing } = rows.get(rowKeyOf(old))!;
      // Only the columns of its end are replaced.
      const stored = { provider: text(old, "provider"), upstream: textOrNull(old, "upstream") };
      const place = { ...placeOf(row.call, row.closing), ...stored };
      deltas.push(
        removed({ ...place, model: text(old, "model") }, countedRow(old)),
        added(place, countedClosing(closing, retryOf(old))),
      );
      if (endsOtherwise(closing, old)) ended.push(rowKeyOf(old));
    }
  }
  deltas.push(...await relink(ask, ended.map((key) => rows.get(key)!.row.call)));
  await release(ask, [...rows.values()].map(({ row }) => row.call.id));
  await applyDeltas(ask, deltas);
}

/** If all rows were inserted, the answer does not name them. */
function insertedOf(rows: ReadonlyMap<string, Sent>, [answer]: readonly Row[]): ReadonlySet<string> {
  const keys = answer?.keys as readonly (readonly [workspaceId: string, createdAt: number, id: string])[] | null;
  return new Set(keys === null ? rows.keys() : keys.map((key) => JSON.stringify(key)));
}

function endsOtherwise(closing: StoredValues, old: Row): boolean {
  const duration = old.duration_ms === null ? null : Number(old.duration_ms);
  return old.outcome !== closingValue(closing, "outcome") || duration !== closingValue(closing, "duration_ms");
}

/** Of the rows with one key, the first with the highest revision. */
function strongest(rows: readonly UsageRow[]): ReadonlyMap<string, Sent> {
  const found = new Map<string, Sent>();
  for (const row of rows) {
    const { call, revision } = row;
    const key = rowKeyOf({ workspace_id: call.workspaceId, created_at: call.createdAt, id: call.id });
    const other = found.get(key);
    if (other !== undefined && other.row.revision >= revision) continue;
    const closing = storedClosing(row.closing);
    found.set(key, { row, closing, values: sentColumns(COLUMNS, [revision, ...storedCall(call), ...closing]) });
  }
  return found;
}

/** What was sent, as rows of the table; columns that were not sent are NULL. */
const SENT = `json_populate_recordset(NULL::usage, $1) AS sent`;

const COLUMNS = ["revision", ...CALL_COLUMNS, ...CLOSING_COLUMNS];
const COLUMN_LIST = COLUMNS.join(", ");

/**
 * Names the inserted rows only if not all `$2` were: reading the names takes as long as sending the
 * rows.
 */
const INSERT = `
  WITH inserted AS (
    INSERT INTO usage (${COLUMN_LIST})
    SELECT ${COLUMN_LIST}
    FROM ${SENT}
    ORDER BY workspace_id, created_at, id
    ON CONFLICT DO NOTHING
    RETURNING workspace_id, created_at, id
  )
  SELECT
    CASE WHEN count(*) < $2 THEN coalesce(json_agg(json_build_array(workspace_id, created_at, id)), '[]') END AS keys
  FROM inserted`;

const LOCK_WEAKER = `
  SELECT usage.workspace_id, usage.created_at, usage.id, usage.provider, usage.upstream,
    coalesce(usage.served_model, usage.requested_model) AS model, usage.duration_ms, ${
  COUNTED_COLUMNS.map((column) => `usage.${column}`).join(", ")
}
  FROM ${SENT}
  JOIN usage USING (workspace_id, created_at, id)
  WHERE usage.revision < sent.revision
  ORDER BY usage.workspace_id, usage.created_at, usage.id
  FOR UPDATE OF usage`;

const REPLACE = `
  UPDATE usage SET revision = sent.revision, ${CLOSING_COLUMNS.map((column) => `${column} = sent.${column}`).join(", ")}
  FROM ${SENT}
  WHERE usage.workspace_id = sent.workspace_id AND usage.created_at = sent.created_at AND usage.id = sent.id`;
