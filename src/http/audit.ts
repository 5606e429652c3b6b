import type { Actor, AuditEntry, AuditQuery } from "../domain/audit.ts";
import { timeJson } from "./admin_json.ts";
import { filtersOf, pageOf } from "./admin_filters.ts";
import { AdminRefusal, shown } from "./admin_refusal.ts";
import type { AdminDeps } from "./admin_route.ts";
import { cursorText } from "./cursor.ts";
import { cursorOf, type ListRequest } from "./usage_filters.ts";

/** Names the user of a client that has the admin token. */
export const ACTOR_HEADER = "x-llmproxy-actor";
export const ACTOR = /^[\x21-\x7e]{1,128}$/;

export const AUDIT_FILTERS = ["workspace_id", "action", "since", "until", "limit", "cursor"] as const;

/**
 * Who asks for a change; a question needs no name. Throws `AdminRefusal` if the client names a user
 * that cannot be recorded.
 */
export function actorOf({ method, headers }: Request, address: string | null): Actor {
  const claimed = method === "GET" || method === "HEAD" ? null : headers.get(ACTOR_HEADER);
  if (claimed !== null && !ACTOR.test(claimed)) {
    throw new AdminRefusal(
      "invalid_request_error",
      `Cannot read the header ${ACTOR_HEADER} as 1 to 128 visible ASCII characters: current value is ${shown(claimed)}`,
    );
  }
  const token = (headers.get("authorization") ?? "").split(" ").at(-1)!;
  if (claimed !== null && token !== "" && claimed.includes(token)) {
    throw new AdminRefusal("invalid_request_error", `Cannot record the header ${ACTOR_HEADER}: it holds the admin token`);
  }
  return { who: "admin", claimed, address };
}

/** `GET /internal/audit`: `{"audit": AuditEntry[], "nextCursor"?}`, newest first. */
export async function answerAudit(request: Request, { audit, now }: Pick<AdminDeps, "audit" | "now">): Promise<Response> {
  const { query, cursorOf } = auditQueryOf(request.url, now);
  const { entries, next } = await audit.listAudit(query);
  return Response.json({ audit: entries.map(entryJson), ...(next === null ? {} : { nextCursor: cursorOf(next) }) });
}

/** Throws `AdminRefusal` 400 that names what cannot be read. */
export function auditQueryOf(url: string, now: () => number): ListRequest<AuditQuery> {
  const read = filtersOf(url, AUDIT_FILTERS);
  const { workspace_id: workspaceId, action, since, until } = read;
  const question = JSON.stringify(["audit", workspaceId, action, since, until]);
  const cursor = cursorOf({ cursor: read.cursor, offset: null }, question);
  const { limit } = pageOf({ limit: read.limit, offset: null });
  return {
    query: { workspaceId, action, since, until, limit, after: cursor?.after ?? null },
    cursorOf: (after) => cursorText({ after, asOf: cursor?.asOf ?? now() }, question),
  };
}

function entryJson({ id, at, who, claimed, address, action, target, workspaceId, before, after }: AuditEntry) {
  const known = Object.entries({ workspaceId, before, after }).filter(([, value]) => value !== null);
  return {
    id,
    at: timeJson(at),
    who,
    ...(claimed === null ? {} : { claimed }),
    ...(address === null ? {} : { address }),
    action,
    target,
    ...Object.fromEntries(known),
  };
}
