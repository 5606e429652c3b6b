import assert from "node:assert/strict";
import { AXIS_WIDTH, timeAxisOf } from "./time_axis.ts";

Deno.test("timeAxisOf() is even as long as something runs, and begins and ends with what runs", () => {
  const { placeOf, ticks, pauses } = timeAxisOf([{ from: 5_000, to: 9_000 }, { from: 1_000, to: 6_000 }]);
  assert.deepEqual([1_000, 3_000, 9_000].map(placeOf), [0, AXIS_WIDTH / 4, AXIS_WIDTH]);
  assert.deepEqual(ticks, [1_000, 3_000, 5_000, 7_000, 9_000]);
  assert.deepEqual(pauses, []);
});

Deno.test("timeAxisOf() shortens long pauses, says how long they were, and keeps the order of time", () => {
  const hour = 3_600_000;
  const runs = [{ from: 0, to: 60_000 }, { from: hour, to: hour + 60_000 }, { from: hour + 60_501, to: hour + 120_003 }];
  const { placeOf, ticks, pauses } = timeAxisOf(runs);
  assert.deepEqual(pauses.map(({ ms }) => ms), [hour - 60_000]);
  // 179.502 s run, so the pause is 8.975 s wide; the half second between the last two is no pause.
  const whole = 179_502 + 501 + 8_975;
  assert.equal(placeOf(hour).toFixed(6), ((60_000 + 8_975) / whole * AXIS_WIDTH).toFixed(6));
  assert.equal(pauses[0]!.place.toFixed(6), ((60_000 + 8_975 / 2) / whole * AXIS_WIDTH).toFixed(6));
  const places = [0, 30_000, 60_000, 1_000_000, hour, hour + 60_000, hour + 120_003].map(placeOf);
  assert.deepEqual(places, places.toSorted((a, b) => a - b));
  assert.deepEqual([ticks[0], ticks[4]], [0, hour + 120_003]);
  assert.ok(ticks[2]! > hour && ticks[2]! < hour + 60_000);
});

Deno.test("timeAxisOf() has a place for calls without a duration, and for one alone", () => {
  const { placeOf } = timeAxisOf([{ from: 7, to: 7 }]);
  assert.deepEqual([placeOf(7), placeOf(8), placeOf(0)], [0, 0, 0]);
  const two = timeAxisOf([{ from: 0, to: 0 }, { from: 100, to: 100 }]);
  assert.deepEqual([two.placeOf(0), two.placeOf(50), two.placeOf(100)], [0, AXIS_WIDTH / 2, AXIS_WIDTH]);
});
