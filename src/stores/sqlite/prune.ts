import type { DatabaseSync } from "node:sqlite";
import { monthStart } from "../../domain/calendar.ts";

/** Rows in one transaction: about 10 ms, for which other writers wait. */
const AT_ONCE = 200;

/** Drops a part in the caller's transaction. Returns whether more is left. */
export function dropSome(db: DatabaseSync, before: number): boolean {
  const from = monthStart(before);
  db.prepare(NOTE_DROPPED).run(from);
  return Number(db.prepare(DROP).run(from, AT_ONCE).changes) === AT_ONCE;
}

const DROP = `
  DELETE FROM usage WHERE rowid IN (
    SELECT rowid FROM usage WHERE created_at < ? AND revision > 0 ORDER BY created_at LIMIT ?
  )`;

const NOTE_DROPPED = `
  INSERT INTO dropped (only_row, before) VALUES (1, ?)
  ON CONFLICT (only_row) DO UPDATE SET before = max(before, excluded.before)`;
