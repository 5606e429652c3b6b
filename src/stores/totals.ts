import { hourStart } from "../domain/calendar.ts";
import { NO_RETRY, type Retry } from "../domain/retry.ts";
import { type Condition, TOTALS, totalsFrom, type UsageTotals } from "../domain/totals.ts";
import type { OpenCall, UsageRow } from "../domain/usage.ts";
import { retryOf } from "./retries.ts";
import { bigInteger, integer, type Row } from "./row_decoders.ts";
import { closingValue, type StoredValues } from "./usage_row.ts";

/** Which totals a call belongs to. */
export interface Place extends Pick<OpenCall, "workspaceId" | "sandboxId" | "traceId" | "createdAt" | "provider" | "upstream"> {
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

/** What a row counts as: its values by column, apart from its retry. */
export interface Counted {
  readonly valueOf: (column: string) => unknown;
  readonly retry: Retry;
}

/** `row` has `COUNTED_COLUMNS`. */
export function countedRow(row: Row): Counted {
  return { valueOf: (column) => row[column], retry: retryOf(row) };
}

export function countedClosing(values: StoredValues, retry: Retry = NO_RETRY): Counted {
  return { valueOf: (column) => closingValue(values, column), retry };
}

export function added(place: Place, counted: Counted): Delta {
  return { place, counts: countsOf(counted) };
}

export function removed(place: Place, counted: Counted): Delta {
  return { place, counts: countsOf(counted).map((count) => -count) };
}

/**
 * The deltas of one key. `place` is that of the first: the first call of an unknown trace makes it.
 */
export interface Sum extends Delta {
  readonly latest: number;
}

export function sumsByTrace(deltas: readonly Delta[]): readonly Sum[] {
  return summedBy(({ workspaceId, traceId }) => [workspaceId, traceId], deltas);
}

export function sumsByHour(deltas: readonly Delta[]): readonly Sum[] {
  return summedBy(hourKeyOf, deltas);
}

/** The key of `usage_hours`, in its order. */
export const HOUR_KEY = ["workspace_id", "hour", "sandbox_id", "provider", "upstream", "model", "kind"] as const;

/** The values of `HOUR_KEY`. */
export function hourKeyOf(
  { workspaceId, createdAt, sandboxId, provider, upstream, model, kind }: Place,
): readonly (string | number)[] {
  return [workspaceId, hourStart(createdAt), sandboxId, provider, upstream ?? "", model, kind];
}

export function summedBy(keyOf: (place: Place) => readonly unknown[], deltas: readonly Delta[]): readonly Sum[] {
  const sums = new Map<string, Sum>();
  for (const { place, counts } of deltas) {
    const key = JSON.stringify(keyOf(place));
    const sum = sums.get(key);
    sums.set(key, {
      place: sum?.place ?? place,
      latest: Math.max(sum?.latest ?? place.createdAt, place.createdAt),
      counts: sum === undefined ? counts : counts.map((count, n) => count + sum.counts[n]!),
    });
  }
  return [...sums.values()];
}

/** Only the part of a row in its chain of retries changed. */
export function retryDelta(
  place: Place & { readonly cost: number | null },
  { from, to }: { readonly from: Retry; readonly to: Retry },
): Delta {
  const valueOf = (column: string) => column === "cost" ? place.cost : null;
  const before = countsOf({ valueOf, retry: from });
  return { place, counts: countsOf({ valueOf, retry: to }).map((count, n) => count - before[n]!) };
}

const COUNTERS = TOTALS.map(({ adds, if: conditions = [] }) => ({ valueOf, retry }: Counted): bigint => {
  for (const [column, operator, value] of conditions) {
    const found = column === "retry_of" ? retry.retryOf : column === "asked_again" ? retry.isRetried : valueOf(column);
    if ((found === value) !== (operator === "=")) return 0n;
  }
  return adds === 1 ? 1n : BigInt((valueOf(adds) ?? 0) as number | bigint);
});

function countsOf(counted: Counted): readonly bigint[] {
  return COUNTERS.map((count) => count(counted));
}

/** The columns that `added` reads; the outcome is one of them. */
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
