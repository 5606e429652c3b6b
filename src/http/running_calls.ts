import type { Actor } from "../domain/audit.ts";
import type { RunningCallAdmin } from "../domain/running_call.ts";
import { filtersOf } from "./admin_filters.ts";
import { runningCallJson } from "./admin_json.ts";
import { AdminRefusal, shown } from "./admin_refusal.ts";

export const RUNNING_FILTERS = ["workspace_id", "sandbox_id", "trace_id"] as const;

/** `GET /internal/requests`: `{"requests": RunningCall[]}`, oldest first. */
export async function listRunning(request: Request, calls: Pick<RunningCallAdmin, "list">): Promise<Response> {
  const { workspace_id, sandbox_id, trace_id } = filtersOf(request.url, RUNNING_FILTERS);
  const listed = (await calls.list()).filter(({ workspaceId, sandboxId, traceId }) =>
    (workspace_id === null || workspaceId === workspace_id) &&
    (sandbox_id === null || sandboxId === sandbox_id) &&
    (trace_id === null || traceId === trace_id)
  );
  return Response.json({ requests: listed.map(runningCallJson) });
}

/** `DELETE /internal/requests/:id`: the call as it was when it was cut, or 404. */
export async function cutRunning(
  request: Request,
  id: string,
  { requests, by }: { readonly requests: RunningCallAdmin; readonly by: Actor },
): Promise<Response> {
  filtersOf(request.url, []);
  const cut = await requests.cut(id, by);
  if (cut === null) throw new AdminRefusal("not_found_error", `There is no call ${shown(id)} in flight on this machine`);
  return Response.json(runningCallJson(cut));
}
