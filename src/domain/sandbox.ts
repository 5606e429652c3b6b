/** The caller: one sandbox of one workspace, found by its proxy token. */
export interface Sandbox {
  readonly sandboxId: string;
  readonly workspaceId: string;
  /** Id of the local token; null if the control plane accepted the token. */
  readonly tokenId: string | null;
}

/** The control plane's answer about a proxy token, as on the wire. */
export interface SandboxInfo {
  readonly sandbox_id: string;
  readonly workspace_id: string;
  readonly status: string;
}

/**
 * Finds the sandbox of a token. Rejects with a `Fault`: `unauthenticated` if the token is unknown,
 * revoked or expired, `sandbox_inactive` if its sandbox may not call, `authority_unavailable` if no
 * authority answers. An outage is never `unauthenticated`. The fault names the sandbox if it is
 * known. `again`: asks again if the answer is older than that, for a call that runs.
 */
export type SandboxOf = (token: string, again?: { readonly maxAgeMs: number }) => Promise<Sandbox>;
