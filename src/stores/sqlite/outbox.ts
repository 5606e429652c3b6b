import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { RunRefusals } from "../../domain/ledger.ts";
import type { Owned } from "../../domain/owned.ts";
import type { ShipmentMarks } from "../../domain/spool.ts";
import type { Trace } from "../../domain/trace.ts";
import type { OpenCall } from "../../domain/usage.ts";

export type Kind = keyof ShipmentMarks;

/** What is shipped: each table has a queue of its keys, numbered in the order of their changes. */
export const QUEUES: Readonly<Record<Kind, { readonly table: string; readonly queue: string; readonly key: readonly string[] }>> =
  {
    rows: { table: "usage", queue: "unshipped_usage", key: ["workspace_id", "created_at", "id"] },
    traces: { table: "traces", queue: "unshipped_traces", key: ["workspace_id", "id"] },
    refusals: {
      table: "refusals",
      queue: "unshipped_refusals",
      key: ["workspace_id", "sandbox_id", "minute", "fault", "instance_id"],
    },
    owned: { table: "owned", queue: "unshipped_owned", key: ["id"] },
  };

/** `conflict`: whether a key that is queued already gets a new number. */
export function queueing(db: DatabaseSync, kind: Kind, conflict: "REPLACE" | "IGNORE"): StatementSync {
  const { queue, key } = QUEUES[kind];
  return db.prepare(`INSERT OR ${conflict} INTO ${queue} (${key.join(", ")}) VALUES (${key.map(() => "?").join(", ")})`);
}

/**
 * Queues what is to be shipped. Call each method in the transaction that makes the change, so that
 * exactly what is committed is shipped. A change of something queued gets a new number.
 */
export class Outbox {
  readonly #addRow: StatementSync;
  readonly #addTrace: StatementSync;
  readonly #addRefusal: StatementSync;
  readonly #addOwned: StatementSync;

  constructor(db: DatabaseSync) {
    this.#addRow = queueing(db, "rows", "REPLACE");
    this.#addTrace = queueing(db, "traces", "REPLACE");
    this.#addRefusal = queueing(db, "refusals", "REPLACE");
    this.#addOwned = queueing(db, "owned", "REPLACE");
  }

  addRow({ workspaceId, createdAt, id }: Pick<OpenCall, "workspaceId" | "createdAt" | "id">): void {
    this.#addRow.run(workspaceId, createdAt, id);
  }

  addTrace({ workspaceId, id }: Pick<Trace, "workspaceId" | "id">): void {
    this.#addTrace.run(workspaceId, id);
  }

  addRefusal({ workspaceId, sandboxId, minute, fault, instanceId }: RunRefusals): void {
    this.#addRefusal.run(workspaceId, sandboxId, minute, fault, instanceId);
  }

  addOwned({ id }: Pick<Owned, "id">): void {
    this.#addOwned.run(id);
  }
}
