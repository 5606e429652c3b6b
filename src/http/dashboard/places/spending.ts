import { periodStart } from "../../../domain/calendar.ts";
import type { Order, Position, UsageOrder, UsageQuery } from "../../../domain/query.ts";
import { NO_TOTALS, sumOfTotals, type UsageTotals } from "../../../domain/totals.ts";
import type { InternalStore } from "../../admin_usage.ts";
import type { Place } from "./place.ts";

/** Spans of a table's columns: UTC, as limits are. Each begins with a day. */
export const SPANS = ["today", "yesterday", "month"] as const;
export type SpanName = (typeof SPANS)[number];

const DAY_MS = 86_400_000;
/** Of a place's chart. */
const DAYS_SHOWN = 30;

/** What a place has used, by span. */
export type Spending = Readonly<Record<SpanName, UsageTotals>>;

/** A place's totals by day, oldest first; a day without calls is left out. */
export type Days = readonly { readonly day: number; readonly totals: UsageTotals }[];

type UsageStore = Pick<InternalStore, "queryUsage">;

/** To the end of the period: of a span without an end, SQLite reads more than it has to. */
export function spanAt(name: SpanName, now: number): { readonly since: number; readonly until: number } {
  const today = periodStart("day", now);
  if (name === "month") return { since: periodStart("month", now), until: periodStart("month", now + 1, "next") };
  return name === "today" ? { since: today, until: today + DAY_MS } : { since: today - DAY_MS, until: today };
}

/** Of the last 30 days, and of all days that a span needs. One question, of roll-ups or hours. */
export async function daysOf(place: Place, { store, now }: { readonly store: UsageStore; readonly now: number }): Promise<Days> {
  const since = Math.min(periodStart("month", now), periodStart("day", now) - (DAYS_SHOWN - 1) * DAY_MS);
  return await daysIn({ since, ...place, now }, store);
}

/** What the spans of a table need. */
export async function spendingOf(
  place: Place,
  { store, now }: { readonly store: UsageStore; readonly now: number },
): Promise<Spending> {
  const since = Math.min(periodStart("month", now), periodStart("day", now) - DAY_MS);
  return spendingIn(await daysIn({ since, ...place, now }, store), now);
}

export function spendingIn(days: Days, now: number): Spending {
  return Object.fromEntries(SPANS.map((name) => {
    const { since, until } = spanAt(name, now);
    const within = days.filter(({ day }) => day >= since && day < until);
    return [name, within.reduce((sum, { totals }) => sumOfTotals(sum, totals), NO_TOTALS)];
  })) as Record<SpanName, UsageTotals>;
}

async function daysIn(
  { workspaceId, sandboxId, since, now }: Place & { readonly since: number; readonly now: number },
  store: UsageStore,
): Promise<Days> {
  const { until } = spanAt("today", now);
  const { usage } = await store.queryUsage({
    ...{ ...ALL, workspaceId, sandboxId, since, until, groupBy: ["day"], limit: 2 * DAYS_SHOWN + 4 },
    order: { by: "time", isAscending: true },
  });
  return usage.map((totals) => ({ day: totals.day!, totals }));
}

export interface PlacesQuery {
  readonly groupBy: "workspace" | "sandbox";
  /** Null: the whole fleet. */
  readonly workspaceId: string | null;
  /** Places with calls in this span, in the order of what they used in it. */
  readonly span: SpanName;
  readonly order: Order<UsageOrder>;
  readonly limit: number;
  readonly after: Position | null;
  readonly now: number;
}

/** A page of the places that made calls. */
export async function placesBy(
  { groupBy, span, now, ...query }: PlacesQuery,
  store: UsageStore,
): Promise<{ readonly places: readonly Place[]; readonly next: Position | null }> {
  const { usage, next } = await store.queryUsage({
    ...{ ...ALL, ...spanAt(span, now), ...query },
    groupBy: groupBy === "workspace" ? ["workspace"] : ["workspace", "sandbox"],
  });
  const places = usage.map(({ workspaceId = "", sandboxId = null }) => ({ workspaceId, sandboxId }));
  return { places, next };
}

const ALL: Omit<UsageQuery, "groupBy" | "order" | "limit"> = {
  ...{ workspaceId: null, sandboxId: null, upstream: null, model: null, outcome: null, accuracy: null },
  ...{ since: null, until: null, offset: 0, after: null },
};

/** Input, cached or not, and output. */
export function tokensOf(totals: UsageTotals): bigint {
  return totals.inputTokens + totals.outputTokens + totals.cacheCreationInputTokens + totals.cacheReadInputTokens;
}
