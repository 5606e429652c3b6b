import assert from "node:assert/strict";
import type { OperatorEvent } from "../domain/events.ts";
import { type Bound, periodOf } from "../domain/limits.ts";
import { Warnings } from "./warnings.ts";

/** 2026-01-01T00:00:00Z */
const T0 = 1_767_225_600_000;
const BOUND: Bound = { kind: "cost_per_day", scope: "workspace", id: "w-1", max: 1_000, ...periodOf("cost_per_day", T0) };

Deno.test("used() tells each share of a limit once for each period, and the greatest of several", () => {
  const events: OperatorEvent[] = [];
  const warnings = new Warnings([80, 100], (event) => events.push(event));
  for (const used of [0, 799, 800, 801, 900]) warnings.used("w-1", BOUND, used);
  assert.deepEqual(events, [{ type: "limit.reached", workspaceId: "w-1", bound: BOUND, percent: 80, used: 800 }]);
  for (const used of [1_000, 700, 1_200]) warnings.used("w-1", BOUND, used);
  warnings.used("w-2", BOUND, 1_000);
  const tomorrow = { ...BOUND, ...periodOf("cost_per_day", T0 + 86_400_000) };
  warnings.used("w-1", tomorrow, 850);
  const raised = { ...BOUND, max: 2_000 };
  warnings.used("w-1", raised, 1_200);
  warnings.used("w-1", raised, 1_700);
  const told = events.map((event) => event.type === "limit.reached" && [event.workspaceId, event.percent, event.used]);
  assert.deepEqual(told.slice(1), [["w-1", 100, 1_000], ["w-2", 100, 1_000], ["w-1", 80, 850], ["w-1", 80, 1_700]]);
});

Deno.test("used() tells nothing of calls that run", () => {
  const warnings = new Warnings([80], () => assert.fail("it told"));
  warnings.used("w-1", { kind: "concurrent", scope: "workspace", id: "w-1", max: 1, from: null, until: null }, 1);
});
