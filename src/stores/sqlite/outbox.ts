import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { RunRefusals } from "../../domain/ledger.ts";
import type { Owned } from "../../domain/owned.ts";
import type { Trace } from "../../domain/trace.ts";
import type { OpenCall } from "../../domain/usage.ts";

/**
 * Notes what is to be shipped. Each method belongs into the transaction that makes the change: what is committed is shipped,
 * what is not is not. A change of what is noted already gets a new number.
 */
export class Outbox {
  readonly #addRow: StatementSync;
  readonly #addTrace: StatementSync;
  readonly #addRefusal: StatementSync;
  readonly #addOwned: StatementSync;

  constructor(db: DatabaseSync) {
    this.#addRow = db.prepare("INSERT OR REPLACE INTO unshipped_usage (workspace_id, created_at, id) VALUES (?, ?, ?)");
    this.#addTrace = db.prepare("INSERT OR REPLACE INTO unshipped_traces (workspace_id, id) VALUES (?, ?)");
    this.#addRefusal = db.prepare(
      "INSERT OR REPLACE INTO unshipped_refusals (workspace_id, sandbox_id, fault, minute, instance_id) VALUES (?, ?, ?, ?, ?)",
    );
    this.#addOwned = db.prepare("INSERT OR REPLACE INTO unshipped_owned (id) VALUES (?)");
  }

  addRow({ workspaceId, createdAt, id }: Pick<OpenCall, "workspaceId" | "createdAt" | "id">): void {
    this.#addRow.run(workspaceId, createdAt, id);
  }

  addTrace({ workspaceId, id }: Pick<Trace, "workspaceId" | "id">): void {
    this.#addTrace.run(workspaceId, id);
  }

  addRefusal({ workspaceId, sandboxId, fault, minute, instanceId }: RunRefusals): void {
    this.#addRefusal.run(workspaceId, sandboxId, fault, minute, instanceId);
  }

  addOwned({ id }: Pick<Owned, "id">): void {
    this.#addOwned.run(id);
  }
}
