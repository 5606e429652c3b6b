import type { Env, Hono } from "hono";

/**
 * Mounts `/healthz`, 200 while the process lives, and `/readyz`, 200 or 503 with the reason. No token is asked for.
 * `readiness`: null where calls can be served and recorded, else the reason why not.
 */
export function mountHealth<E extends Env>(app: Hono<E>, readiness: () => string | null): void {
  app.get("/healthz", (context) => context.json({ status: "ok" }));
  app.get("/readyz", (context) => {
    const reason = readiness();
    return reason === null ? context.json({ status: "ok" }) : context.json({ status: "unavailable", reason }, 503);
  });
}
