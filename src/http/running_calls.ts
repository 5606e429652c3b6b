import type { Actor } from "../domain/audit.ts";
import type { RunningCall, RunningCallAdmin } from "../domain/running_call.ts";
import { filtersOf } from "./admin_filters.ts";
import { runningCallJson } from "./admin_json.ts";
import { AdminRefusal, shown } from "./admin_refusal.ts";

export const RUNNING_FILTERS = ["workspace_id", "sandbox_id", "trace_id"] as const;

/** `GET /internal/requests`: `{"requests": RunningCall[]}`, oldest first. */
export async function listRunning(request: Request, calls: Pick<RunningCallAdmin, "list">): Promise<Response> {
  const listed = (await calls.list()).filter(runningFilterOf(request.url));
  return Response.json({ requests: listed.map(runningCallJson) });
}

/** Which calls the filters of the URL keep. Throws `AdminRefusal` 400. */
export function runningFilterOf(url: string): (call: RunningCall) => boolean {
  const { workspace_id, sandbox_id, trace_id } = filtersOf(url, RUNNING_FILTERS);
  return ({ workspaceId, sandboxId, traceId }) =>
    (workspace_id === null || workspaceId === workspace_id) &&
    (sandbox_id === null || sandboxId === sandbox_id) &&
    (trace_id === null || traceId === trace_id);
}

/** `DELETE /internal/requests/:id`: the call as it was when it was cut, or 404. */
export async function cutRunning(
  request: Request,
  id: string,
  { requests, by }: { readonly requests: RunningCallAdmin; readonly by: Actor },
): Promise<Response> {
  filtersOf(request.url, []);
  return Response.json(runningCallJson(await cutCall(id, { requests, by })));
}

/** The call as it was when it was cut. Throws `AdminRefusal` 404. */
export async function cutCall(
  id: string,
  { requests, by }: { readonly requests: RunningCallAdmin; readonly by: Actor },
): Promise<RunningCall> {
  const cut = await requests.cut(id, by);
  if (cut !== null) return cut;
  throw new AdminRefusal("not_found_error", `There is no call ${shown(id)} in flight on this machine`);
}
