import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { RunRefusals } from "../../domain/ledger.ts";
import type { Trace } from "../../domain/trace.ts";
import type { Outbox } from "./outbox.ts";

/** Every write of traces and refusals besides their totals. Each method belongs into a transaction of the caller's. */
export class Traces {
  readonly #outbox: Outbox | null;
  readonly #insert: StatementSync;
  readonly #moveOn: StatementSync;
  readonly #addRefusals: StatementSync;
  readonly #setRefusals: StatementSync;

  /** `outbox` as in `Rows`. */
  constructor(db: DatabaseSync, outbox: Outbox | null) {
    this.#outbox = outbox;
    this.#insert = db.prepare(INSERT_TRACE);
    this.#moveOn = db.prepare(MOVE_ON);
    this.#addRefusals = db.prepare(ADD_REFUSALS);
    this.#setRefusals = db.prepare(SET_REFUSALS);
  }

  /** Inserts the trace, or moves the one that is there on to `updatedAt`, never back. */
  join(trace: Trace): void {
    if (this.moveOn(trace)) this.#outbox?.addTrace(trace);
    else this.insert(trace);
  }

  /** False where the trace is not there, or as far already. */
  moveOn({ workspaceId, id, updatedAt }: Pick<Trace, "workspaceId" | "id" | "updatedAt">): boolean {
    return this.#moveOn.run(updatedAt, workspaceId, id, updatedAt).changes !== 0;
  }

  /** Inserts the trace; one that is there stays as it is. */
  insert({ workspaceId, id, sandboxId, source, createdAt, updatedAt }: Trace): void {
    const { changes } = this.#insert.run(workspaceId, id, sandboxId, source, createdAt, updatedAt);
    if (changes !== 0) this.#outbox?.addTrace({ workspaceId, id });
  }

  /** Adds to the counters of the runs. */
  addRefusals(counts: readonly RunRefusals[]): void {
    for (const refusal of counts) {
      const { workspaceId, sandboxId, fault, minute, instanceId, count } = refusal;
      this.#addRefusals.run(workspaceId, sandboxId, fault, minute, instanceId, count);
      this.#outbox?.addRefusal(refusal);
    }
  }

  /** Sets the counters of the runs, never lower. */
  setRefusals(counts: readonly RunRefusals[]): void {
    for (const { workspaceId, sandboxId, fault, minute, instanceId, count } of counts) {
      this.#setRefusals.run(workspaceId, sandboxId, fault, minute, instanceId, count);
    }
  }
}

/** One that is there stays as it is. */
export const INSERT_TRACE = `
  INSERT INTO traces (workspace_id, id, sandbox_id, source, created_at, updated_at)
  VALUES (?, ?, ?, ?, ?, ?)
  ON CONFLICT DO NOTHING`;

const MOVE_ON = "UPDATE traces SET updated_at = ? WHERE workspace_id = ? AND id = ? AND updated_at < ?";

const ADD_REFUSALS = `
  INSERT INTO refusals (workspace_id, sandbox_id, fault, minute, instance_id, count)
  VALUES (?, ?, ?, ?, ?, ?)
  ON CONFLICT (workspace_id, sandbox_id, minute, fault, instance_id) DO UPDATE SET count = count + excluded.count`;

const SET_REFUSALS = `
  INSERT INTO refusals (workspace_id, sandbox_id, fault, minute, instance_id, count)
  VALUES (?, ?, ?, ?, ?, ?)
  ON CONFLICT (workspace_id, sandbox_id, minute, fault, instance_id) DO UPDATE SET count = max(count, excluded.count)`;
