import type { Command } from "commander";
import { costUsd } from "../domain/money.ts";
import type { RunningCall } from "../domain/running_call.ts";
import { runningCallJson } from "../http/admin_json.ts";
import { durationText, wholeText } from "../http/dashboard/figures.tsx";
import { adminClient } from "./admin_client.ts";
import { JSON_OUTPUT, readId, readName } from "./arguments.ts";
import { about, dollars } from "./figures.ts";
import { type CliSystem, CommandFailure } from "./system.ts";
import { tableOf, type TableOptions, visible } from "./table.ts";

interface RequestsOptions {
  readonly workspace?: string;
  readonly sandbox?: string;
  readonly trace?: string;
  readonly json?: true;
}

/** The commands about calls in flight on one machine. */
export function addRequestsCommands(program: Command, system: CliSystem): void {
  const requests = program.command("requests").description("list the calls in flight on the proxy's machine, oldest first")
    .option("--workspace <id>", "only calls of this workspace", readId)
    .option("--sandbox <id>", "only calls of this sandbox", readId)
    .option("--trace <id>", "only calls of this session", readName)
    .option(...JSON_OUTPUT)
    .action((options) => requestsCommand(system, options));
  requests.command("cut").description("cut one call in flight; its client's connection breaks")
    .argument("<id>", "the call's id, as requests shows it", readId)
    .action((id, _, command: Command) => cutCommand(system, id, command.optsWithGlobals()));
}

async function requestsCommand(system: CliSystem, { workspace, sandbox, trace, json }: RequestsOptions): Promise<void> {
  const calls = await adminClient(system).running({ workspace_id: workspace, sandbox_id: sandbox, trace_id: trace });
  if (json) return system.stdout(`${JSON.stringify({ requests: calls.map(runningCallJson) })}\n`);
  system.stdout(runningTable(calls, { screen: system.screen() }));
}

async function cutCommand(system: CliSystem, id: string, { json }: Pick<RequestsOptions, "json">): Promise<void> {
  const cut = await adminClient(system).cut(id);
  if (cut === null) {
    throw new CommandFailure(
      `Cannot cut ${JSON.stringify(id)}: no call of that id is in flight on the proxy's machine. It may have ended, or run on ` +
        "another replica",
    );
  }
  if (json) return system.stdout(`${JSON.stringify(runningCallJson(cut))}\n`);
  system.stdout(visible(`cut ${cut.id} of sandbox ${cut.sandboxId} in workspace ${cut.workspaceId}`) + "\n");
}

const HEADINGS = [
  "ID",
  "WORKSPACE",
  "SANDBOX",
  "TRACE",
  "MODEL",
  "UPSTREAM",
  "CLIENT",
  "AGE",
  "INPUT",
  "OUTPUT",
  "COST",
] as const;
const NUMBERS = ["AGE", "INPUT", "OUTPUT", "COST"];

export function runningTable(calls: readonly RunningCall[], options: Pick<TableOptions, "screen" | "fits">): string {
  return tableOf([HEADINGS, ...calls.map(cellsOf)], { ...options, numbers: NUMBERS });
}

/** Unknown is `-`; a count that may be too low or too high has a `~`. */
function cellsOf(call: RunningCall): readonly string[] {
  const { id, workspaceId, sandboxId, traceId, model, upstream, client, ageMs, accuracy, inputTokens, outputTokens, cost } = call;
  return [
    ...[id, workspaceId, sandboxId, traceId ?? "-", model ?? "-", upstream, client ?? "-", durationText(ageMs)],
    inputTokens === null ? "-" : wholeText(inputTokens),
    outputTokens === null ? "-" : about(wholeText(outputTokens), accuracy),
    cost === null ? "-" : about(dollars(costUsd(cost)), accuracy),
  ];
}
