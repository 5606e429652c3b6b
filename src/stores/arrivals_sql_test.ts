import assert from "node:assert/strict";
import { horizonOf } from "./arrivals_sql.ts";

Deno.test("horizonOf() is the oldest transaction that writes, or the next one, across the ends of 32 bits", () => {
  const epoch = 2n ** 32n;
  assert.equal(horizonOf(1_000n, []), "1000");
  assert.equal(horizonOf(1_000n, [990n, 995n]), "990");
  assert.equal(horizonOf(3n * epoch + 5n, [4n, 2n]), String(3n * epoch + 2n));
  // One of the epoch before is still open.
  assert.equal(horizonOf(3n * epoch + 5n, [4n, epoch - 7n]), String(3n * epoch - 7n));
});
