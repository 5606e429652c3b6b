import type { Closing, UsageRow } from "./usage.ts";

/** Rows admitted from `since` to before `until`, milliseconds since the epoch. */
export interface Span {
  readonly since: number;
  readonly until: number;
}

/** What pricing decides of a row: its cost and the list that made it (both null if it is unpriced), and how far that holds. */
export type Price = Pick<Closing, "cost" | "priceVersion" | "unpricedUses" | "accuracy">;

/** A row as it was read, and what it is to cost. */
export interface NewPrice {
  readonly row: UsageRow;
  readonly to: Price;
}

/**
 * Gives rows other prices after they were recorded. SQLite and PostgreSQL answer alike (`tests/conformance`). Not for the event
 * loop of the hot path. Rejects with the technology's own error.
 *
 * A row that is given a price has the next revision then, so that whatever is recorded of it once more, a spool's shipment or
 * a reshipment, changes nothing. Rows of accuracy `unknown` are never read: they have no price, and the real close that may still
 * come for one that was swept has to win.
 */
export interface Repricing {
  /** Closed rows behind `after`, in the order of admission, workspace and id; fewer than `most` only where there are no more. */
  readonly read: (span: Span, page: { readonly after: UsageRow | null; readonly most: number }) => Promise<readonly UsageRow[]>;
  /**
   * Sets the prices and moves the totals by the difference, in one transaction. A row that has another revision than the one
   * that was read, or has been dropped, stays as it is. Resolves to those that were set.
   */
  readonly write: (prices: readonly NewPrice[]) => Promise<readonly NewPrice[]>;
  readonly close: () => Promise<void>;
}

/** How far repricing has come. */
export interface RepriceStep {
  /** Rows that were looked at in this step. */
  readonly read: number;
  /** Admission of the last of them; null where there was none. */
  readonly at: number | null;
  /** What was changed, or would be. */
  readonly changes: readonly Repriced[];
}

/** Ends with `complete`; where it was stopped before, with nothing. */
export type RepriceSteps = AsyncGenerator<RepriceStep, "complete" | undefined>;

export interface Repriced {
  readonly id: string;
  readonly workspaceId: string;
  readonly traceId: string;
  readonly createdAt: number;
  /** The served model; null where no answer named one. */
  readonly model: string | null;
  readonly from: Price;
  readonly to: Price;
}
