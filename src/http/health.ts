import type { Env, Hono } from "hono";
import type { Readiness } from "../domain/operations.ts";

/**
 * `/healthz` is 200 while the process lives. `/readyz` is 503 if the proxy cannot serve and record
 * calls, otherwise 200. They need no token.
 */
export function mountHealth<E extends Env>(app: Hono<E>, readiness: () => Readiness): void {
  app.get("/healthz", (context) => context.json({ status: "ok" }));
  app.get("/readyz", (context) => {
    const { status, reason } = readiness();
    return context.json({ status, ...(reason !== null && { reason }) }, status === "unavailable" ? 503 : 200);
  });
}
