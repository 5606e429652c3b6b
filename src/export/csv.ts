import { CSV_LINE_END, csvQuoted, csvText } from "../domain/csv.ts";
import { costUsd } from "../domain/money.ts";
import type { Kind } from "../domain/usage_columns.ts";
import type { UsageRecord } from "../domain/usage_record.ts";
import { COLUMNS, fieldOf } from "./columns.ts";
import type { RowEncoder } from "./row_encoder.ts";

export interface CsvColumn<R> {
  readonly name: string;
  /** Quoted if it has to be; empty if the row has no value. */
  readonly cellOf: (row: R) => string;
}

/** CSV by RFC 4180, with a header line, in UTF-8. */
export function csvTable<R>(columns: readonly CsvColumn<R>[]): RowEncoder<R> {
  const encoder = new TextEncoder();
  let header = columns.map(({ name }) => name).join(",") + CSV_LINE_END;
  function add(rows: readonly R[]): Uint8Array<ArrayBuffer> {
    let text = header;
    header = "";
    for (const row of rows) text += columns.map(({ cellOf }) => cellOf(row)).join(",") + CSV_LINE_END;
    return encoder.encode(text);
  }
  return { add, end: () => add([]) };
}

/**
 * A text that a spreadsheet would take for a formula gets a ' in front: clients choose some of
 * these texts, and others open them.
 */
export function csvEncoder(): RowEncoder<UsageRecord> {
  return csvTable(COLUMNS.map((column) => ({
    name: column.jsonKey,
    cellOf: (row: UsageRecord) => cellOf(fieldOf(row, column), column.kind),
  })));
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
