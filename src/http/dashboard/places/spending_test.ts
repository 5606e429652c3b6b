import assert from "node:assert/strict";
import { NO_TOTALS } from "../../../domain/totals.ts";
import { spanAt, spendingIn } from "./spending.ts";

const DAY_MS = 86_400_000;

function textOf({ since, until }: { readonly since: number; readonly until: number }): string {
  return `${new Date(since).toISOString()} ${new Date(until).toISOString()}`;
}

Deno.test("spanAt() gives whole days and months (UTC), also at their first and last moment", () => {
  for (const now of [Date.UTC(2026, 11, 1), Date.UTC(2026, 11, 1, 23, 59, 59, 999)]) {
    assert.equal(textOf(spanAt("today", now)), "2026-12-01T00:00:00.000Z 2026-12-02T00:00:00.000Z");
    assert.equal(textOf(spanAt("yesterday", now)), "2026-11-30T00:00:00.000Z 2026-12-01T00:00:00.000Z");
    assert.equal(textOf(spanAt("month", now)), "2026-12-01T00:00:00.000Z 2027-01-01T00:00:00.000Z");
  }
  assert.equal(textOf(spanAt("month", Date.UTC(2026, 11, 31, 12))), "2026-12-01T00:00:00.000Z 2027-01-01T00:00:00.000Z");
});

Deno.test("spendingIn() adds up the days of each span, and yesterday may be of the month before", () => {
  const now = Date.UTC(2026, 11, 1, 12);
  const day = (at: number, requestCount: number) => ({ day: at, totals: { ...NO_TOTALS, requestCount } });
  const days = [day(Date.UTC(2026, 10, 29), 1), day(Date.UTC(2026, 10, 30), 2), day(Date.UTC(2026, 11, 1), 4)];
  const { today, yesterday, month } = spendingIn(days, now);
  assert.deepEqual([today.requestCount, yesterday.requestCount, month.requestCount], [4, 2, 4]);
  const later = spendingIn(days, now + 2 * DAY_MS);
  assert.deepEqual([later.today.requestCount, later.yesterday.requestCount, later.month.requestCount], [0, 0, 4]);
});
