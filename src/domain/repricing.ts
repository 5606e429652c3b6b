import type { Closing, UsageRow } from "./usage.ts";

/** Rows admitted from `since` to before `until`, milliseconds since the epoch. */
export interface Span {
  readonly since: number;
  readonly until: number;
}

/** What pricing decides of a row. Cost and price list are null if the row is unpriced. */
export type Price = Pick<Closing, "cost" | "priceVersion" | "unpricedUses" | "accuracy">;

/** A row as it was read, and its new price. */
export interface NewPrice {
  readonly row: UsageRow;
  readonly to: Price;
}

/**
 * Gives new prices to recorded rows. SQLite and PostgreSQL answer alike (`tests/conformance`). Not
 * for the event loop of the hot path. Rejects with the technology's own error.
 *
 * A repriced row has the next revision, so recording it once more, by shipping or reshipping,
 * changes nothing. Rows of accuracy `unknown` are never read: they have no price, and if such a row
 * was swept, a real close may still come and must win.
 */
export interface Repricing {
  /**
   * Closed rows behind `after`, by admission, workspace and id; fewer than `most` if there are no
   * more.
   */
  readonly read: (span: Span, page: { readonly after: UsageRow | null; readonly most: number }) => Promise<readonly UsageRow[]>;
  /**
   * Sets the prices and moves the totals by the difference, in one transaction. A row stays as it
   * is if its revision has changed or it was dropped. Resolves to the prices that were set.
   */
  readonly write: (prices: readonly NewPrice[]) => Promise<readonly NewPrice[]>;
  readonly close: () => Promise<void>;
}

/** One step of repricing. */
export interface RepriceStep {
  readonly read: number;
  /** Admission of the last row of the step; null if it read none. */
  readonly at: number | null;
  /** In a dry run, what would change. */
  readonly changes: readonly Repriced[];
}

/** Returns `complete`, or nothing if it was stopped before. */
export type RepriceSteps = AsyncGenerator<RepriceStep, "complete" | undefined>;

export interface Repriced {
  readonly id: string;
  readonly workspaceId: string;
  readonly traceId: string;
  readonly createdAt: number;
  /** The served model; null if no answer named one. */
  readonly model: string | null;
  readonly from: Price;
  readonly to: Price;
}
