import assert from "node:assert/strict";
import { Hono } from "hono";
import type { Readiness } from "../domain/operations.ts";
import { HEALTH } from "./health.ts";

Deno.test("HEALTH answers /healthz while the process lives, ready or not", async () => {
  const response = await appOf(() => ({ status: "unavailable", reason: "draining" })).request("/healthz");
  assert.deepEqual([response.status, await response.json()], [200, { status: "ok" }]);
});

Deno.test("HEALTH answers /readyz with 503 and the reason as long as there is one", async () => {
  let reason: string | null = "the ledger cannot write: disk full";
  const app = appOf(() => ({ status: reason === null ? "ok" : "unavailable", reason }));
  const busy = await app.request("/readyz");
  assert.deepEqual([busy.status, await busy.json()], [503, { status: "unavailable", reason }]);
  reason = null;
  assert.equal((await app.request("/readyz")).status, 200);
  const head = await app.request("/readyz", { method: "HEAD" });
  assert.deepEqual([head.status, await head.text()], [200, ""]);
});

Deno.test("HEALTH answers /readyz with 200 and the reason if calls go on but an operator should look", async () => {
  const answer = await appOf(() => ({ status: "degraded", reason: "behind" })).request("/readyz");
  assert.deepEqual([answer.status, await answer.json()], [200, { status: "degraded", reason: "behind" }]);
});

function appOf(readiness: () => Readiness): Hono {
  const app = new Hono();
  for (const [path, health] of Object.entries(HEALTH)) {
    app.get(path, (context) => {
      const { status, body } = health(readiness);
      return context.json(body, status);
    });
  }
  return app;
}
