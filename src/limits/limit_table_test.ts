import assert from "node:assert/strict";
import { type Limit, type LimitKind, type LimitPlace } from "../domain/limits.ts";
import { LimitTable } from "./limit_table.ts";

/** 2026-02-14T15:30:00Z */
const AT = Date.UTC(2026, 1, 14, 15, 30);
const DAY = { from: Date.UTC(2026, 1, 14), until: Date.UTC(2026, 1, 15) };
const MONTH = { from: Date.UTC(2026, 1, 1), until: Date.UTC(2026, 2, 1) };
const CALL = { workspaceId: "w-1", sandboxId: "sb-1", traceId: "at-1", createdAt: AT };

Deno.test("LimitTable finds the limits of a call's workspace, sandbox and trace, with their periods", () => {
  const table = new LimitTable([
    limit("workspace", "w-1", "rpd", 10),
    limit("workspace", "w-2", "rpd", 11),
    limit("sandbox", "sb-1", "cost_per_month", 12),
    limit("sandbox", "sb-2", "cost_per_month", 13),
    limit("trace", "at-1", "concurrent", 14),
    { ...limit("trace", "at-1", "rpd", 15), workspaceId: "w-2" },
  ], {});
  assert.deepEqual(table.boundsOf(CALL), [
    { kind: "rpd", scope: "workspace", id: "w-1", max: 10, ...DAY },
    { kind: "cost_per_month", scope: "sandbox", id: "sb-1", max: 12, ...MONTH },
    { kind: "concurrent", scope: "trace", id: "at-1", max: 14, from: null, until: null },
  ]);
});

Deno.test("LimitTable: a workspace's own limit wins over the default, 0 lifts it, and a stored default over the setting", () => {
  const table = new LimitTable([
    limit("default", "", "rpd", 100),
    limit("default", "", "tokens_per_day", 200),
    limit("workspace", "w-1", "rpd", 0),
  ], { rpd: 7, concurrent: 8, cost_per_day: 0 });
  const maxima = (workspaceId: string) => table.boundsOf({ ...CALL, workspaceId }).map(({ kind, max }) => [kind, max]);
  assert.deepEqual(maxima("w-1"), [["tokens_per_day", 200], ["concurrent", 8]]);
  assert.deepEqual(maxima("w-2"), [["rpd", 100], ["tokens_per_day", 200], ["concurrent", 8]]);
});

Deno.test("LimitTable: a default of 0 lifts the setting, and without any limit no call has one", () => {
  assert.deepEqual(new LimitTable([limit("default", "", "rpd", 0)], { rpd: 7 }).boundsOf(CALL), []);
  assert.deepEqual(new LimitTable([], { rpd: 0 }).boundsOf(CALL), []);
  assert.deepEqual(new LimitTable([], {}).boundsOf(CALL), []);
});

Deno.test("LimitTable keeps ids apart that look alike when they are put together", () => {
  const table = new LimitTable([{ ...limit("sandbox", 'b","c', "rpd", 1), workspaceId: "a" }], {});
  assert.deepEqual(table.boundsOf({ ...CALL, workspaceId: 'a","b', sandboxId: "c" }), []);
  assert.equal(table.boundsOf({ ...CALL, workspaceId: "a", sandboxId: 'b","c' }).length, 1);
});

function limit(scope: LimitPlace["scope"], id: string, kind: LimitKind, max: number): Limit {
  const isWorkspace = scope === "workspace";
  const workspaceId = isWorkspace ? id : scope === "default" ? "" : "w-1";
  return { scope, workspaceId, id: isWorkspace ? "" : id, kind, max, updatedAt: AT };
}
