import type { Readiness } from "../domain/operations.ts";

export interface Health {
  readonly status: 200 | 503;
  readonly body: Readonly<Record<string, string>>;
}

/**
 * `/healthz` is 200 while the process lives. `/readyz` is 503 if the proxy cannot serve and record
 * calls, otherwise 200. They need no token.
 */
export const HEALTH: Readonly<Record<string, (readiness: () => Readiness) => Health>> = {
  "/healthz": () => ({ status: 200, body: { status: "ok" } }),
  "/readyz": (readiness) => {
    const { status, reason } = readiness();
    return { status: status === "unavailable" ? 503 : 200, body: { status, ...(reason !== null && { reason }) } };
  },
};
