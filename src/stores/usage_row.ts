import { EMPTY_READING } from "../domain/reading.ts";
import { type Closing, NO_COST, type OpenCall, type TokenUsage, type UsageRow } from "../domain/usage.ts";
import { type Column, columnsFrom, columnsShownIn } from "../domain/usage_columns.ts";
import type { UsageRecord } from "../domain/usage_record.ts";
import { flag, integer, type Row, text } from "./row_decoders.ts";

/**
 * What is written of a row, in the order of its columns. An array: an object of so many fields is
 * ten times slower.
 */
export type StoredValues = readonly StoredValue[];
export type StoredValue = string | number | boolean | null;

const CALL = columnsFrom("call");
const CLOSING = columnsFrom("closing");
const READING = columnsFrom("reading");

/** What is written at admission, and what is written at the end. */
export const CALL_COLUMNS = CALL.map(({ column }) => column);
export const CLOSING_COLUMNS = [...CLOSING, ...READING].map(({ column }) => column);

export function storedCall(call: OpenCall): StoredValues {
  return storedFields(call, CALL);
}

export function storedClosing(closing: Closing): StoredValues {
  return [...storedFields(closing, CLOSING), ...storedFields(closing.reading, READING)];
}

/** Values by column, for a database that takes rows as JSON. */
export function sentColumns(columns: readonly string[], values: StoredValues): Readonly<Record<string, StoredValue>> {
  return Object.fromEntries(columns.map((column, n) => [column, values[n]!]));
}

const PLACES = new Map(CLOSING_COLUMNS.map((column, n) => [column, n]));

/** The value that `storedClosing` has for a column. */
export function closingValue(values: StoredValues, column: string): StoredValue {
  return values[PLACES.get(column)!]!;
}

/** SQLite has no booleans. */
export function sqliteValues(values: StoredValues): (string | number | null)[] {
  return values.map((value) => typeof value === "boolean" ? Number(value) : value);
}

function storedFields(from: object, columns: readonly Column[]): StoredValue[] {
  return columns.map(({ field, kind }) => storedValue((from as Readonly<Record<string, unknown>>)[field], kind));
}

function storedValue(value: unknown, kind: Column["kind"]): StoredValue {
  if (value === null || value === undefined) return null;
  if (kind === "ms") return Math.round(value as number);
  if (kind !== "counts" && kind !== "list") return value as string | number | boolean;
  const json = JSON.stringify(value);
  return json === "{}" || json === "[]" ? null : json;
}

/** The end of a call that its proxy did not live to see. */
export const SWEPT: Closing = {
  outcome: "unknown",
  accuracy: "unknown",
  status: null,
  upstreamRequestId: null,
  duration: null,
  ttft: null,
  reading: EMPTY_READING,
  ...NO_COST,
};

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

/** An open call as a trace's detail shows it. */
export function openUsageOf(call: OpenCall): TokenUsage {
  const values = [...storedCall(call), ...storedClosing(SWEPT)].map((value) => typeof value === "number" ? BigInt(value) : value);
  const written = Object.fromEntries([...CALL_COLUMNS, ...CLOSING_COLUMNS].map((column, n) => [column, values[n]]));
  const linked = columnsFrom("store").map(({ column, kind }) => [column, kind === "flag" ? false : null]);
  return tokenUsageOf({ ...Object.fromEntries(linked), ...written, outcome: null });
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
