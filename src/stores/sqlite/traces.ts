import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { RunRefusals } from "../../domain/ledger.ts";
import type { Trace } from "../../domain/trace.ts";

/** Every write of traces and refusals except their totals, in the caller's transaction. */
export class Traces {
  readonly #insert: StatementSync;
  readonly #moveOn: StatementSync;
  readonly #setRefusals: StatementSync;

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare(INSERT_TRACE);
    this.#moveOn = db.prepare(MOVE_ON);
    this.#setRefusals = db.prepare(SET_REFUSALS);
  }

  /** Inserts the trace, or moves `updatedAt` of the one that is there forward. */
  join(trace: Trace): void {
    if (!this.moveOn(trace)) this.insert(trace);
  }

  /** False if the trace is not there, or has that time or a later one already. */
  moveOn({ workspaceId, id, updatedAt }: Pick<Trace, "workspaceId" | "id" | "updatedAt">): boolean {
    return this.#moveOn.run(updatedAt, workspaceId, id, updatedAt).changes !== 0;
  }

  /** A trace that is there stays as it is. */
  insert({ workspaceId, id, sandboxId, source, createdAt, updatedAt }: Trace): void {
    this.#insert.run(workspaceId, id, sandboxId, source, createdAt, updatedAt);
  }

  /** A counter never goes down. */
  setRefusals(counts: readonly RunRefusals[]): void {
    for (const { workspaceId, sandboxId, fault, minute, instanceId, count } of counts) {
      this.#setRefusals.run(workspaceId, sandboxId, fault, minute, instanceId, count);
    }
  }
}

/** A trace that is there stays as it is. */
export const INSERT_TRACE = `
  INSERT INTO traces (workspace_id, id, sandbox_id, source, created_at, updated_at)
  VALUES (?, ?, ?, ?, ?, ?)
  ON CONFLICT DO NOTHING`;

const MOVE_ON = "UPDATE traces SET updated_at = ? WHERE workspace_id = ? AND id = ? AND updated_at < ?";

const SET_REFUSALS = `
  INSERT INTO refusals (workspace_id, sandbox_id, fault, minute, instance_id, count)
  VALUES (?, ?, ?, ?, ?, ?)
  ON CONFLICT (workspace_id, sandbox_id, minute, fault, instance_id) DO UPDATE SET count = max(count, excluded.count)`;
