import type { AgentKind, AgentNode } from "../../../domain/agents.ts";
import { costUsd } from "../../../domain/money.ts";
import { type Column, DataTable, slicedRows, sortedRows, tableOrderOf } from "../data_table.tsx";
import { Count, Dollars, durationText, Share, shareText, Time } from "../figures.tsx";
import { linkTo } from "../links.ts";
import { clipped } from "./call_text.tsx";
import { CostWithNotes, Failures } from "./trace_columns.tsx";

/** One agent of the tree, in the order in which the tree is read. */
export interface AgentRow {
  readonly node: AgentNode;
  readonly depth: number;
  /** With all agents below it, in nano-dollars. */
  readonly wholeCost: bigint;
}

export const AGENTS = "agents";
const ROWS = 25;
/** Deeper agents are drawn at this depth. */
const DEEPEST = 8;

const KIND_NAMES: Readonly<Record<AgentKind, string>> = {
  main: "main",
  subagent: "sub-agent",
  workflow: "workflow",
  compaction: "compaction",
  auxiliary: "auxiliary calls",
  side_reply: "side replies",
  other: "other calls",
};

interface AgentTableParts {
  readonly url: URL;
  readonly tree: AgentNode;
  readonly zone: string;
}

/** The agents as a tree, each with what it used itself and with all below it. */
export function AgentTable({ url, tree, zone }: AgentTableParts) {
  const { rows, columns, order } = agentsAsked(url, tree, zone);
  const page = slicedRows(url, rows, { name: AGENTS, size: ROWS });
  return (
    <DataTable
      caption="Agents"
      url={url}
      columns={columns}
      rows={page.rows}
      order={order}
      name={AGENTS}
      next={page.next}
      empty="This trace has no ended calls yet."
    />
  );
}

/** A file has what the cost lacks and rests on in columns of its own. */
export const AGENT_CSV: readonly Column<AgentRow>[] = [
  { key: "estimated_calls", title: "", value: ({ node }) => node.totals.estimatedCount },
  { key: "unknown_calls", title: "", value: ({ node }) => node.totals.unknownCount },
  { key: "unpriced_calls", title: "", value: ({ node }) => node.totals.unpricedCount },
  { key: "partly_priced_calls", title: "", value: ({ node }) => node.totals.partlyPricedCount },
  { key: "retries", title: "", value: ({ node }) => node.totals.retryCount },
  { key: "repeated_cost", title: "", value: ({ node }) => costUsd(node.totals.retriedCost) },
];

/** All rows in the order that the address asks for: agents of the same parent are sorted. */
export function agentsAsked(url: URL, tree: AgentNode, zone: string) {
  const root = rowOf(tree, 0);
  const columns = columnsIn(zone, { url, whole: root.wholeCost });
  const order = tableOrderOf(url, columns, { byDefault: { key: "began", isAscending: true }, name: AGENTS });
  return { columns, order, rows: rowsFrom(root, (siblings) => sortedRows(siblings, columns, order)) };
}

function rowsFrom(row: AgentRow, sorted: (siblings: readonly AgentRow[]) => readonly AgentRow[]): readonly AgentRow[] {
  const below = row.node.children.map((child) => rowOf(child, row.depth + 1));
  return [row, ...sorted(below).flatMap((child) => rowsFrom(child, sorted))];
}

function rowOf(node: AgentNode, depth: number): AgentRow {
  return { node, depth, wholeCost: costBelow(node) };
}

function costBelow({ totals, children }: AgentNode): bigint {
  return children.reduce((sum, child) => sum + costBelow(child), totals.cost);
}

function columnsIn(zone: string, { url, whole }: { readonly url: URL; readonly whole: bigint }): readonly Column<AgentRow>[] {
  return [
    {
      key: "agent",
      title: "Agent",
      isUnsorted: true,
      value: ({ node }) => [KIND_NAMES[node.kind], node.agentType, node.agentId].filter((part) => part !== "").join(" "),
      cell: (row) => <AgentName row={row} url={url} />,
    },
    {
      key: "cost",
      title: "Own cost",
      isNumber: true,
      value: ({ node }) => costUsd(node.totals.cost),
      sortBy: ({ node }) => node.totals.cost,
      cell: ({ node }) => <CostWithNotes cost={node.totals.cost} of={node.totals} />,
    },
    {
      key: "whole",
      title: "With those below",
      isNumber: true,
      value: ({ wholeCost }) => costUsd(wholeCost),
      sortBy: ({ wholeCost }) => wholeCost,
      cell: ({ wholeCost }) => <Dollars nano={wholeCost} />,
    },
    {
      key: "share",
      title: "Share of the trace",
      isUnsorted: true,
      value: ({ wholeCost }) => shareText(wholeCost, whole),
      cell: ({ wholeCost }) => <ShareBar part={wholeCost} whole={whole} />,
    },
    {
      key: "calls",
      title: "Calls",
      isNumber: true,
      value: ({ node }) => node.totals.requestCount,
      cell: ({ node }) => <Count value={node.totals.requestCount} />,
    },
    {
      key: "failed",
      title: "Failed",
      isNumber: true,
      value: ({ node }) => node.totals.failedCount,
      cell: ({ node }) => <Failures count={node.totals.failedCount} />,
    },
    {
      key: "output",
      title: "Output",
      isNumber: true,
      value: ({ node }) => node.totals.outputTokens,
      cell: ({ node }) => <Count value={node.totals.outputTokens} isShort />,
    },
    {
      key: "cached",
      title: "Cache hits",
      isNumber: true,
      isUnsorted: true,
      value: ({ node }) => node.totals.cacheReadInputTokens,
      cell: ({ node }) => <Share part={node.totals.cacheReadInputTokens} whole={inputOf(node)} />,
    },
    {
      key: "began",
      title: "Began",
      value: ({ node }) => node.firstAt === null ? null : new Date(node.firstAt).toISOString(),
      cell: ({ node }) => node.firstAt === null ? "–" : <Time at={node.firstAt} zone={zone} />,
    },
    {
      key: "span_ms",
      title: "Span",
      isNumber: true,
      value: ({ node }) => node.firstAt === null ? null : node.lastAt! - node.firstAt,
      cell: ({ node }) => node.firstAt === null ? "–" : durationText(node.lastAt! - node.firstAt),
    },
  ];
}

/** An agent leads to its calls. What has no id, apart from main, is shown with its agent's. */
function AgentName({ row: { node, depth }, url }: { readonly row: AgentRow; readonly url: URL }) {
  const hasCalls = node.kind === "main" || node.agentId !== "";
  const calls = linkTo(url, { agent: node.agentId, calls_cursor: null });
  return (
    <span class={`branch depth-${Math.min(depth, DEEPEST)}`}>
      {KIND_NAMES[node.kind]} {node.agentType === "" ? null : <strong>{clipped(node.agentType)}</strong>}{" "}
      {hasCalls
        ? <a class="id" href={`${calls}#waterfall`}>{node.agentId === "" ? "its calls" : clipped(node.agentId)}</a>
        : null}
    </span>
  );
}

function ShareBar({ part, whole }: { readonly part: bigint; readonly whole: bigint }) {
  const width = whole === 0n ? 0 : Number(part) / Number(whole) * 100;
  return (
    <span class="share">
      <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
        <rect class="bar behind" width="100" height="10" />
        <rect class="bar" width={width.toFixed(1)} height="10" />
      </svg>{" "}
      {shareText(part, whole)}
    </span>
  );
}

function inputOf({ totals }: AgentNode): bigint {
  return totals.inputTokens + totals.cacheCreationInputTokens + totals.cacheReadInputTokens;
}
