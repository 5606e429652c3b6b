import { rowJson } from "../domain/usage_columns.ts";
import type { UsageRecord } from "../domain/usage_record.ts";
import { COLUMNS } from "./columns.ts";
import type { RowEncoder } from "./row_encoder.ts";

/**
 * One JSON object a line (https://github.com/ndjson/ndjson-spec); fields that a row does not have
 * are left out.
 */
export function ndjsonEncoder(): RowEncoder<UsageRecord> {
  const encoder = new TextEncoder();
  return {
    add: (rows) => encoder.encode(rows.map((row) => `${JSON.stringify(rowJson(row, COLUMNS))}\n`).join("")),
    end: () => new Uint8Array(),
  };
}
