import { costUsd } from "../domain/money.ts";
import { runningCallJson, suspensionJson } from "../http/admin_json.ts";
import type { RunningCall } from "../domain/running_call.ts";
import type { SuspensionScope } from "../domain/suspensions.ts";
import { adminClient } from "./admin_client.ts";
import { type CliSystem, CommandFailure } from "./system.ts";
import { tableOf } from "./table.ts";

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

/** `llmproxy requests`: the calls in flight, oldest first. */
export async function requestsCommand(
  system: CliSystem,
  { json, ...filters }: StopOptions & { readonly workspace?: string; readonly trace?: string },
): Promise<void> {
  const calls = await adminClient(system).running({
    workspace_id: filters.workspace,
    sandbox_id: filters.sandbox,
    trace_id: filters.trace,
  });
  if (json) return system.stdout(`${JSON.stringify({ requests: calls.map(runningCallJson) })}\n`);
  system.stdout(tableOf([HEADINGS, ...calls.map(cellsOf)]));
}

const HEADINGS = ["ID", "WORKSPACE", "SANDBOX", "TRACE", "MODEL", "CLIENT", "AGE", "IN", "OUT", "COST"] as const;

/** Unknown is `-`; a count that may be too low or too high has a `~`. */
function cellsOf(call: RunningCall): readonly string[] {
  const { id, workspaceId, sandboxId, traceId, model, client, ageMs, accuracy, inputTokens, outputTokens, cost } = call;
  const about = accuracy === "exact" ? "" : "~";
  return [
    ...[id, workspaceId, sandboxId, traceId ?? "-", model ?? "-", client ?? "-", `${Math.floor(ageMs / 1_000)}s`],
    inputTokens === null ? "-" : String(inputTokens),
    outputTokens === null ? "-" : `${about}${outputTokens}`,
    cost === null ? "-" : `${about}$${costUsd(cost)}`,
  ];
}

function nameOf({ workspaceId, sandboxId }: SuspensionScope): string {
  return sandboxId === null ? `workspace ${workspaceId}` : `sandbox ${sandboxId} of workspace ${workspaceId}`;
}
