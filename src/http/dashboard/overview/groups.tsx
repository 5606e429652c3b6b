import type { Grouping, UsageOrder, UsagePage, UsageQuery } from "../../../domain/query.ts";
import type { UsageSummary } from "../../../domain/usage.ts";
import type { InternalStore } from "../../admin_usage.ts";
import { type Column, csvResponse, type TableOrder, tableOrderOf } from "../data_table.tsx";
import { queryOf, type Selection, viewOf } from "./selection.tsx";
import { IN_FILES, ON_PAGES } from "./totals_columns.tsx";

/** What calls are listed by. */
export interface Grouped {
  /** In the URL. */
  readonly name: string;
  readonly title: string;
  readonly groupBy: readonly Grouping[];
  readonly keys: readonly Key[];
}

interface Key {
  readonly key: string;
  readonly title: string;
  readonly valueOf: (group: UsageSummary) => string;
  /** What a link narrows the calls to. */
  readonly narrow: (group: UsageSummary) => Readonly<Record<string, string>>;
}

const MODEL: Key = {
  key: "model",
  title: "Model",
  valueOf: ({ model = "" }) => model,
  narrow: ({ model = "" }) => ({ model }),
};
const UPSTREAM: Key = {
  key: "upstream",
  title: "Upstream",
  valueOf: ({ upstream = "" }) => upstream,
  narrow: ({ upstream = "" }) => ({ upstream }),
};
const WORKSPACE: Key = {
  key: "workspace_id",
  title: "Workspace",
  valueOf: ({ workspaceId = "" }) => workspaceId,
  narrow: ({ workspaceId = "" }) => ({ workspace_id: workspaceId }),
};
const SANDBOX: Key = {
  key: "sandbox_id",
  title: "Sandbox",
  valueOf: ({ sandboxId = "" }) => sandboxId,
  narrow: ({ workspaceId = "", sandboxId = "" }) => ({ workspace_id: workspaceId, sandbox_id: sandboxId }),
};

export const GROUPED: readonly Grouped[] = [
  { name: "model", title: "Models", groupBy: ["model"], keys: [MODEL] },
  { name: "upstream", title: "Upstreams", groupBy: ["upstream"], keys: [UPSTREAM] },
  { name: "workspace", title: "Workspaces", groupBy: ["workspace"], keys: [WORKSPACE] },
  { name: "sandbox", title: "Sandboxes", groupBy: ["workspace", "sandbox"], keys: [SANDBOX, WORKSPACE] },
];

/** The store's own order by the column's key. The other columns are not sorted by. */
const ORDERS: Readonly<Record<string, UsageOrder>> = {
  cost_usd: "cost",
  calls: "requests",
  failed_calls: "failures",
  tokens: "tokens",
};
const CSV_PAGE = 1_000;

/** Of a table on a page. */
export function columnsOf({ keys }: Grouped, url: URL): readonly Column<UsageSummary>[] {
  // All rows of a workspace have the same one.
  const telling = keys.filter(({ key }, n) => n === 0 || !url.searchParams.has(key));
  return [
    ...telling.map(({ key, title, valueOf, narrow }): Column<UsageSummary> => ({
      key,
      title,
      isUnsorted: true,
      value: valueOf,
      // No filter finds the calls that have none.
      cell: (group) =>
        valueOf(group) === ""
          ? <span class="hint">unnamed</span>
          : <a class="id" href={viewOf("/dashboard", url, narrow(group))}>{valueOf(group)}</a>,
    })),
    ...ON_PAGES.map((column) => Object.hasOwn(ORDERS, column.key) ? column : { ...column, isUnsorted: true } as const),
  ];
}

/** Throws `AdminRefusal`. */
export function orderIn(url: URL, grouped: Grouped, name = ""): TableOrder {
  return tableOrderOf(url, columnsOf(grouped, url), { byDefault: { key: "cost_usd", isAscending: false }, name });
}

export function groupsQuery(
  selection: Selection,
  { groupBy }: Grouped,
  { order: { key, isAscending }, limit, after = null }: {
    readonly order: TableOrder;
    readonly limit: number;
    readonly after?: UsageQuery["after"];
  },
): UsageQuery {
  return queryOf(selection, { groupBy, order: { by: ORDERS[key]!, isAscending }, limit, after });
}

/** All groups, in the order of the table on the page. */
export function groupsCsv(
  selection: Selection,
  grouped: Grouped,
  { order, store }: { readonly order: TableOrder; readonly store: Pick<InternalStore, "queryUsage"> },
): Response {
  const keys = grouped.keys.map(({ key, title, valueOf }): Column<UsageSummary> => ({ key, title, value: valueOf }));
  async function* pages(): AsyncGenerator<UsagePage["usage"]> {
    for (let after: UsageQuery["after"] = null;;) {
      const { usage, next } = await store.queryUsage(groupsQuery(selection, grouped, { order, limit: CSV_PAGE, after }));
      yield usage;
      if (next === null) return;
      after = next;
    }
  }
  return csvResponse(`usage-by-${grouped.name}`, [...keys, ...IN_FILES], pages());
}
