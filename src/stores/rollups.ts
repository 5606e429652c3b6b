import { type Period, periodStart } from "../domain/calendar.ts";
import type { Stretch } from "./query_bounds.ts";
import { type Delta, type Sum, summedBy } from "./totals.ts";

/**
 * One kind of row in `usage_rollups`. `keeps`: the keys that its rows tell apart. Its rows sum over
 * the other keys, which are empty.
 */
export interface Rollup {
  readonly level: string;
  readonly period: Exclude<Period, "minute">;
  readonly keeps: readonly RollupKey[];
}

export type RollupKey = "workspace_id" | "provider" | "model";

/**
 * Totals coarser than `usage_hours`, so that no dashboard reads more than some 50,000 rows of a
 * year. Of those that answer a query, the first is read. Each costs a written row for each of its
 * keys in a shipment.
 */
export const ROLLUPS: readonly Rollup[] = [
  { level: "fleet_hour", period: "hour", keeps: ["provider", "model"] },
  { level: "fleet_day", period: "day", keeps: ["provider", "model"] },
  { level: "workspace_month", period: "month", keeps: ["workspace_id"] },
  { level: "workspace_day", period: "day", keeps: ["workspace_id"] },
  { level: "workspace_model_day", period: "day", keeps: ["workspace_id", "provider", "model"] },
];

export interface RollupSum extends Pick<Sum, "counts"> {
  readonly key: RollupRowKey;
}

/** In the order of the table's key: workspace, level, start, provider and model. */
type RollupRowKey = readonly [string, string, number, string, string];

/** What deltas, or their sums by hour, add to each row of `usage_rollups`. */
export function sumsByRollup(deltas: readonly Delta[]): readonly RollupSum[] {
  return ROLLUPS.flatMap(({ level, period, keeps }) => {
    const kept = (key: RollupKey, value: string) => keeps.includes(key) ? value : "";
    const keyOf = ({ workspaceId, provider, model, createdAt }: Delta["place"]): RollupRowKey => [
      kept("workspace_id", workspaceId),
      level,
      periodStart(period, createdAt),
      kept("provider", provider),
      kept("model", model),
    ];
    return summedBy(keyOf, deltas).map(({ place, counts }) => ({ key: keyOf(place), counts }));
  });
}

/** A part of a stretch, and the roll-up that answers for it; null: `usage_hours`. */
export interface Part {
  readonly rollup: Rollup | null;
  readonly stretch: Stretch;
}

/**
 * Splits whole hours into the longest periods that have a roll-up with what a query needs: whole
 * months in the middle, whole days beside them, hours at the ends.
 */
export function partsOf(
  stretch: Stretch,
  { needs, periods }: { readonly needs: readonly string[]; readonly periods: readonly Period[] },
): readonly Part[] {
  const [period, ...shorter] = periods;
  if (period === undefined) return [{ rollup: null, stretch }];
  const rollup = ROLLUPS.find((rollup) =>
    rollup.period === period && needs.every((key) => rollup.keeps.includes(key as RollupKey))
  );
  const rest = { needs, periods: shorter };
  if (rollup === undefined) return partsOf(stretch, rest);
  const from = stretch.from === null ? null : periodStart(period, stretch.from, "next");
  const to = stretch.to === null ? null : periodStart(period, stretch.to);
  if (from !== null && to !== null && from >= to) return partsOf(stretch, rest);
  return [
    { rollup, stretch: { from, to } },
    ...(from === stretch.from ? [] : partsOf({ from: stretch.from, to: from }, rest)),
    ...(to === stretch.to ? [] : partsOf({ from: to, to: stretch.to }, rest)),
  ];
}
