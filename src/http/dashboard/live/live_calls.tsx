import type { RunningCall } from "../../../domain/running_call.ts";
import { costUsd } from "../../../domain/money.ts";
import type { Column } from "../data_table.tsx";
import { dollarsText, durationText, wholeText } from "../figures.tsx";
import { placePath } from "../places/place.ts";
import { traceLink } from "../traces/trace_link.ts";

/** Cells that change while a call runs, as text. */
const LIVE = {
  model: ({ model, route }: RunningCall) => model ?? route,
  state: ({ status }: RunningCall) => status === null ? "waiting" : String(status),
  prompt: (call: RunningCall) => countText(call, promptOf(call)),
  output: (call: RunningCall) => countText(call, call.outputTokens),
  cost: costText,
} as const;

type LiveKey = keyof typeof LIVE;
export type LiveCells = Readonly<Record<LiveKey, string>>;

export function liveCellsOf(call: RunningCall): LiveCells {
  return Object.fromEntries(Object.entries(LIVE).map(([key, textOf]) => [key, textOf(call)])) as LiveCells;
}

/** What a row says besides its cells; the script counts its age up. */
export function rowDataOf({ id, ageMs }: RunningCall) {
  return { "data-call": id, "data-age": ageMs };
}

/** On the page. */
export function shownColumns(mayCut: boolean): readonly Column<RunningCall>[] {
  return [
    {
      key: "age",
      title: "Age",
      isNumber: true,
      isLive: true,
      value: ({ ageMs }) => ageMs,
      cell: ({ ageMs }) => ageText(ageMs),
    },
    {
      key: "sandbox",
      title: "Sandbox",
      value: ({ sandboxId }) => sandboxId,
      cell: (call) => <a href={placePath(call)} title={titleOf(call.sandboxId)}>{call.sandboxId}</a>,
    },
    live({ key: "cost", title: "Cost", isNumber: true, value: ({ cost }) => cost }),
    live({ key: "output", title: "Output", isNumber: true, value: ({ outputTokens }) => outputTokens }),
    live({ key: "prompt", title: "Prompt", isNumber: true, value: promptOf }),
    live({ key: "model", title: "Model", value: ({ model, route }) => model ?? route }),
    { key: "upstream", title: "Upstream", value: ({ upstream }) => upstream, cell: ({ upstream }) => upstream },
    live({ key: "state", title: "Status", value: ({ status }) => status }),
    {
      key: "workspace",
      title: "Workspace",
      value: ({ workspaceId }) => workspaceId,
      cell: ({ workspaceId }) => (
        <a href={placePath({ workspaceId, sandboxId: null })} title={titleOf(workspaceId)}>{workspaceId}</a>
      ),
    },
    {
      key: "trace",
      title: "Trace",
      value: ({ traceId }) => traceId,
      cell: ({ traceId: id, workspaceId }) =>
        id === null ? "–" : <a href={traceLink({ workspaceId, id })} title={titleOf(id)}>{id}</a>,
    },
    ...(mayCut ? [CUT] : []),
  ];
}

/** In the file: exact, and all that is known. */
export const CSV_COLUMNS: readonly Column<RunningCall>[] = [
  column("id", ({ id }) => id),
  column("created_at", ({ createdAt }) => new Date(createdAt).toISOString()),
  column("age_ms", ({ ageMs }) => ageMs),
  column("workspace", ({ workspaceId }) => workspaceId),
  column("sandbox", ({ sandboxId }) => sandboxId),
  column("trace", ({ traceId }) => traceId),
  column("route", ({ route }) => route),
  column("model", ({ model }) => model),
  column("client", ({ client }) => client),
  column("status", ({ status }) => status),
  column("accuracy", ({ accuracy }) => accuracy),
  column("input_tokens", ({ inputTokens }) => inputTokens),
  column("output_tokens", ({ outputTokens }) => outputTokens),
  column("cache_creation_input_tokens", ({ cacheCreationInputTokens }) => cacheCreationInputTokens),
  column("cache_read_input_tokens", ({ cacheReadInputTokens }) => cacheReadInputTokens),
  column("cost_usd", ({ cost }) => cost === null ? null : costUsd(cost)),
  column("worker", ({ worker }) => worker),
  column("provider", ({ provider }) => provider),
  column("upstream", ({ upstream }) => upstream),
];

/** `12 calls in flight · 34,567 tokens · $0.89 so far`. */
export function sumText(calls: readonly RunningCall[]): string {
  if (calls.length === 0) return "No call is in flight";
  let [tokens, cost] = [0, 0];
  for (const call of calls) {
    tokens += (promptOf(call) ?? 0) + (call.outputTokens ?? 0);
    cost += call.cost ?? 0;
  }
  const number = calls.length === 1 ? "1 call" : `${wholeText(calls.length)} calls`;
  return `${number} in flight · ${wholeText(tokens)} tokens · ${dollarsText(cost)} so far`;
}

/** Whole seconds: `950 ms` would be wrong at once. */
export function ageText(ms: number): string {
  return ms < 60_000 ? `${Math.floor(ms / 1_000)} s` : durationText(ms);
}

/** Input, whether it was cached or not. */
function promptOf({ inputTokens, cacheCreationInputTokens, cacheReadInputTokens }: RunningCall): number | null {
  return inputTokens === null ? null : inputTokens + (cacheCreationInputTokens ?? 0) + (cacheReadInputTokens ?? 0);
}

/** Shorter names fit their cells. */
const LONG_NAME = 18;

function titleOf(name: string): string | undefined {
  return name.length > LONG_NAME ? name : undefined;
}

function countText({ accuracy }: RunningCall, count: number | null): string {
  return count === null ? "–" : `${markOf(accuracy)}${wholeText(count)}`;
}

function costText({ accuracy, cost }: RunningCall): string {
  if (cost !== null) return `${markOf(accuracy)}${dollarsText(cost)}`;
  return accuracy === "unknown" ? "–" : "unpriced";
}

function markOf(accuracy: RunningCall["accuracy"]): string {
  return accuracy === "estimated" ? "≈ " : "";
}

function live(parts: Column<RunningCall> & { readonly key: LiveKey }): Column<RunningCall> {
  const textOf = LIVE[parts.key];
  return { ...parts, isLive: true, cell: (call) => textOf(call) };
}

/** The script asks on the spot; without it, the link's page asks. */
const CUT: Column<RunningCall> = {
  key: "cut",
  title: "Stop",
  isUnsorted: true,
  value: () => null,
  cell: ({ id, sandboxId }) => (
    <a class="cut" href={`live/cut?id=${encodeURIComponent(id)}`} aria-label={`Cut ${sandboxId}`}>Cut…</a>
  ),
};

function column(key: string, value: Column<RunningCall>["value"]): Column<RunningCall> {
  return { key, title: key, value };
}
