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
  return {
    id: text(row, "id"),
    sandboxId: text(row, "sandbox_id"),
    workspaceId: text(row, "workspace_id"),
    source: text(row, "source"),
    createdAt: integer(row, "created_at"),
    updatedAt: integer(row, "updated_at"),
  };
}

export function refusalOf(row: Row): RefusalCount {
  return {
    workspaceId: text(row, "workspace_id"),
    sandboxId: text(row, "sandbox_id"),
    fault: faultCode(text(row, "fault")),
    minute: integer(row, "minute"),
    count: integer(row, "count"),
  };
}

export function runRefusalsOf(row: Row): RunRefusals {
  return { ...refusalOf(row), instanceId: text(row, "instance_id") };
}

export function localTokenOf(row: Row): LocalToken {
  return {
    id: text(row, "id"),
    workspaceId: text(row, "workspace_id"),
    sandboxId: text(row, "sandbox_id"),
    createdAt: integer(row, "created_at"),
    expiresAt: integerOrNull(row, "expires_at"),
    revokedAt: integerOrNull(row, "revoked_at"),
  };
}

/** The columns hold what the types name: only rows of ours are ever written. */
export function ownedOf(row: Row): Owned {
  return {
    id: text(row, "id"),
    kind: text(row, "kind") as Owned["kind"],
    workspaceId: text(row, "workspace_id"),
    sandboxId: text(row, "sandbox_id"),
    createdAt: integer(row, "created_at"),
    call: JSON.parse(textOrNull(row, "call") ?? "null"),
    dueAt: integerOrNull(row, "due_at"),
  };
}

export function batchOf(row: Row): { readonly batch: Owned; readonly outcome: BatchOutcome | null } {
  return { batch: ownedOf(row), outcome: textOrNull(row, "outcome") as BatchOutcome | null };
}

/** The primary key of a row of usage, as one text. */
export function rowKeyOf(row: Row): string {
  return JSON.stringify([row.workspace_id, Number(row.created_at), row.id]);
}

function faultCode(code: string): FaultCode {
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
