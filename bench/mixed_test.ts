import assert from "node:assert/strict";
import { chartOf, verdictOf } from "./mixed_series.ts";

const RULE = { ratio: 1.1, slack: 0 };

Deno.test("verdictOf() compares the last quarter with the second, and no other", () => {
  const series = [0, 0, 100, 100, 900, 900, 110, 110];
  assert.deepEqual(verdictOf(series, RULE), { second: 100, last: 110, isFlat: true });
});

Deno.test("verdictOf() finds a figure that grows by 1 % in each of its hundred values", () => {
  const series = Array.from({ length: 100 }, (_, n) => 100 + n);
  assert.equal(verdictOf(series, RULE).isFlat, false);
});

Deno.test("verdictOf() allows a small figure its slack", () => {
  const series = [0, 2, 3, 6];
  assert.equal(verdictOf(series, RULE).isFlat, false);
  assert.equal(verdictOf(series, { ...RULE, slack: 4 }).isFlat, true);
});

Deno.test("chartOf() draws the means of what comes to a point", () => {
  const chart = chartOf([10, 20, 30, 50], { title: "RSS, MB", minutes: 10, points: 2 });
  const lines = [
    "xychart-beta",
    '    title "RSS, MB"',
    '    x-axis "minutes" 0 --> 10',
    "    y-axis 0 --> 50",
    "    line [15, 40]",
  ];
  assert.equal(chart, ["```mermaid", ...lines, "```"].join("\n"));
});
