import { type Command, InvalidArgumentError } from "commander";
import { z } from "zod";
import { delay } from "../async/deadline.ts";
import { periodStart } from "../domain/calendar.ts";
import { costUsd } from "../domain/money.ts";
import type { RunningCall } from "../domain/running_call.ts";
import { runningCallJson } from "../http/admin_json.ts";
import { wholeText } from "../http/dashboard/figures.tsx";
import { type AdminClient, adminClient } from "./admin_client.ts";
import { JSON_OUTPUT, readId } from "./arguments.ts";
import { exactJson } from "./exact_json.ts";
import { dollars, notesOf, timeCell, totalsShape } from "./figures.ts";
import { runningTable } from "./requests.ts";
import { type CliSystem, CommandFailure, isoOf } from "./system.ts";
import { fitted, openCanvas, type Screen, tableOf } from "./table.ts";

interface TopOptions {
  readonly workspace?: string;
  readonly interval: number;
  readonly once?: true;
  readonly json?: true;
}

const usageShape = z.looseObject({
  usage: z.array(totalsShape.extend({ workspaceId: z.string().optional() })),
  totals: totalsShape,
  since: z.string().optional(),
});

/** What one frame shows. */
interface Moment {
  readonly at: number;
  readonly calls: readonly RunningCall[];
  /** Ended calls since midnight UTC, by workspace, the greatest cost first. */
  readonly today: z.output<typeof usageShape>;
}

const DEFAULT_SECONDS = 2;
const MAX_SECONDS = 3_600;
/** Workspaces that a frame on a screen shows at most, so that calls have room. */
const SHARE_OF_SCREEN = 1 / 3;

export function addTopCommand(program: Command, system: CliSystem): void {
  program.command("top").description(
    "watch the calls in flight on the proxy's machine, and what each workspace spent today (UTC)",
  )
    .option("--workspace <id>", "only of this workspace", readId)
    .option("--interval <seconds>", `between two looks, from 1 to ${MAX_SECONDS}`, readSeconds, DEFAULT_SECONDS)
    .option("--once", "print all of it once and end, as it does without a terminal")
    .option(JSON_OUTPUT[0], "print it once as JSON")
    .action((options) => topCommand(system, options));
}

async function topCommand(system: CliSystem, options: TopOptions): Promise<void> {
  const client = adminClient(system);
  const moment = await momentOf(client, options, system.now());
  if (options.json) return system.stdout(`${exactJson(jsonOf(moment))}\n`);
  if (options.once || system.screen() === null) return system.stdout(wholeOf(moment, system.screen()));
  await watch(system, { first: moment, look: () => momentOf(client, options, system.now()), interval: options.interval });
}

/** Redraws in place until `q`, Ctrl-C or the end of the terminal, and restores the terminal. */
async function watch(
  system: CliSystem,
  { first, look, interval }: Pick<TopOptions, "interval"> & { readonly first: Moment; readonly look: () => Promise<Moment> },
): Promise<void> {
  const left = new AbortController();
  const signal = AbortSignal.any([system.interrupted(), left.signal]);
  using canvas = openCanvas(system.stdout);
  using _keys = system.keyboard((key) => /q/i.test(key) && left.abort());
  let moment = first;
  let trouble: string | null = null;
  while (!signal.aborted) {
    const screen = system.screen();
    if (screen === null) return;
    canvas.draw(frameOf(moment, screen, trouble), screen);
    await delay(interval * 1_000, signal);
    if (signal.aborted) return;
    try {
      moment = await look();
      trouble = null;
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error;
      trouble = error.message;
    }
  }
}

async function momentOf(client: AdminClient, { workspace }: TopOptions, now: number): Promise<Moment> {
  const query = new URLSearchParams({
    group_by: "workspace",
    order: "cost",
    limit: "1000",
    since: isoOf(periodStart("day", now)),
    ...(workspace === undefined ? {} : { workspace_id: workspace }),
  });
  const [calls, today] = await Promise.all([
    client.running({ workspace_id: workspace }),
    client.question(`/internal/usage?${query}`, usageShape),
  ]);
  return { at: now, calls, today };
}

function jsonOf({ at, calls, today }: Moment) {
  return { at: isoOf(at), requests: calls.map(runningCallJson), ...today };
}

/** All of it, however long. */
function wholeOf(moment: Moment, screen: Screen | null): string {
  return `${headOf(moment)}\n\n${spentTable(moment, { screen })}\n${runningTable(moment.calls, { screen })}`;
}

function frameOf(moment: Moment, screen: Screen, trouble: string | null): string {
  const head = [headOf(moment), trouble ?? "q or Ctrl-C ends"].map((line) => fitted(line, screen.width));
  const most = Math.max(1, Math.floor(screen.height * SHARE_OF_SCREEN) - 2);
  const spent = spentTable(moment, { screen, most });
  const running = runningTable(moment.calls, { screen, fits: true });
  return [...head, "", spent, running.trimEnd()].join("\n");
}

function headOf({ at, calls, today: { totals } }: Moment): string {
  return `${timeCell(isoOf(at))}  ${wholeText(calls.length)} in flight  ${wholeText(totals.requestCount)} calls today, ` +
    `${dollars(totals.costUsd)}`;
}

const SPENT = ["WORKSPACE", "IN FLIGHT", "COST SO FAR", "CALLS TODAY", "COST TODAY", "OF THEM"];
const SPENT_NUMBERS = SPENT.slice(1, -1);

/** Workspaces that spent something today or have a call in flight. */
function spentTable(
  { calls, today }: Moment,
  { screen, most = Infinity }: { readonly screen: Screen | null; readonly most?: number },
): string {
  const running = Map.groupBy(calls, ({ workspaceId }) => workspaceId);
  const known = new Set(today.usage.map(({ workspaceId }) => workspaceId));
  const rows = today.usage.map(({ workspaceId = "-", ...totals }) => [
    ...[workspaceId, ...runningCells(running.get(workspaceId) ?? [])],
    ...[wholeText(totals.requestCount), dollars(totals.costUsd), notesOf(totals)],
  ]);
  const others = [...running].filter(([workspaceId]) => !known.has(workspaceId)).map(([workspaceId, own]) => {
    return [workspaceId, ...runningCells(own), "0", dollars("0.000000000"), ""];
  });
  const all = [...rows, ...others];
  const more = all.length > most ? [[`… ${all.length - most} more`, "", "", "", "", ""]] : [];
  return tableOf([SPENT, ...all.slice(0, most), ...more], { numbers: SPENT_NUMBERS, screen, fits: screen !== null });
}

function runningCells(calls: readonly RunningCall[]): readonly string[] {
  const cost = calls.reduce((sum, call) => sum + BigInt(call.cost ?? 0), 0n);
  return calls.length === 0 ? ["-", "-"] : [wholeText(calls.length), `~${dollars(costUsd(cost))}`];
}

function readSeconds(text: string): number {
  const seconds = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (seconds < 1 || seconds > MAX_SECONDS) {
    throw new InvalidArgumentError(`Expected a whole number of seconds from 1 to ${MAX_SECONDS}.`);
  }
  return seconds;
}
