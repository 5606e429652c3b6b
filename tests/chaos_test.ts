import assert from "node:assert/strict";
import { isKept, runChaos, tableOf } from "./chaos/chaos.ts";

Deno.test("replicas and their database that are killed, frozen and cut off lose no call, double none, and agree to the token", async () => {
  const plan: string[] = [];
  const result = await runChaos({
    seed: 3,
    durationMs: 12_000,
    clients: 40,
    replicas: 3,
    paceMs: 1_000,
    pauseMs: 250,
    say: (line) => plan.push(line),
  });
  assert.ok(isKept(result), [...plan, tableOf(result)].join("\n"));
  assert.ok(result.calls > 100, tableOf(result));
  assert.ok(result.faults > 6, plan.join("\n"));
});
