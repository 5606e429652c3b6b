import type { UpstreamInForce } from "../domain/operations.ts";
import type { UpstreamConfig } from "../domain/upstream.ts";

/** In the order in which calls try them. */
export function upstreamsInForce(upstreams: readonly UpstreamConfig[]): readonly UpstreamInForce[] {
  return upstreams.map(({ name, dialect, seller, baseUrl, models, workspaces, credentials }) => ({
    ...{ name, dialect, provider: seller, baseUrl, models, workspaces },
    credentials: credentials.map(({ id, weight, baseUrl }) => ({ id, weight, baseUrl })),
  }));
}
