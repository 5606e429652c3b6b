import { suspensionJson } from "../http/admin_json.ts";
import type { SuspensionScope } from "../domain/suspensions.ts";
import { adminClient } from "./admin_client.ts";
import { type CliSystem, CommandFailure } from "./system.ts";

export interface StopOptions {
  readonly sandbox?: string;
  readonly json?: true;
}

/** `llmproxy suspend`. */
export async function suspendCommand(
  system: CliSystem,
  workspace: string,
  { sandbox, reason, json }: StopOptions & { readonly reason?: string },
): Promise<void> {
  const wanted = { workspaceId: workspace, sandboxId: sandbox ?? null, reason: reason ?? null };
  const suspension = await adminClient(system).suspend(wanted);
  system.stdout(json ? `${JSON.stringify(suspensionJson(suspension))}\n` : `suspended ${nameOf(suspension)}\n`);
}

/** `llmproxy resume`. */
export async function resumeCommand(system: CliSystem, workspace: string, { sandbox, json }: StopOptions): Promise<void> {
  const scope = { workspaceId: workspace, sandboxId: sandbox ?? null };
  const ended = await adminClient(system).resume(scope);
  if (ended === null) throw new CommandFailure(`Cannot resume ${nameOf(scope)}: it is not suspended`);
  system.stdout(json ? `${JSON.stringify(suspensionJson(ended))}\n` : `resumed ${nameOf(ended)}\n`);
}

function nameOf({ workspaceId, sandboxId }: SuspensionScope): string {
  return sandboxId === null ? `workspace ${workspaceId}` : `sandbox ${sandboxId} of workspace ${workspaceId}`;
}
