import type { CallFilters, UsageQuery } from "../../../domain/query.ts";
import { filtersOf } from "../../admin_filters.ts";
import { linkTo, pathTo } from "../links.ts";
import { type Range, rangeOf, spanBefore } from "../range.tsx";

/** The calls that a page is about, and the span that they are compared with. */
export interface Selection extends Pick<CallFilters, "workspaceId" | "sandboxId" | "upstream" | "model"> {
  readonly range: Range;
  readonly before: Pick<Range, "since" | "until">;
  /** When the page is asked for. */
  readonly asOf: number;
}

const FILTERS = ["workspace_id", "sandbox_id", "upstream", "model"] as const;
/** What a link from one view of the same calls to another keeps. */
const KEPT = ["range", "since", "until", ...FILTERS];

/** Throws `AdminRefusal` for a span or a filter that cannot be read. */
export function selectionOf(url: URL, asOf: number): Selection {
  const picked = [...url.searchParams].filter(([name]) => FILTERS.some((filter) => filter === name));
  const { workspace_id, sandbox_id, upstream, model } = filtersOf(`?${new URLSearchParams(picked)}`, FILTERS);
  const range = rangeOf(url, asOf, "24h");
  return { workspaceId: workspace_id, sandboxId: sandbox_id, upstream, model, range, before: spanBefore(range), asOf };
}

/** Its totals, unless `given` says otherwise. */
export function queryOf(
  { workspaceId, sandboxId, upstream, model, range, asOf }: Selection,
  given: Partial<UsageQuery> = {},
): UsageQuery {
  return {
    ...{ workspaceId, sandboxId, upstream, model, outcome: null, accuracy: null, asOf },
    ...{ since: range.since, until: range.until, groupBy: ["model"], order: { by: "cost", isAscending: false } },
    ...{ limit: 1, offset: 0, after: null },
    ...given,
  };
}

/** Another view of the same calls, or of some of them. */
export function viewOf(path: string, url: URL, changes: Readonly<Record<string, string | null>> = {}): string {
  const view = new URL(path, url);
  for (const name of KEPT) {
    const value = url.searchParams.get(name);
    if (value !== null) view.searchParams.set(name, value);
  }
  return linkTo(view, changes);
}

/** What the calls are narrowed to, with links to its own page and to more calls again. */
export function Narrowed({ url, selection }: { readonly url: URL; readonly selection: Selection }) {
  const { workspaceId, sandboxId, upstream, model } = selection;
  const [workspace, sandbox] = [workspaceId ?? "", sandboxId ?? ""];
  const all = [
    {
      title: "Workspace",
      value: workspaceId,
      page: pathTo("workspaces", workspace),
      without: { workspace_id: null, sandbox_id: null },
    },
    {
      title: "Sandbox",
      value: sandboxId,
      page: workspaceId === null ? null : pathTo("sandboxes", workspace, sandbox),
      without: { sandbox_id: null },
    },
    { title: "Upstream", value: upstream, page: null, without: { upstream: null } },
    { title: "Model", value: model, page: null, without: { model: null } },
  ];
  const given = all.filter(({ value }) => value !== null);
  if (given.length === 0) return null;
  return (
    <p class="filters">
      {given.map(({ title, value, page, without }) => (
        <span>
          {title} {page === null ? <span class="id">{value}</span> : <a class="id" href={page}>{value}</a>}{" "}
          <a href={viewOf(url.pathname, url, without)} aria-label={`Show every ${title.toLowerCase()}`}>show all</a>
        </span>
      ))}
    </p>
  );
}
