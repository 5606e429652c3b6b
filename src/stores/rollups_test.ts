import assert from "node:assert/strict";
import { callOf, closingOf } from "../../tests/conformance/samples.ts";
import { partsOf, sumsByRollup } from "./rollups.ts";
import { added, countedClosing, placeOf } from "./totals.ts";
import { storedClosing } from "./usage_row.ts";

const ALL_PERIODS = ["month", "day", "hour"] as const;

function at(text: string): number {
  return Date.parse(`${text}:00Z`);
}

Deno.test("partsOf() reads months in the middle, days beside them and hours at the ends", () => {
  const stretch = { from: at("2026-01-30T22:00"), to: at("2026-03-02T03:00") };
  const parts = partsOf(stretch, { needs: ["workspace_id"], periods: ALL_PERIODS });
  assert.deepEqual(parts.map(({ rollup, stretch }) => [rollup?.level, stretch.from, stretch.to]), [
    ["workspace_month", at("2026-02-01T00:00"), at("2026-03-01T00:00")],
    ["workspace_day", at("2026-01-31T00:00"), at("2026-02-01T00:00")],
    [undefined, at("2026-01-30T22:00"), at("2026-01-31T00:00")],
    ["workspace_day", at("2026-03-01T00:00"), at("2026-03-02T00:00")],
    [undefined, at("2026-03-02T00:00"), at("2026-03-02T03:00")],
  ]);
});

Deno.test("partsOf() reads hours alone if no roll-up tells a key apart, or the query groups by the hour", () => {
  const stretch = { from: null, to: at("2026-03-02T03:00") };
  assert.deepEqual(partsOf(stretch, { needs: ["sandbox_id"], periods: ALL_PERIODS }), [{ rollup: null, stretch }]);
  assert.deepEqual(partsOf(stretch, { needs: ["workspace_id"], periods: ["hour"] }), [{ rollup: null, stretch }]);
  assert.deepEqual(partsOf(stretch, { needs: ["model"], periods: ["hour"] }).map(({ rollup }) => rollup?.level), ["fleet_hour"]);
});

Deno.test("partsOf() reads everything from the longest period without ends", () => {
  const everything = { from: null, to: null };
  const [part, ...others] = partsOf(everything, { needs: [], periods: ALL_PERIODS });
  assert.deepEqual([part?.rollup?.level, part?.stretch, others], ["workspace_month", everything, []]);
});

Deno.test("sumsByRollup() adds one row for each key of each roll-up", () => {
  const deltas = ["w-1", "w-1", "w-2"].map((workspaceId) => {
    const closing = closingOf({ servedModel: "m" });
    const call = callOf({ workspaceId, createdAt: at("2026-02-03T04:05") });
    return added(placeOf(call, closing), countedClosing(storedClosing(closing)));
  });
  const sums = sumsByRollup(deltas).map(({ key, counts }) => [key.join(" "), counts[4]]);
  const [month, day, hour] = [at("2026-02-01T00:00"), at("2026-02-03T00:00"), at("2026-02-03T04:00")];
  assert.deepEqual(sums, [
    [` fleet_hour ${hour} anthropic m`, 3n],
    [` fleet_day ${day} anthropic m`, 3n],
    [`w-1 workspace_month ${month}  `, 2n],
    [`w-2 workspace_month ${month}  `, 1n],
    [`w-1 workspace_day ${day}  `, 2n],
    [`w-2 workspace_day ${day}  `, 1n],
    [`w-1 workspace_model_day ${day} anthropic m`, 2n],
    [`w-2 workspace_model_day ${day} anthropic m`, 1n],
  ]);
});
