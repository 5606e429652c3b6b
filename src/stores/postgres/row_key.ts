import type { Row } from "../row_decoders.ts";

/** The primary key of a row of usage, as one text. */
export function rowKeyOf(row: Row): string {
  return JSON.stringify([row.workspace_id, Number(row.created_at), row.id]);
}
