/** Who calls: one sandbox of one workspace, found by its proxy token. */
export interface Sandbox {
  readonly sandboxId: string;
  readonly workspaceId: string;
  /** Id of the local token that was used; null where the control plane vouched. Never the token itself. */
  readonly tokenId: string | null;
}

/** The control plane's answer about a proxy token, as it is on the wire. */
export interface SandboxInfo {
  readonly sandbox_id: string;
  readonly workspace_id: string;
  readonly status: string;
}

/**
 * Whose token is this?
 *
 * Rejects with a `Fault`: `unauthenticated` if nobody knows the token or it holds no longer, `sandbox_inactive` if its
 * sandbox may not call, `authority_unavailable` if nobody could be asked. An outage is never `unauthenticated`.
 * If it is known whose token it is or was, the fault names that sandbox.
 */
export type SandboxOf = (token: string) => Promise<Sandbox>;
