import type { Command } from "commander";
import { z } from "zod";
import { delay } from "../async/deadline.ts";
import { durationText, wholeText } from "../http/dashboard/figures.tsx";
import { type AdminClient, adminClient } from "./admin_client.ts";
import { JSON_OUTPUT, readId, readName } from "./arguments.ts";
import { callShape, outcomeCell, type ShownCall } from "./call_cells.ts";
import { exactJson } from "./exact_json.ts";
import { EXIT } from "./exit_codes.ts";
import { about, costCell, timeCell } from "./figures.ts";
import { type CliSystem, CommandFailure, isoOf } from "./system.ts";
import { growingTable, type Screen, styled } from "./table.ts";

interface TailOptions {
  readonly workspace?: string;
  readonly sandbox?: string;
  readonly trace?: string;
  readonly json?: true;
}

const endedShape = z.looseObject({ calls: z.array(callShape), next: z.string() });
type Ended = z.output<typeof endedShape>;

/** How long the proxy waits for a call before it answers with none. */
const WAIT_SECONDS = "20";
const AT_ONCE = "1000";
const TIMEOUT_MS = 60_000;
/** Between questions to a proxy that does not answer, or that had nothing to tell. */
const RETRY_MS = 1_000;

const HEADINGS = [
  "ENDED",
  "WORKSPACE",
  "SANDBOX",
  "TRACE",
  "MODEL",
  "UPSTREAM",
  "OUTCOME",
  "TOOK",
  "INPUT",
  "CACHE READ",
  "OUTPUT",
  "COST",
];
const NUMBERS = ["TOOK", "INPUT", "CACHE READ", "OUTPUT", "COST"];

export function addTailCommand(program: Command, system: CliSystem): void {
  program.command("tail").description("show calls as they end, until Ctrl-C; it goes on when a proxy that was stopped is back")
    .option("--workspace <id>", "only calls of this workspace", readId)
    .option("--sandbox <id>", "only calls of this sandbox", readId)
    .option("--trace <id>", "only calls of this session", readName)
    .option(JSON_OUTPUT[0], "print each call as one line of JSON")
    .action((options) => tailCommand(system, options));
}

async function tailCommand(system: CliSystem, options: TailOptions): Promise<void> {
  const signal = system.interrupted();
  let show: ((call: ShownCall) => void) | null = null;
  for await (const { calls } of endedCalls(system, options, signal)) {
    // The headings say that the proxy has answered.
    show ??= options.json ? jsonLines(system) : tableLines(system);
    calls.forEach(show);
  }
}

/** Answer after answer, until the signal aborts. Rejects if the first question gets no answer. */
async function* endedCalls(system: CliSystem, options: TailOptions, signal: AbortSignal): AsyncGenerator<Ended, void> {
  const client = adminClient(system);
  const { workspace, sandbox, trace } = options;
  const filters = Object.entries({ workspace_id: workspace, sandbox_id: sandbox, trace_id: trace });
  const query = new URLSearchParams(filters.filter((filter): filter is [string, string] => filter[1] !== undefined));
  const first = await asked(client, query, signal);
  if (first === null) return;
  yield first;
  query.set("limit", AT_ONCE);
  query.set("wait", WAIT_SECONDS);
  query.set("after", first.next);
  let isAway = false;
  while (!signal.aborted) {
    try {
      const answer = await asked(client, query, signal);
      if (answer === null) return;
      if (isAway) system.stderr("The proxy answers again.\n");
      isAway = false;
      query.set("after", answer.next);
      yield answer;
      // A proxy that is shutting down answers at once.
      if (answer.calls.length === 0) await delay(RETRY_MS, signal);
    } catch (error) {
      if (!(error instanceof CommandFailure) || error.exitCode !== EXIT.unavailable) throw error;
      if (!isAway) system.stderr(`${error.message}. Waiting for it; no call is passed by.\n`);
      isAway = true;
      await delay(RETRY_MS, signal);
    }
  }
}

/** Null if the signal has aborted. */
async function asked(client: AdminClient, query: URLSearchParams, signal: AbortSignal): Promise<Ended | null> {
  try {
    return await client.question(`/internal/calls?${query}`, endedShape, { timeoutMs: TIMEOUT_MS, signal });
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  }
}

function jsonLines({ stdout }: CliSystem): (call: ShownCall) => void {
  return (call) => stdout(`${exactJson(call)}\n`);
}

function tableLines(system: CliSystem): (call: ShownCall) => void {
  const lineOf = growingTable(HEADINGS, NUMBERS);
  const screen = system.screen();
  system.stdout(`${styled(lineOf(HEADINGS), "bold", screen)}\n`);
  return (call) => system.stdout(`${coloured(lineOf(cellsOf(call)), call, screen)}\n`);
}

function coloured(line: string, { outcome }: ShownCall, screen: Screen | null): string {
  return outcome === "completed" ? line : styled(line, "red", screen);
}

function cellsOf(call: ShownCall): string[] {
  const {
    workspaceId,
    sandboxId,
    traceId,
    model,
    upstream,
    duration,
    inputTokens,
    cacheReadInputTokens,
    outputTokens,
    accuracy,
  } = call;
  return [
    timeCell(isoOf(Date.parse(call.createdAt) + duration)),
    ...[workspaceId, sandboxId, traceId ?? "-", model, upstream ?? "-", outcomeCell(call), durationText(duration)],
    ...[wholeText(inputTokens), wholeText(cacheReadInputTokens), about(wholeText(outputTokens), accuracy)],
    costCell(call.costUsd, accuracy),
  ];
}
