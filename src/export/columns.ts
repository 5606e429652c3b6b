import { columnsShownIn } from "../domain/usage_columns.ts";
import type { UsageRecord } from "../domain/usage_record.ts";

/** What an export says of a row, in this order. */
export const COLUMNS = columnsShownIn("export");

export function fieldOf(row: UsageRecord, { shownAs }: (typeof COLUMNS)[number]): unknown {
  return (row as unknown as Readonly<Record<string, unknown>>)[shownAs];
}
