import type { RunningCallAdmin, RunningCalls } from "../domain/running_call.ts";
import { runningCallJson } from "../http/admin_json.ts";
import type { AdminDeps } from "../http/admin_route.ts";

/** Calls in flight of which no one can cut one without an entry in the audit. */
export function auditedCuts({ list, cut }: RunningCalls, recordChange: AdminDeps["recordChange"]): RunningCallAdmin {
  return {
    list,
    async cut(id, by) {
      const call = await cut(id);
      if (call === null) return null;
      const { workspaceId } = call;
      await recordChange({ action: "request.cut", target: id, workspaceId, before: runningCallJson(call), after: null }, by);
      return call;
    },
  };
}
