import type { AuditEntry } from "../domain/audit.ts";
import { type FaultCode, FAULTS } from "../domain/fault.ts";
import type { RefusalCount, RunRefusals } from "../domain/ledger.ts";
import type { BatchOutcome, Owned } from "../domain/owned.ts";
import type { LocalToken } from "../domain/tokens.ts";
import type { Trace } from "../domain/trace.ts";

/**
 * One row as a database returns it, integers as bigint. A flag is a boolean; in SQLite it is 1 or
 * 0.
 */
export type Row = Readonly<Record<string, unknown>>;

export function traceOf(row: Row): Trace {
  const ids = { id: text, sandboxId: text, workspaceId: text, source: text };
  return decoded<Trace>(row, { ...ids, createdAt: integer, updatedAt: integer });
}

export function refusalOf(row: Row): RefusalCount {
  return decoded<RefusalCount>(row, { workspaceId: text, sandboxId: text, fault: faultCode, minute: integer, count: integer });
}

export function runRefusalsOf(row: Row): RunRefusals {
  return { ...refusalOf(row), instanceId: text(row, "instance_id") };
}

export function localTokenOf(row: Row): LocalToken {
  const times = { createdAt: integer, expiresAt: integerOrNull, revokedAt: integerOrNull };
  return decoded<LocalToken>(row, { id: text, workspaceId: text, sandboxId: text, ...times });
}

export function auditEntryOf(row: Row): AuditEntry {
  const json = (row: Row, column: string) => JSON.parse(textOrNull(row, column) ?? "null");
  const texts = { id: text, target: text, claimed: textOrNull, address: textOrNull, workspaceId: textOrNull };
  // The columns hold what the types name: only rows of ours are ever written.
  const who = (row: Row, column: string) => text(row, column) as AuditEntry["who"];
  const action = (row: Row, column: string) => text(row, column) as AuditEntry["action"];
  return decoded<AuditEntry>(row, { ...texts, at: integer, who, action, before: json, after: json });
}

export function ownedOf(row: Row): Owned {
  const own = { id: text, workspaceId: text, sandboxId: text, createdAt: integer, dueAt: integerOrNull };
  // The column holds what `kind` names: only rows of ours are ever written.
  const kind = (row: Row, column: string) => text(row, column) as Owned["kind"];
  return decoded<Owned>(row, { ...own, kind, call: (row) => JSON.parse(textOrNull(row, "call") ?? "null") });
}

export function batchOf(row: Row): { readonly batch: Owned; readonly outcome: BatchOutcome | null } {
  return { batch: ownedOf(row), outcome: textOrNull(row, "outcome") as BatchOutcome | null };
}

/** Each field is read from the column of its name. */
function decoded<T>(row: Row, fields: { readonly [F in keyof T]: (row: Row, column: string) => T[F] }): T {
  const columns = Object.entries<(row: Row, column: string) => unknown>(fields);
  return Object.fromEntries(columns.map(([field, decode]) => [field, decode(row, columnOf(field))])) as T;
}

function columnOf(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The primary key of a row of usage, as one text. */
export function rowKeyOf(row: Row): string {
  return JSON.stringify([row.workspace_id, Number(row.created_at), row.id]);
}

function faultCode(row: Row, column: string): FaultCode {
  const code = text(row, column);
  if (!Object.hasOwn(FAULTS, code)) throw new TypeError(`Cannot read the refusals: "${code}" is not a fault`);
  return code as FaultCode;
}

export function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw new TypeError(`Cannot read the column ${column}: it is not text`);
  return value;
}

export function textOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : text(row, column);
}

/** Throws if a JavaScript number cannot hold it exactly: a wrong sum would be worse than none. */
export function integer(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== "bigint") throw new TypeError(`Cannot read the column ${column}: it is not an integer`);
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError(`Cannot give ${column} exactly as a number: it is ${value}`);
  return number;
}

export function bigInteger(row: Row, column: string): bigint {
  const value = row[column];
  if (typeof value !== "bigint") throw new TypeError(`Cannot read the column ${column}: it is not an integer`);
  return value;
}

export function integerOrNull(row: Row, column: string): number | null {
  return row[column] === null ? null : integer(row, column);
}

export function flag(row: Row, column: string): boolean {
  const value = row[column];
  return typeof value === "boolean" ? value : integer(row, column) === 1;
}
