import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { RunRefusals } from "../../../domain/ledger.ts";
import type { Owned } from "../../../domain/owned.ts";
import type { Trace } from "../../../domain/trace.ts";
import { type OpenCall, REVISION, type UsageRow } from "../../../domain/usage.ts";
import { SWEPT } from "../../usage_row.ts";

/** What is known at admission. A call that was never opened has no trace. */
export interface Opened {
  readonly call: OpenCall;
  readonly trace: Trace | null;
}

/** A change that is no ended call, by its kind. */
export type Note =
  | { readonly kind: "trace"; readonly at: number; readonly body: Trace }
  | { readonly kind: "owned"; readonly at: number; readonly body: Owned }
  | { readonly kind: "refusals"; readonly at: number; readonly body: RunRefusals };

/** Every write of the hot path. The caller has a transaction open. */
export class Entries {
  readonly #open: StatementSync;
  readonly #close: StatementSync;
  readonly #drop: StatementSync;
  readonly #closeUnopened: StatementSync;
  readonly #leftOpen: StatementSync;
  readonly #note: StatementSync;
  readonly #own: StatementSync;
  readonly #addRefusals: StatementSync;
  #lastNumber: number;

  constructor(db: DatabaseSync) {
    this.#open = db.prepare("INSERT INTO open_calls (number, instance_id, trace_id, created_at, opened) VALUES (?, ?, ?, ?, ?)");
    this.#close = db.prepare(CLOSE);
    this.#drop = db.prepare("DELETE FROM open_calls WHERE number = ?");
    this.#closeUnopened = db.prepare(CLOSE_UNOPENED);
    this.#leftOpen = db.prepare("SELECT number FROM open_calls WHERE instance_id <> ? LIMIT ?");
    this.#note = db.prepare("INSERT INTO notes (kind, created_at, body) VALUES (?, ?, ?)");
    this.#own = db.prepare("INSERT INTO owned (id, created_at, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
    this.#addRefusals = db.prepare(ADD_REFUSALS);
    this.#lastNumber = Number(db.prepare("SELECT coalesce(max(number), 0) AS last FROM open_calls").get()?.last);
  }

  /** A number for `open`. Each one is used once, also if the transaction fails. */
  nextNumber(): number {
    return ++this.#lastNumber;
  }

  open(number: number, opened: Opened): void {
    const { instanceId, traceId, createdAt } = opened.call;
    this.#open.run(number, instanceId, traceId, createdAt, JSON.stringify(opened));
  }

  /**
   * `number` is the one of `open`; undefined if the call was never opened. Returns whether it was
   * open.
   */
  close(number: number | undefined, { call, closing, revision }: UsageRow): boolean {
    const closingJson = JSON.stringify(closing);
    if (number !== undefined && this.#close.run(revision, closingJson, number).changes !== 0) {
      this.#drop.run(number);
      return true;
    }
    const opened: Opened = { call, trace: null };
    this.#closeUnopened.run(call.traceId, call.createdAt, JSON.stringify(opened), revision, closingJson);
    return false;
  }

  /** Closes as `unknown` at most `most` calls that other runs left open. Returns how many. */
  sweepSome(instanceId: string, most: number): number {
    const leftOpen = this.#leftOpen.all(instanceId, most);
    for (const { number } of leftOpen) {
      this.#close.run(REVISION.swept, SWEPT_JSON, number as number);
      this.#drop.run(number as number);
    }
    return leftOpen.length;
  }

  join(trace: Trace): void {
    this.note({ kind: "trace", at: trace.updatedAt, body: trace });
  }

  /** The first claim of an id stays. */
  claim(all: readonly Owned[]): void {
    for (const owned of all) {
      const { changes } = this.#own.run(owned.id, owned.createdAt, JSON.stringify(owned));
      if (changes !== 0) this.note({ kind: "owned", at: owned.createdAt, body: owned });
    }
  }

  addRefusals(counts: readonly RunRefusals[]): void {
    for (const refusals of counts) {
      const { workspaceId, sandboxId, minute, fault, instanceId } = refusals;
      const sum = this.#addRefusals.get(workspaceId, sandboxId, minute, fault, instanceId, refusals.count);
      this.note({ kind: "refusals", at: minute, body: { ...refusals, count: Number(sum?.count) } });
    }
  }

  note({ kind, at, body }: Note): void {
    this.#note.run(kind, at, JSON.stringify(body));
  }
}

const SWEPT_JSON = JSON.stringify(SWEPT);

const CLOSE = `
  INSERT INTO closed_calls (trace_id, created_at, opened, revision, closing)
  SELECT trace_id, created_at, opened, ?, ? FROM open_calls WHERE number = ?`;

const CLOSE_UNOPENED = "INSERT INTO closed_calls (trace_id, created_at, opened, revision, closing) VALUES (?, ?, ?, ?, ?)";

const ADD_REFUSALS = `
  INSERT INTO refusals (workspace_id, sandbox_id, minute, fault, instance_id, count)
  VALUES (?, ?, ?, ?, ?, ?)
  ON CONFLICT (workspace_id, sandbox_id, minute, fault, instance_id) DO UPDATE SET count = count + excluded.count
  RETURNING count`;
