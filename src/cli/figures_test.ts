import assert from "node:assert/strict";
import { costCell, dollars, notesOf, timeCell } from "./figures.ts";

Deno.test("dollars() never shows a cost as nothing", () => {
  const shown = ["0.000000000", "0.000000001", "0.000099999", "0.000100000", "0.123450000", "1.006000000", "1234567.891000000"];
  assert.deepEqual(shown.map(dollars), ["$0.00", "<$0.0001", "<$0.0001", "$0.0001", "$0.1235", "$1.01", "$1,234,567.89"]);
  assert.equal(dollars("-0.500000000"), "-$0.5000");
});

Deno.test("costCell() tells what has no price from what nothing is known of", () => {
  assert.equal(costCell("0.500000000", "exact"), "$0.5000");
  assert.equal(costCell("0.500000000", "estimated"), "~$0.5000");
  assert.equal(costCell(null, "exact"), "unpriced");
  assert.equal(costCell(undefined, "unknown"), "unknown");
});

Deno.test("notesOf() names what a cost leaves out, and nothing if it leaves out nothing", () => {
  assert.equal(
    notesOf({ estimatedCount: 3, unknownCount: 0, unpricedCount: 1_234, retryCount: 9n }),
    "3 estimated, 1,234 unpriced, 9 retried",
  );
  assert.equal(notesOf({ estimatedCount: 0 }), "");
});

Deno.test("timeCell() cuts to the second and leaves days alone", () => {
  assert.equal(timeCell("2026-01-31T12:00:00.123Z"), "2026-01-31T12:00:00Z");
  assert.equal(timeCell("2026-01-31"), "2026-01-31");
});
