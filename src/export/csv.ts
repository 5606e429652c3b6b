import { costUsd } from "../domain/money.ts";
import type { Kind } from "../domain/usage_columns.ts";
import type { UsageRecord } from "../domain/usage_record.ts";
import { COLUMNS, fieldOf, type UsageEncoder } from "./columns.ts";

/** A cell that starts like this is a formula to a spreadsheet (OWASP, CSV injection). */
const FORMULA = /^[=+\-@\t\r]/;
const NEEDS_QUOTES = /[",\r\n]/;
const LINE_END = "\r\n";

/**
 * CSV by RFC 4180, with a header line, in UTF-8. A text that a spreadsheet would take for a formula
 * gets a ' in front: clients choose some of these texts, and others open them.
 */
export function csvEncoder(): UsageEncoder {
  const encoder = new TextEncoder();
  let header = COLUMNS.map(({ jsonKey }) => jsonKey).join(",") + LINE_END;
  function add(rows: readonly UsageRecord[]): Uint8Array<ArrayBuffer> {
    let text = header;
    header = "";
    for (const row of rows) text += COLUMNS.map((column) => cellOf(fieldOf(row, column), column.kind)).join(",") + LINE_END;
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
      return quoted(JSON.stringify(value));
    case "text":
      return quoted(FORMULA.test(value as string) ? `'${value}` : value as string);
    default:
      return String(value);
  }
}

function quoted(text: string): string {
  return NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
