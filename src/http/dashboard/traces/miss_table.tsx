import { costUsd } from "../../../domain/money.ts";
import type { Trace } from "../../../domain/trace.ts";
import type { CacheMiss } from "../../trace_cache.ts";
import { type Column, DataTable, slicedRows, sortedRows, tableOrderOf } from "../data_table.tsx";
import { Count, Dollars, durationText, Time } from "../figures.tsx";
import { clipped } from "./call_text.tsx";
import { linkToCall } from "./calls_table.tsx";

export const MISSES = "misses";
const ROWS = 10;

interface MissTableParts {
  readonly url: URL;
  readonly trace: Pick<Trace, "workspaceId" | "id">;
  readonly misses: readonly CacheMiss[];
  readonly zone: string;
}

/** Where the cache broke: the calls that wrote again what it had held, the most expensive first. */
export function MissTable({ url, trace, misses, zone }: MissTableParts) {
  const { columns, order, rows } = missesAsked({ url, trace, misses, zone });
  const page = slicedRows(url, rows, { name: MISSES, size: ROWS });
  return (
    <DataTable
      caption="Where the cache broke"
      url={url}
      columns={columns}
      rows={page.rows}
      order={order}
      name={MISSES}
      next={page.next}
      empty="No call wrote again what the cache had held."
    />
  );
}

export function missesAsked({ url, trace, misses, zone }: MissTableParts) {
  const columns: readonly Column<CacheMiss>[] = [
    {
      key: "time",
      title: "Call",
      value: ({ createdAt }) => new Date(createdAt).toISOString(),
      cell: (miss) => (
        <a href={linkToCall(url, trace, miss)}>
          <Time at={miss.createdAt} zone={zone} />
        </a>
      ),
    },
    { key: "agent", title: "Agent", isUnsorted: true, value: ({ agentId }) => clipped(agentId ?? "main") },
    {
      key: "model",
      title: "Model",
      isUnsorted: true,
      value: ({ servedModel }) => servedModel === null ? null : clipped(servedModel),
    },
    {
      key: "since_ms",
      title: "After the call before",
      isNumber: true,
      value: ({ sinceMs }) => sinceMs,
      cell: ({ sinceMs }) => durationText(sinceMs),
    },
    {
      key: "tokens",
      title: "Tokens written again",
      isNumber: true,
      value: ({ missedTokens }) => missedTokens,
      cell: ({ missedTokens }) => <Count value={missedTokens} />,
    },
    {
      key: "cost",
      title: "Above a read",
      isNumber: true,
      value: ({ missCost }) => missCost === null ? null : costUsd(missCost),
      sortBy: ({ missCost }) => missCost,
      cell: ({ missCost }) => <Dollars nano={missCost} />,
    },
  ];
  const order = tableOrderOf(url, columns, { byDefault: { key: "cost", isAscending: false }, name: MISSES });
  return { columns, order, rows: sortedRows(misses, columns, order) };
}
