import type { BatchOutcome, Owned } from "../domain/owned.ts";
import { integer, integerOrNull, type Row, text, textOrNull } from "./row_decoders.ts";

/** The columns hold what `kind`, `OpenCall` and `BatchOutcome` name: only rows of ours are ever written. */
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

/** JSON of the call; null for a file. */
export function callJson({ call }: Owned): string | null {
  return call === null ? null : JSON.stringify(call);
}
