import assert from "node:assert/strict";
import { ofClock } from "./upstream.ts";

Deno.test("ofClock() goes by the answer that is nearest, and says in which direction the clock is wrong", () => {
  assert.equal(ofClock([null, null]).state, "skipped");
  assert.equal(ofClock([null, 9_000, -60_000]).state, "ok");
  assert.deepEqual([ofClock([60_000]).state, ofClock([60_000]).says], [
    "warning",
    "This machine's clock is 60 s behind the upstream's",
  ]);
  assert.deepEqual([ofClock([-3_600_000]).state, ofClock([-3_600_000], "PostgreSQL's").says], [
    "failed",
    "This machine's clock is 3600 s ahead of PostgreSQL's",
  ]);
});
