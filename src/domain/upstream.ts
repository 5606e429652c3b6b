import type { Credential } from "./provider.ts";

export interface Upstream {
  /** Without a trailing slash; may have a path. */
  readonly baseUrl: string;
  /** Read at each call, because it can be rotated. */
  readonly credential: () => Credential;
  /** Silence of the upstream after which a call is broken, milliseconds. */
  readonly idleMs: number;
  /** How long an unstreamed answer is read after its client left, ms: it is paid for anyway. */
  readonly drainAfterLeftMs: number;
  /** Sent if the client named none; fetch would name itself. */
  readonly userAgent: string;
}
