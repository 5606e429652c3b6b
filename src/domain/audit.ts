import { generateAuditId, type NewId } from "./ids.ts";
import type { Position } from "./query.ts";
import type { QueryOpts } from "./usage.ts";

/** The audited changes. A new one is one row here, and one in docs/audit.md. */
export const AUDIT_ACTIONS = [
  "token.create",
  "token.revoke",
  "limit.set",
  "limit.clear",
  "suspension.begin",
  "suspension.end",
  "request.cut",
  "prices.read",
  "prices.reprice",
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/**
 * `admin` had the admin token, `oidc` signed in at the OpenID provider, `signal` sent SIGHUP,
 * `offline` used `--offline`.
 */
export const AUDIT_WHO = ["admin", "oidc", "signal", "offline"] as const;

/** Who asks for a change. */
export interface Actor {
  readonly who: (typeof AUDIT_WHO)[number];
  /**
   * The user that the command line names, which nothing checks. For `oidc` the person that the
   * provider vouches for. Null if there is no name.
   */
  readonly claimed: string | null;
  /** The client's IP address; null if the change did not come over a connection. */
  readonly address: string | null;
}

/** The part of an entry that is known before the change. */
export interface AuditStamp extends Actor {
  readonly id: string;
  /** Milliseconds since the epoch, UTC. */
  readonly at: number;
}

/** JSON without tokens and keys, in the admin API's own spelling. */
export type AuditJson = Readonly<Record<string, unknown>>;

/** What changed. `before` is null for something new, `after` for something that is gone. */
export interface AuditedChange {
  readonly action: AuditAction;
  /** The id of what changed. */
  readonly target: string;
  /** Null if the change is about no workspace, or about all. */
  readonly workspaceId: string | null;
  readonly before: AuditJson | null;
  readonly after: AuditJson | null;
}

export interface AuditEntry extends AuditStamp, AuditedChange {}

export interface AuditQuery extends Pick<QueryOpts, "workspaceId" | "since" | "until" | "limit"> {
  readonly action: AuditAction | null;
  readonly after: Position | null;
}

export interface AuditPage {
  /** Newest first. */
  readonly entries: readonly AuditEntry[];
  /** Null if this is the last page. */
  readonly next: Position | null;
}

/**
 * The administrative changes, in the database that holds what they change. Nothing changes or
 * deletes an entry, not even retention. A verb that changes a row (such as `createToken`) takes an
 * `AuditStamp` and writes its entry in the same transaction.
 */
export interface AuditRecords {
  /** For a change outside the database. Resolves when the entry is committed. */
  readonly appendAudit: (entry: AuditEntry) => Promise<void>;
  readonly listAudit: (query: AuditQuery) => Promise<AuditPage>;
}

export function stampOf(by: Actor, { newId, now }: { readonly newId: NewId; readonly now: () => number }): AuditStamp {
  const { who, claimed, address } = by;
  return { id: generateAuditId(newId), at: now(), who, claimed, address };
}
