import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { horizonOf, sqliteArrivals } from "./arrivals_sql.ts";
import { readMigrations } from "./migrations.ts";

Deno.test("horizonOf() is the oldest transaction that writes, or the next one, across the ends of 32 bits", () => {
  const epoch = 2n ** 32n;
  assert.equal(horizonOf(1_000n, []), "1000");
  assert.equal(horizonOf(1_000n, [990n, 995n]), "990");
  assert.equal(horizonOf(3n * epoch + 5n, [4n, 2n]), String(3n * epoch + 2n));
  // One of the epoch before is still open.
  assert.equal(horizonOf(3n * epoch + 5n, [4n, epoch - 7n]), String(3n * epoch - 7n));
});

Deno.test("sqliteArrivals() reads only the rows behind the place, whatever the filters", () => {
  using db = new DatabaseSync(":memory:");
  for (const { sql } of readMigrations(new URL("../../migrations/sqlite/", import.meta.url))) db.exec(sql);
  const all = { workspaceId: null, sandboxId: null, traceId: null, limit: 100, after: ["sqlite", "5"] };
  const narrowings = [{}, { workspaceId: "w" }, { sandboxId: "sb" }, { traceId: "at" }, { workspaceId: "w", traceId: "at" }];
  for (const narrowing of narrowings) {
    const { sql, values } = sqliteArrivals({ ...all, ...narrowing }, 50n)!;
    const plan = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...values).map(({ detail }) => detail);
    assert.deepEqual(plan, ["SEARCH usage USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"], JSON.stringify(narrowing));
  }
});
