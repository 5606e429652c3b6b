import type { Env, Hono } from "hono";
import type { Readiness } from "../domain/operations.ts";

/**
 * Mounts `/healthz`, 200 while the process lives, and `/readyz`, 503 where calls cannot be served and recorded, else 200;
 * with the reason where there is one. No token is asked for.
 */
export function mountHealth<E extends Env>(app: Hono<E>, readiness: () => Readiness): void {
  app.get("/healthz", (context) => context.json({ status: "ok" }));
  app.get("/readyz", (context) => {
    const { status, reason } = readiness();
    return context.json({ status, ...(reason !== null && { reason }) }, status === "unavailable" ? 503 : 200);
  });
}
