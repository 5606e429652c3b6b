import type { Retry } from "../domain/retry.ts";
import { type Condition, TOTALS, totalsFrom, type UsageTotals } from "../domain/totals.ts";
import type { OpenCall, UsageRow } from "../domain/usage.ts";
import { bigInteger, flag, integer, type Row } from "./row_decoders.ts";

/** Which totals a call belongs to. */
export interface Place extends Pick<OpenCall, "workspaceId" | "sandboxId" | "traceId" | "createdAt" | "provider"> {
  readonly kind: string;
  /** The served model, or the requested one if no answer named one. */
  readonly model: string;
}

export function placeOf<C extends OpenCall>(call: C, { reading }: UsageRow["closing"]): C & Place {
  return { ...call, model: reading.servedModel ?? call.requestedModel };
}

/** What a change of rows adds to the totals, in the order of `TOTALS`. */
export interface Delta {
  readonly place: Place;
  readonly counts: readonly bigint[];
}

/** A closed row by column, as it is stored or as a database returns it. */
type Counted = Readonly<Record<string, unknown>>;

export function added(place: Place, row: Counted): Delta {
  return { place, counts: countsOf(row) };
}

export function removed(place: Place, row: Counted): Delta {
  return { place, counts: countsOf(row).map((count) => -count) };
}

/** The columns of a row's part in chains of retries. */
export function retryColumns({ retryOf, isRetried }: Retry) {
  return { retry_of: retryOf, asked_again: isRetried };
}

/** Only the part of a row in its chain of retries changed. */
export function retryDelta(
  place: Place & { readonly cost: number | null },
  { from, to }: { readonly from: Retry; readonly to: Retry },
): Delta {
  const before = countsOf({ cost: place.cost, ...retryColumns(from) });
  const after = countsOf({ cost: place.cost, ...retryColumns(to) });
  return { place, counts: after.map((count, n) => count - before[n]!) };
}

const COUNTERS = TOTALS.map(({ adds, if: conditions = [] }) => (row: Counted): bigint => {
  if (!conditions.every(([column, operator, value]) => (valueOf(row, column) === value) === (operator === "="))) return 0n;
  return adds === 1 ? 1n : BigInt((row[adds] ?? 0) as number | bigint);
});

function countsOf(row: Counted): readonly bigint[] {
  return COUNTERS.map((count) => count(row));
}

/** SQLite's flags are 1 and 0. */
function valueOf(row: Counted, column: string): unknown {
  if (column === "asked_again") return row[column] !== undefined && flag(row, column);
  return row[column] ?? null;
}

/** The columns that `added` reads. */
export const COUNTED_COLUMNS: readonly string[] = [
  ...new Set(TOTALS.flatMap(({ adds, if: conditions = [] }) => [adds, ...conditions.map(([column]) => column)])),
].filter((column) => column !== 1);

export const TOTAL_NAMES = TOTALS.map(({ name }) => name);

/** What one row of `usage` adds, as columns named like the totals. */
export const COUNTED_ROW = TOTALS.map(({ name, kind, adds, if: conditions }) => {
  const value = kind === "money" ? `coalesce(${adds}, 0)` : adds;
  if (conditions === undefined) return `${value} AS ${name}`;
  return `CASE WHEN ${conditions.map(conditionSql).join(" AND ")} THEN ${value} ELSE 0 END AS ${name}`;
}).join(",\n  ");

function conditionSql([column, operator, value]: Condition): string {
  if (value === true) return column;
  if (value === null) return `${column} IS ${operator === "=" ? "NULL" : "NOT NULL"}`;
  return `${column} ${operator} '${value}'`;
}

export const SUMS = TOTAL_NAMES.map((name) => `sum(${name}) AS ${name}`).join(", ");
export const SUMS_OR_ZERO = TOTAL_NAMES.map((name) => `coalesce(sum(${name}), 0) AS ${name}`).join(", ");

/** The column of `traces` with that total. */
export function traceColumn({ name, kind }: (typeof TOTALS)[number]): string {
  return kind === "tokens" ? `total_${name}` : name;
}

export function totalsOf(row: Row): UsageTotals {
  return totalsFrom(({ name, kind }) => kind === "count" ? integer(row, name) : bigInteger(row, name));
}
