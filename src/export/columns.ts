import { columnsShownIn } from "../domain/usage_columns.ts";
import type { UsageRecord } from "../domain/usage_record.ts";

/** What an export says of a row, in this order. */
export const COLUMNS = columnsShownIn("export");

/**
 * Makes a file of rows, part by part. It holds at most one group of rows, and some bytes per few
 * thousand.
 */
export interface UsageEncoder {
  /** The bytes that these rows complete: none while rows are being gathered. */
  readonly add: (rows: readonly UsageRecord[]) => Uint8Array<ArrayBuffer>;
  /** The bytes that end the file. */
  readonly end: () => Uint8Array<ArrayBuffer>;
}

export function fieldOf(row: UsageRecord, { shownAs }: (typeof COLUMNS)[number]): unknown {
  return (row as unknown as Readonly<Record<string, unknown>>)[shownAs];
}
