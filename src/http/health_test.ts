import assert from "node:assert/strict";
import { Hono } from "hono";
import { mountHealth } from "./health.ts";

Deno.test("mountHealth() answers /healthz while the process lives, ready or not", async () => {
  const response = await appOf(() => "draining").request("/healthz");
  assert.deepEqual([response.status, await response.json()], [200, { status: "ok" }]);
});

Deno.test("mountHealth() answers /readyz with 503 and the reason as long as there is one", async () => {
  let reason: string | null = "the ledger cannot write: disk full";
  const app = appOf(() => reason);
  const busy = await app.request("/readyz");
  assert.deepEqual([busy.status, await busy.json()], [503, { status: "unavailable", reason }]);
  reason = null;
  assert.equal((await app.request("/readyz")).status, 200);
  const head = await app.request("/readyz", { method: "HEAD" });
  assert.deepEqual([head.status, await head.text()], [200, ""]);
});

function appOf(readiness: () => string | null): Hono {
  const app = new Hono();
  mountHealth(app, readiness);
  return app;
}
