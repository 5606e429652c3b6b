import type { Command } from "commander";
import { z } from "zod";
import { TRACE_ORDERS } from "../domain/query.ts";
import { wholeText } from "../http/dashboard/figures.tsx";
import { adminClient } from "./admin_client.ts";
import { JSON_OUTPUT, refuseEmptySpan } from "./arguments.ts";
import { addCallFilters, type CallOptions, queryOf } from "./call_filters.ts";
import { exactJson } from "./exact_json.ts";
import { count, dollars, notesOf, timeCell, usd } from "./figures.ts";
import { pagesOf } from "./pages.ts";
import type { CliSystem } from "./system.ts";
import { tableOf } from "./table.ts";

const traceShape = z.looseObject({
  id: z.string(),
  workspaceId: z.string(),
  sandboxId: z.string(),
  source: z.string(),
  updatedAt: z.string(),
  totalInputTokens: count,
  totalOutputTokens: count,
  requestCount: count,
  costUsd: usd,
  estimatedCount: count,
  unknownCount: count,
  unpricedCount: count,
  partlyPricedCount: count,
  retryCount: count,
});
const tracesShape = z.looseObject({ traces: z.array(traceShape), total: z.int(), nextCursor: z.string().optional() });

const HEADINGS = ["LAST ACTIVITY", "WORKSPACE", "SANDBOX", "TRACE", "FROM", "CALLS", "INPUT", "OUTPUT", "COST", "OF THEM"];
const NUMBERS = ["CALLS", "INPUT", "OUTPUT", "COST"];

export function addTracesCommand(program: Command, system: CliSystem): void {
  const command = program.command("traces").description("list sessions with what they used, newest activity first");
  addCallFilters(command, system, { what: "sessions", orders: TRACE_ORDERS })
    .option(...JSON_OUTPUT)
    .action(async (options: CallOptions, command: Command) => {
      refuseEmptySpan(command, options, system.now());
      await tracesCommand(system, options);
    });
}

async function tracesCommand(system: CliSystem, options: CallOptions): Promise<void> {
  const pages = await Array.fromAsync(
    pagesOf(adminClient(system), { path: "/internal/traces", query: queryOf(options), limit: options.limit, shape: tracesShape }),
  );
  const last = pages.at(-1)!;
  const traces = pages.flatMap((page) => page.traces);
  if (options.json) return system.stdout(`${exactJson({ ...last, traces })}\n`);
  const rows = traces.map((trace) => [
    ...[timeCell(trace.updatedAt), trace.workspaceId, trace.sandboxId, trace.id, trace.source, wholeText(trace.requestCount)],
    ...[wholeText(trace.totalInputTokens), wholeText(trace.totalOutputTokens), dollars(trace.costUsd), notesOf(trace)],
  ]);
  system.stdout(tableOf([HEADINGS, ...rows], { numbers: NUMBERS, screen: system.screen() }));
  if (traces.length < last.total) {
    system.stderr(`${wholeText(traces.length)} of ${wholeText(last.total)} sessions; --limit all prints them.\n`);
  }
}
