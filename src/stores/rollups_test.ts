import assert from "node:assert/strict";
import { callOf, closingOf, seededRandom } from "../../tests/conformance/samples.ts";
import { type Part, partsOf, sumsByRollup } from "./rollups.ts";
import { added, countedClosing, placeOf } from "./totals.ts";
import { storedClosing } from "./usage_row.ts";

const HOUR_MS = 3_600_000;
const ALL_PERIODS = ["month", "day", "hour"] as const;

function at(text: string): number {
  return Date.parse(`${text}:00Z`);
}

/** Level, bounds, and whether it is subtracted. */
function shown(parts: readonly Part[]) {
  return parts.map(({ rollup, stretch: { from, to }, isSubtracted }) => [rollup?.level, from, to, isSubtracted ? "-" : "+"]);
}

Deno.test("partsOf() reads months in the middle, days beside them and hours at the ends", () => {
  const stretch = { from: at("2026-01-30T22:00"), to: at("2026-03-02T03:00") };
  assert.deepEqual(shown(partsOf(stretch, { needs: ["workspace_id"], periods: ALL_PERIODS })), [
    ["workspace_month", at("2026-02-01T00:00"), at("2026-03-01T00:00"), "+"],
    ["workspace_day", at("2026-01-31T00:00"), at("2026-02-01T00:00"), "+"],
    [undefined, at("2026-01-30T22:00"), at("2026-01-31T00:00"), "+"],
    ["workspace_day", at("2026-03-01T00:00"), at("2026-03-02T00:00"), "+"],
    [undefined, at("2026-03-02T00:00"), at("2026-03-02T03:00"), "+"],
  ]);
});

Deno.test("partsOf() subtracts the smaller part of a period, and what was subtracted too much comes back", () => {
  const stretch = { from: at("2026-01-02T02:00"), to: at("2026-02-27T22:00") };
  assert.deepEqual(shown(partsOf(stretch, { needs: ["workspace_id", "sandbox_id"], periods: ALL_PERIODS })), [
    ["sandbox_month", at("2026-01-01T00:00"), at("2026-03-01T00:00"), "+"],
    ["sandbox_day", at("2026-01-01T00:00"), at("2026-01-02T00:00"), "-"],
    [undefined, at("2026-01-02T00:00"), at("2026-01-02T02:00"), "-"],
    ["sandbox_day", at("2026-02-28T00:00"), at("2026-03-01T00:00"), "-"],
    [undefined, at("2026-02-27T22:00"), at("2026-02-28T00:00"), "-"],
  ]);
  const day = { from: at("2026-01-01T03:00"), to: at("2026-01-01T22:00") };
  assert.deepEqual(shown(partsOf(day, { needs: ["workspace_id"], periods: ["day", "hour"] })), [
    ["workspace_day", at("2026-01-01T00:00"), at("2026-01-02T00:00"), "+"],
    [undefined, at("2026-01-01T00:00"), at("2026-01-01T03:00"), "-"],
    [undefined, at("2026-01-01T22:00"), at("2026-01-02T00:00"), "-"],
  ]);
});

Deno.test("partsOf() reads a period that is still going on as a whole: what is subtracted is still to come", () => {
  const now = at("2026-03-02T03:00");
  const stretch = { from: at("2026-02-01T00:00"), to: now };
  assert.deepEqual(shown(partsOf(stretch, { needs: ["workspace_id"], periods: ALL_PERIODS, asOf: now })), [
    ["workspace_month", at("2026-02-01T00:00"), at("2026-04-01T00:00"), "+"],
    ["workspace_day", at("2026-03-03T00:00"), at("2026-04-01T00:00"), "-"],
    [undefined, at("2026-03-02T03:00"), at("2026-03-03T00:00"), "-"],
  ]);
});

Deno.test("partsOf() counts every hour of a stretch once and no other, whatever its ends and the time", () => {
  const first = at("2026-01-01T00:00");
  const hours = Array.from({ length: 24 * 90 }, (_, n) => n);
  const random = seededRandom(7);
  const some = () => first + Math.floor(random() * hours.length) * HOUR_MS;
  for (let n = 0; n < 300; n++) {
    const [from, to] = [some(), some()].sort((a, b) => a - b) as [number, number];
    if (from === to) continue;
    const counts = hours.map(() => 0);
    for (const part of partsOf({ from, to }, { needs: ["workspace_id"], periods: ALL_PERIODS, asOf: some() })) {
      const [begin, end] = [part.stretch.from!, part.stretch.to!].map((time) => (time - first) / HOUR_MS) as [number, number];
      for (let hour = begin; hour < end; hour++) counts[hour]! += part.isSubtracted ? -1 : 1;
    }
    const expected = hours.map((hour) => first + hour * HOUR_MS >= from && first + hour * HOUR_MS < to ? 1 : 0);
    assert.deepEqual(counts.slice(0, hours.length), expected, `${from} ${to}`);
  }
});

Deno.test("partsOf() reads hours alone if no roll-up tells a key apart, or the query groups by the hour", () => {
  const stretch = { from: null, to: at("2026-03-02T03:00") };
  const hours = [{ rollup: null, stretch, isSubtracted: false }];
  assert.deepEqual(partsOf(stretch, { needs: ["sandbox_id", "model"], periods: ALL_PERIODS }), hours);
  assert.deepEqual(partsOf(stretch, { needs: ["workspace_id"], periods: ["hour"] }), hours);
  assert.deepEqual(partsOf(stretch, { needs: ["model"], periods: ["hour"] }).map(({ rollup }) => rollup?.level), ["fleet_hour"]);
});

Deno.test("partsOf() reads everything from the roll-up with the fewest rows: days of the fleet, months of workspaces", () => {
  const everything = { from: null, to: null };
  const levelOf = (...needs: string[]) => shown(partsOf(everything, { needs, periods: ALL_PERIODS }));
  const levels = [
    levelOf(),
    levelOf("upstream"),
    levelOf("workspace_id"),
    levelOf("workspace_id", "model"),
    levelOf("sandbox_id"),
  ];
  assert.deepEqual(
    levels.flat(),
    [
      "fleet_day",
      "fleet_day",
      "workspace_month",
      "workspace_model_month",
      "sandbox_month",
    ].map((level) => [level, null, null, "+"]),
  );
});

Deno.test("sumsByRollup() adds one row for each key of each roll-up", () => {
  const deltas = ["w-1", "w-1", "w-2"].map((workspaceId) => {
    const closing = closingOf({ servedModel: "m" });
    const call = callOf({ workspaceId, upstream: "eu", createdAt: at("2026-02-03T04:05") });
    return added(placeOf(call, closing), countedClosing(storedClosing(closing)));
  });
  const sums = sumsByRollup(deltas).map(({ key, counts }) => [key.join(" "), counts[4]]);
  const [month, day, hour] = [at("2026-02-01T00:00"), at("2026-02-03T00:00"), at("2026-02-03T04:00")];
  assert.deepEqual(sums, [
    [` fleet_hour ${hour}  anthropic eu m`, 3n],
    [` fleet_day ${day}  anthropic eu m`, 3n],
    [`w-1 workspace_month ${month}    `, 2n],
    [`w-2 workspace_month ${month}    `, 1n],
    [`w-1 workspace_day ${day}    `, 2n],
    [`w-2 workspace_day ${day}    `, 1n],
    [`w-1 workspace_model_month ${month}  anthropic eu m`, 2n],
    [`w-2 workspace_model_month ${month}  anthropic eu m`, 1n],
    [`w-1 workspace_model_day ${day}  anthropic eu m`, 2n],
    [`w-2 workspace_model_day ${day}  anthropic eu m`, 1n],
    [`w-1 sandbox_month ${month} sb-1   `, 2n],
    [`w-2 sandbox_month ${month} sb-1   `, 1n],
    [`w-1 sandbox_day ${day} sb-1   `, 2n],
    [`w-2 sandbox_day ${day} sb-1   `, 1n],
  ]);
});
