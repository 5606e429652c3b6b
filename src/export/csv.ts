import { CSV_LINE_END, csvQuoted, csvText } from "../domain/csv.ts";
import { costUsd } from "../domain/money.ts";
import type { Kind } from "../domain/usage_columns.ts";
import type { UsageRecord } from "../domain/usage_record.ts";
import { COLUMNS, fieldOf, type UsageEncoder } from "./columns.ts";

/**
 * CSV by RFC 4180, with a header line, in UTF-8. A text that a spreadsheet would take for a formula
 * gets a ' in front: clients choose some of these texts, and others open them.
 */
export function csvEncoder(): UsageEncoder {
  const encoder = new TextEncoder();
  let header = COLUMNS.map(({ jsonKey }) => jsonKey).join(",") + CSV_LINE_END;
  function add(rows: readonly UsageRecord[]): Uint8Array<ArrayBuffer> {
    let text = header;
    header = "";
    for (const row of rows) text += COLUMNS.map((column) => cellOf(fieldOf(row, column), column.kind)).join(",") + CSV_LINE_END;
    return encoder.encode(text);
  }
  return { add, end: () => add([]) };
}

function cellOf(value: unknown, kind: Kind): string {
  if (value === undefined) return "";
  switch (kind) {
    case "money":
      return costUsd(value as number);
    case "time":
      return new Date(value as number).toISOString();
    case "counts":
    case "list":
      return csvQuoted(JSON.stringify(value));
    case "text":
      return csvText(value as string);
    default:
      return String(value);
  }
}
