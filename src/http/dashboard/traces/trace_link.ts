import type { Trace } from "../../../domain/trace.ts";
import { pathTo } from "../links.ts";

/** The page of a trace. Browsers take `.` and `..` for folders, so such ids are in the query. */
export function traceLink({ workspaceId, id }: Pick<Trace, "workspaceId" | "id">): string {
  const isFolder = id === "." || id === "..";
  const query = new URLSearchParams({ workspace_id: workspaceId, ...(isFolder ? { id } : {}) });
  return `${pathTo("traces", isFolder ? "id" : id)}?${query}`;
}
