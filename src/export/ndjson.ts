import { rowJson } from "../domain/usage_columns.ts";
import { COLUMNS, type UsageEncoder } from "./columns.ts";

/**
 * One JSON object a line (https://github.com/ndjson/ndjson-spec); fields that a row does not have
 * are left out.
 */
export function ndjsonEncoder(): UsageEncoder {
  const encoder = new TextEncoder();
  return {
    add: (rows) => encoder.encode(rows.map((row) => `${JSON.stringify(rowJson(row, COLUMNS))}\n`).join("")),
    end: () => new Uint8Array(),
  };
}
