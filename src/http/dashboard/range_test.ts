import assert from "node:assert/strict";
import { rangeOf, spanBefore } from "./range.tsx";

const NOW = Date.UTC(2026, 2, 31, 15, 30);

function comparedWith(query: string) {
  const range = rangeOf(new URL(`http://proxy/dashboard?${query}`), NOW, "24h");
  const { since, until } = spanBefore(range);
  return [range.since, range.until, since, until].map((at) => new Date(at).toISOString().slice(0, "2026-01-31T12:00".length));
}

Deno.test("spanBefore() is the same part of the day or the month before, otherwise as much time before", () => {
  assert.deepEqual(comparedWith("range=today"), ["2026-03-31T00:00", "2026-03-31T15:30", "2026-03-30T00:00", "2026-03-30T15:30"]);
  // February has no 31st: all of it is compared.
  assert.deepEqual(comparedWith("range=month"), ["2026-03-01T00:00", "2026-03-31T15:30", "2026-02-01T00:00", "2026-03-01T00:00"]);
  assert.deepEqual(comparedWith("range=last-month"), [
    "2026-02-01T00:00",
    "2026-03-01T00:00",
    "2026-01-01T00:00",
    "2026-02-01T00:00",
  ]);
  assert.deepEqual(comparedWith(""), ["2026-03-30T15:30", "2026-03-31T15:30", "2026-03-29T15:30", "2026-03-30T15:30"]);
  assert.deepEqual(comparedWith("since=2026-03-10&until=2026-03-11"), [
    "2026-03-10T00:00",
    "2026-03-12T00:00",
    "2026-03-08T00:00",
    "2026-03-10T00:00",
  ]);
});
