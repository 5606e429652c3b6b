import type { LimitPlace } from "../../../domain/limits.ts";
import { ID_FILTER } from "../../admin_filters.ts";
import { AdminRefusal, shown } from "../../admin_refusal.ts";
import type { ScopeInPath } from "../../suspensions.ts";
import { pathTo } from "../links.ts";
import type { PageAsked } from "../page.ts";

/** A workspace, or a sandbox of it: what has limits, and what can be suspended. */
export interface Place {
  readonly workspaceId: string;
  /** Null: the whole workspace. */
  readonly sandboxId: string | null;
}

/** Browsers take `.` and `..` for folders, so such ids are in the query. */
export function placePath({ workspaceId, sandboxId }: Place, action = ""): string {
  const ids = sandboxId === null ? [workspaceId] : [workspaceId, sandboxId];
  const isFolder = ids.some((id) => id === "." || id === "..");
  const path = pathTo(sandboxId === null ? "workspaces" : "sandboxes", ...isFolder ? ids.map(() => "id") : ids);
  const query = new URLSearchParams({ workspace_id: workspaceId, ...(sandboxId === null ? {} : { sandbox_id: sandboxId }) });
  return `${path}${action === "" ? "" : `/${action}`}${isFolder ? `?${query}` : ""}`;
}

/** The place that a page is about. Throws `AdminRefusal` for an id that no place can have. */
export function placeOf({ param, url: { searchParams } }: PageAsked, what: "workspace" | "sandbox"): Place {
  const idOf = (name: "workspace" | "sandbox") => readId(searchParams.get(`${name}_id`) ?? param(name));
  return { workspaceId: idOf("workspace"), sandboxId: what === "sandbox" ? idOf("sandbox") : null };
}

/** Throws `AdminRefusal` 404. */
export function readId(text: string): string {
  const { data } = ID_FILTER.schema.safeParse(text);
  if (data !== undefined) return data;
  throw new AdminRefusal("not_found_error", `There is nothing of the id ${shown(text)}: an id has 1 to 256 characters`);
}

/** Its calls in flight. */
export function livePath({ workspaceId, sandboxId }: Place): string {
  return `/dashboard/live?${new URLSearchParams({
    workspace_id: workspaceId,
    ...(sandboxId === null ? {} : { sandbox_id: sandboxId }),
  })}`;
}

export function isIn(
  { workspaceId, sandboxId }: Place,
  call: { readonly workspaceId: string; readonly sandboxId: string },
): boolean {
  return call.workspaceId === workspaceId && (sandboxId === null || call.sandboxId === sandboxId);
}

export function limitPlaceOf({ workspaceId, sandboxId }: Place): LimitPlace {
  return sandboxId === null ? { scope: "workspace", workspaceId, id: "" } : { scope: "sandbox", workspaceId, id: sandboxId };
}

export function scopeOf({ workspaceId, sandboxId }: Place): ScopeInPath {
  return { workspace: workspaceId, sandbox: sandboxId };
}

/** `The sandbox sb-1 of acme`. */
export function placeWords({ workspaceId, sandboxId }: Place): string {
  return sandboxId === null ? `The workspace ${workspaceId}` : `The sandbox ${sandboxId} of ${workspaceId}`;
}
