import { costUsd } from "../../../domain/money.ts";
import type { TraceWithStats } from "../../../domain/trace.ts";
import type { Column } from "../data_table.tsx";
import { Count, Dollars, Share, Time, wholeText } from "../figures.tsx";
import { linkTo } from "../links.ts";
import { traceLink } from "./trace_link.ts";

/** The columns of the list. It is sorted by what an index of the traces is in the order of. */
export function traceColumns(zone: string, url: URL): readonly Column<TraceWithStats>[] {
  return [
    {
      key: "trace",
      title: "Trace",
      isUnsorted: true,
      value: ({ id }) => id,
      cell: (trace) => <a class="id" href={traceLink(trace)}>{trace.id}</a>,
    },
    {
      key: "activity",
      title: "Last activity",
      value: ({ updatedAt }) => new Date(updatedAt).toISOString(),
      cell: ({ updatedAt }) => <Time at={updatedAt} zone={zone} />,
    },
    {
      key: "cost",
      title: "Cost",
      isNumber: true,
      value: ({ cost }) => costUsd(cost),
      cell: (trace) => <CostWithNotes cost={trace.cost} of={trace} />,
    },
    {
      key: "calls",
      title: "Calls",
      isNumber: true,
      isUnsorted: true,
      value: ({ requestCount }) => requestCount,
      cell: ({ requestCount }) => <Count value={requestCount} />,
    },
    {
      key: "failed",
      title: "Failed",
      isNumber: true,
      isUnsorted: true,
      value: ({ failedCount }) => failedCount,
      cell: ({ failedCount }) => <Failures count={failedCount} />,
    },
    {
      key: "workspace",
      title: "Workspace",
      isUnsorted: true,
      value: ({ workspaceId }) => workspaceId,
      cell: ({ workspaceId }) => <a href={linkTo(url, { workspace_id: workspaceId, cursor: null })}>{workspaceId}</a>,
    },
    {
      key: "sandbox",
      title: "Sandbox",
      isUnsorted: true,
      value: ({ sandboxId }) => sandboxId,
      cell: ({ sandboxId }) => <a href={linkTo(url, { sandbox_id: sandboxId, cursor: null })}>{sandboxId}</a>,
    },
    {
      key: "tokens",
      title: "Tokens",
      isNumber: true,
      isUnsorted: true,
      value: tokensOf,
      cell: (trace) => (
        <span title={tokenParts(trace)}>
          <Count value={tokensOf(trace)} isShort />
        </span>
      ),
    },
    {
      key: "cached",
      title: "Cache hits",
      isNumber: true,
      isUnsorted: true,
      value: ({ totalCacheReadInputTokens }) => totalCacheReadInputTokens,
      cell: (trace) => <Share part={trace.totalCacheReadInputTokens} whole={tokensOf(trace) - trace.totalOutputTokens} />,
    },
    {
      key: "created",
      title: "Began",
      value: ({ createdAt }) => new Date(createdAt).toISOString(),
      cell: ({ createdAt }) => <Time at={createdAt} zone={zone} />,
    },
    { key: "source", title: "Found by", isUnsorted: true, value: ({ source }) => source },
  ];
}

const PLAIN = new Set(["trace", "workspace", "sandbox", "source", "activity", "created", "calls", "failed", "cost"]);

/** A file has each number in a column of its own. */
export const CSV_COLUMNS: readonly Column<TraceWithStats>[] = [
  ...traceColumns("UTC", new URL("http://localhost/dashboard/traces")).filter(({ key }) => PLAIN.has(key)),
  { key: "input_tokens", title: "", value: ({ totalInputTokens }) => totalInputTokens },
  { key: "cache_write_tokens", title: "", value: ({ totalCacheCreationInputTokens }) => totalCacheCreationInputTokens },
  { key: "cache_read_tokens", title: "", value: ({ totalCacheReadInputTokens }) => totalCacheReadInputTokens },
  { key: "output_tokens", title: "", value: ({ totalOutputTokens }) => totalOutputTokens },
  { key: "estimated_calls", title: "", value: ({ estimatedCount }) => estimatedCount },
  { key: "unknown_calls", title: "", value: ({ unknownCount }) => unknownCount },
  { key: "unpriced_calls", title: "", value: ({ unpricedCount }) => unpricedCount },
  { key: "partly_priced_calls", title: "", value: ({ partlyPricedCount }) => partlyPricedCount },
  { key: "retries", title: "", value: ({ retryCount }) => retryCount },
  { key: "repeated_cost", title: "", value: ({ retriedCost }) => costUsd(retriedCost) },
];

export function Failures({ count }: { readonly count: number }) {
  return count === 0 ? <>0</> : <span class="bad">{wholeText(count)}</span>;
}

export function CostWithNotes({ cost, of }: { readonly cost: bigint; readonly of: Noted }) {
  return (
    <>
      <Dollars nano={cost} />
      <Notes of={of} />
    </>
  );
}

/** What the cost lacks or rests on, and what was repeated. */
export function Notes({ of }: { readonly of: Noted }) {
  const notes = notesText(of);
  return notes === "" ? null : <span class="warn notes">{notes}</span>;
}

type Noted = Pick<TraceWithStats, "retryCount" | "unpricedCount" | "partlyPricedCount" | "estimatedCount" | "unknownCount">;

function notesText({ retryCount, unpricedCount, partlyPricedCount, estimatedCount, unknownCount }: Noted): string {
  const counts = [
    [retryCount, retryCount === 1 ? "retry" : "retries"],
    [unpricedCount, "unpriced"],
    [partlyPricedCount, "partly priced"],
    [estimatedCount, "estimated"],
    [unknownCount, "unknown"],
  ] as const;
  return counts.filter(([count]) => count > 0).map(([count, name]) => `${wholeText(count)} ${name}`).join(", ");
}

function tokensOf(trace: TraceWithStats): bigint {
  const { totalInputTokens, totalCacheCreationInputTokens, totalCacheReadInputTokens, totalOutputTokens } = trace;
  return totalInputTokens + totalCacheCreationInputTokens + totalCacheReadInputTokens + totalOutputTokens;
}

function tokenParts(trace: TraceWithStats): string {
  return [
    `${wholeText(trace.totalInputTokens)} uncached input`,
    `${wholeText(trace.totalCacheCreationInputTokens)} cache writes`,
    `${wholeText(trace.totalCacheReadInputTokens)} cache reads`,
    `${wholeText(trace.totalOutputTokens)} output`,
  ].join(", ");
}
