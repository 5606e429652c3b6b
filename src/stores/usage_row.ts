import { EMPTY_READING } from "../domain/reading.ts";
import type { Closing, OpenCall, TokenUsage, UsageRow } from "../domain/usage.ts";
import { type Column, columnsFrom, columnsShownIn } from "../domain/usage_columns.ts";
import type { UsageRecord } from "../domain/usage_record.ts";
import { flag, integer, type Row, text } from "./row_decoders.ts";

/** A row's values by column, ready to be written. A flag is a boolean. */
export type StoredValues = Readonly<Record<string, string | number | boolean | null>>;

const CALL = columnsFrom("call");
const CLOSING = columnsFrom("closing");
const READING = columnsFrom("reading");

/** What is written at admission, and what is written at the end. */
export const CALL_COLUMNS = CALL.map(({ column }) => column);
export const CLOSING_COLUMNS = [...CLOSING, ...READING].map(({ column }) => column);

export function storedCall(call: OpenCall): StoredValues {
  return store({}, CALL, call);
}

export function storedClosing(closing: Closing): StoredValues {
  return store(store({}, CLOSING, closing), READING, closing.reading);
}

/** Values for `columns`, in their order. Flags are 1 and 0 for SQLite, which has no booleans. */
export function sqliteValues(stored: StoredValues, columns: readonly string[]): (string | number | null)[] {
  return columns.map((column) => {
    const value = stored[column]!;
    return typeof value === "boolean" ? Number(value) : value;
  });
}

function store(stored: Record<string, StoredValues[string]>, columns: readonly Column[], from: object) {
  for (const { column, field, kind } of columns) {
    stored[column] = storedValue((from as Readonly<Record<string, unknown>>)[field], kind);
  }
  return stored;
}

function storedValue(value: unknown, kind: Column["kind"]): StoredValues[string] {
  if (value === null || value === undefined) return null;
  if (kind === "ms") return Math.round(value as number);
  if (kind !== "counts" && kind !== "list") return value as string | number | boolean;
  const json = JSON.stringify(value);
  return json === "{}" || json === "[]" ? null : json;
}

/** A closed row. Of the reading only what has a column: how far the reader had come is not kept. */
export function usageRowOf(row: Row): UsageRow {
  // The columns hold what the types name: only rows of ours are ever written.
  const call = fieldsOf(row, CALL) as unknown as OpenCall;
  const reading = { ...EMPTY_READING, ...fieldsOf(row, READING) };
  return { revision: integer(row, "revision"), call, closing: { ...fieldsOf(row, CLOSING), reading } as unknown as Closing };
}

export function fieldsOf(row: Row, columns: readonly Column[]): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const { column, field, kind } of columns) fields[field] = valueOf(row, column, kind);
  return fields;
}

function valueOf(row: Row, column: string, kind: Column["kind"]): unknown {
  const value = row[column];
  if (kind === "counts" || kind === "list") return value === null ? (kind === "list" ? [] : {}) : JSON.parse(text(row, column));
  if (value === null) return null;
  if (kind === "text") return text(row, column);
  return kind === "flag" ? flag(row, column) : integer(row, column);
}

const DETAIL = columnsShownIn("detail");
const RECORD = [...new Set([...DETAIL, ...columnsShownIn("export")])];

/** A row as a trace's detail shows it. */
export function tokenUsageOf(row: Row): TokenUsage {
  return shownOf(row, DETAIL) as unknown as TokenUsage;
}

/** A closed row as an export shows it. */
export function usageRecordOf(row: Row): UsageRecord {
  return shownOf(row, RECORD) as unknown as UsageRecord;
}

function shownOf(row: Row, columns: readonly Column[]): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const { column, shownAs, kind, isAlwaysShown, ifNull } of columns) {
    const value = column === "model" ? row.served_model ?? text(row, "requested_model") : valueOf(row, column, kind) ?? ifNull;
    if (isAlwaysShown || !isEmpty(value)) shown[shownAs] = value;
  }
  return shown;
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === "" || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}
