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

/** The value of each key in a place. */
const KEY_OF = {
  workspace_id: ({ workspaceId }) => workspaceId,
  sandbox_id: ({ sandboxId }) => sandboxId,
  provider: ({ provider }) => provider,
  upstream: ({ upstream }) => upstream ?? "",
  model: ({ model }) => model,
} as const satisfies Readonly<Record<string, (place: Delta["place"]) => string>>;

export type RollupKey = keyof typeof KEY_OF;

/**
 * Totals coarser than `usage_hours`, so that no dashboard reads more than some 70,000 rows of a
 * year. Of those that answer a query, the first is read. Each costs a written row for each of its
 * keys in a shipment.
 */
export const ROLLUPS: readonly Rollup[] = [
  { level: "fleet_hour", period: "hour", keeps: ["provider", "upstream", "model"] },
  { level: "fleet_day", period: "day", keeps: ["provider", "upstream", "model"] },
  { level: "workspace_month", period: "month", keeps: ["workspace_id"] },
  { level: "workspace_day", period: "day", keeps: ["workspace_id"] },
  { level: "workspace_model_month", period: "month", keeps: ["workspace_id", "provider", "upstream", "model"] },
  { level: "workspace_model_day", period: "day", keeps: ["workspace_id", "provider", "upstream", "model"] },
  { level: "sandbox_month", period: "month", keeps: ["workspace_id", "sandbox_id"] },
  { level: "sandbox_day", period: "day", keeps: ["workspace_id", "sandbox_id"] },
];

/** The table's key, in its order. */
export const ROLLUP_KEY = ["workspace_id", "level", "start", "sandbox_id", "provider", "upstream", "model"] as const;

export interface RollupSum extends Pick<Sum, "counts"> {
  /** The values of `ROLLUP_KEY`. */
  readonly key: readonly (string | number)[];
}

/** What deltas, or their sums by hour, add to each row of `usage_rollups`. */
export function sumsByRollup(deltas: readonly Delta[]): readonly RollupSum[] {
  return ROLLUPS.flatMap((rollup) => {
    const values = ROLLUP_KEY.map((name) => valueOf(name, rollup));
    const keyOf = (place: Delta["place"]) => values.map((value) => value(place));
    return summedBy(keyOf, deltas).map(({ place, counts }) => ({ key: keyOf(place), counts }));
  });
}

function valueOf(
  name: (typeof ROLLUP_KEY)[number],
  { level, period, keeps }: Rollup,
): (place: Delta["place"]) => string | number {
  if (name === "level") return () => level;
  if (name === "start") return ({ createdAt }) => periodStart(period, createdAt);
  return keeps.includes(name) ? KEY_OF[name] : () => "";
}

/** A part of a stretch, and the roll-up that answers for it; null: `usage_hours`. */
export interface Part {
  readonly rollup: Rollup | null;
  readonly stretch: Stretch;
  /** Other parts have it too much. */
  readonly isSubtracted: boolean;
}

export interface PartsAsked {
  /** The keys that totals must tell apart. */
  readonly needs: readonly string[];
  /** Those that may answer, the longest first. */
  readonly periods: readonly Period[];
  /** When the question is asked: later times have hardly any totals. */
  readonly asOf?: number | undefined;
}

/**
 * Splits whole hours into the longest periods that have a roll-up with what a query needs: whole
 * months in the middle, whole days beside them, hours at the ends. If the larger part of a period
 * is asked for, it is read as a whole, and the other part is subtracted.
 */
export function partsOf(stretch: Stretch, asked: PartsAsked): readonly Part[] {
  const { needs, periods: [period, ...shorter], asOf = Infinity } = asked;
  if (period === undefined) return [{ rollup: null, stretch, isSubtracted: false }];
  const rollup = rollupOf(period, needs);
  const rest = { ...asked, periods: shorter };
  if (rollup === undefined) return partsOf(stretch, rest);
  const from = stretch.from === null ? null : boundBeside(stretch.from, { period, asOf });
  const to = stretch.to === null ? null : boundBeside(stretch.to, { period, asOf });
  if (from !== null && to !== null && from >= to) return partsOf(stretch, rest);
  const [head, tail] = [[from, stretch.from], [stretch.to, to]] as const;
  return [{ rollup, stretch: { from, to }, isSubtracted: false }, ...edge(head, rest), ...edge(tail, rest)];
}

/** Of a level with workspaces, each has rows: days of the fleet are fewer than months of those. */
function rollupOf(period: Period, needs: readonly string[]): Rollup | undefined {
  const isOfFleet = !needs.includes("workspace_id") && !needs.includes("sandbox_id");
  return ROLLUPS.find((rollup) =>
    rollup.period === period && needs.every((key) => rollup.keeps.includes(key as RollupKey)) &&
    isOfFleet === !rollup.keeps.includes("workspace_id")
  );
}

/** From a bound to the next: if they are in this order, the stretch between is too much. */
function edge([first, second]: readonly [number | null, number | null], asked: PartsAsked): readonly Part[] {
  // Both are null if one is.
  if (first === second || first === null || second === null) return [];
  const isTooMuch = first < second;
  const stretch = isTooMuch ? { from: first, to: second } : { from: second, to: first };
  const parts = partsOf(stretch, asked);
  return isTooMuch ? parts.map((part) => ({ ...part, isSubtracted: !part.isSubtracted })) : parts;
}

/** The start of a period with the fewest totals between it and that time. */
function boundBeside(at: number, { period, asOf }: { readonly period: Period; readonly asOf: number }): number {
  const [before, behind] = [periodStart(period, at), periodStart(period, at, "next")];
  const length = (from: number, to: number) => Math.max(0, Math.min(to, asOf) - from);
  return length(before, at) < length(at, behind) ? before : behind;
}
