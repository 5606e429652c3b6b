import { LONG_ID_PREFIX, type TracePage, type TraceQuery } from "../../../domain/query.ts";
import type { TraceWithStats } from "../../../domain/trace.ts";
import { answerable } from "../../admin_usage.ts";
import type { AdminDeps } from "../../admin_route.ts";
import { traceQueryOf } from "../../usage_filters.ts";
import { csvResponse, DataTable, type TableOrder, tableOrderOf, wantsCsv } from "../data_table.tsx";
import { Dollars, wholeText } from "../figures.tsx";
import { linkTo } from "../links.ts";
import type { Page, PageAsked, Shown } from "../page.ts";
import { type Range, rangeOf, RangePicker } from "../range.tsx";
import { CSV_COLUMNS, Notes, traceColumns } from "./trace_columns.tsx";
import { TraceFilters } from "./trace_filters.tsx";

/** Every trace: search, filters, newest activity first. */
export const TRACES_PAGE: Page = { path: "/dashboard/traces", title: "Traces", isInNavigation: true, show };

const ROWS = 50;
const CSV_ROWS = 1_000;
const DAY_MS = 86_400_000;
/** Totals of all workspaces for longer spans would read every trace there is. */
const MOST_DAYS_SUMMED = 8;
/**
 * Traces that went on for longer after a span are not in it: all later ones would have to be read
 * to find them.
 */
const MOST_DAYS_AFTER = 7;
/** The names in the query that are no filters of the list. */
const OF_THE_PAGE = ["range", "since", "until", "order", "cursor", "format", "table"];

async function show({ url, zone, deps }: PageAsked): Promise<Shown> {
  const columns = traceColumns(zone, url);
  const order = tableOrderOf(url, columns, { byDefault: { key: "activity", isAscending: false } });
  const { query, range, cursorOf } = listAsked(url, order, deps.now);
  if (wantsCsv(url)) return csvResponse("traces", CSV_COLUMNS, everyPage(query, deps));
  const summed = isSummed(query, range) ? await answerable(deps.store.queryTraces(query)) : null;
  const { traces, next } = summed ?? await answerable(deps.store.listTraces(query));
  return {
    body: (
      <>
        <TraceFilters url={url} />
        <RangePicker url={url} range={range} />
        {summed === null ? null : <Sums page={summed} />}
        <DataTable
          caption="Traces that were active in this span, with all that they used"
          url={url}
          columns={columns}
          rows={traces}
          order={order}
          next={next === null ? null : cursorOf(next)}
          empty={<Empty url={url} />}
        />
      </>
    ),
  };
}

/** Of all that the filters keep. */
function Sums({ page: { total, totals } }: { readonly page: TracePage }) {
  return (
    <p class="sums">
      {`${wholeText(total)} ${total === 1 ? "trace" : "traces"}, ${wholeText(totals.requestCount)} calls, `}
      <strong>
        <Dollars nano={totals.cost} />
      </strong>{" "}
      <Notes of={totals} />
    </p>
  );
}

interface ListAsked {
  readonly query: TraceQuery;
  readonly range: Range;
  readonly cursorOf: (end: readonly string[]) => string;
}

/**
 * The query of `GET /internal/traces` that the page's address stands for. A cursor begins with the
 * time of the first page, so that the span of all pages is the same. Throws `AdminRefusal`.
 */
function listAsked(url: URL, { key, isAscending }: TableOrder, now: () => number): ListAsked {
  const given = url.searchParams.get("cursor") ?? "";
  const [, time, rest] = /^(\d{1,15})\.(.+)$/s.exec(given) ?? [];
  const asOf = time === undefined ? now() : Number(time);
  // Someone who looks for an id does not know when that was.
  const isForId = (url.searchParams.get("trace_prefix") ?? "").length >= LONG_ID_PREFIX;
  const range = rangeOf(url, asOf, isForId ? "year" : "7d");
  const list = new URL("/internal/traces", url);
  for (const [name, value] of url.searchParams) {
    if (!OF_THE_PAGE.includes(name) && value.trim() !== "") list.searchParams.append(name, value.trim());
  }
  list.searchParams.set("since", new Date(range.since).toISOString());
  if (range.until < asOf) list.searchParams.set("until", new Date(range.until).toISOString());
  list.searchParams.set("order", `${key}.${isAscending ? "asc" : "desc"}`);
  list.searchParams.set("limit", String(ROWS));
  if (given !== "") list.searchParams.set("cursor", rest ?? given);
  const { query, cursorOf } = traceQueryOf(list.href, () => asOf);
  // A trace that went on after the span is one of its traces too.
  const until = query.until === null ? null : query.until + MOST_DAYS_AFTER * DAY_MS;
  const active = { ...query, until, begunBefore: query.until };
  return { query: active, range, cursorOf: (end) => `${asOf}.${cursorOf(end)}` };
}

function isSummed({ workspaceId, sandboxId, ...query }: TraceQuery, { since, until }: Range): boolean {
  const ofCalls = [query.upstream, query.model, query.outcome, query.accuracy, query.client].some((filter) => filter !== null);
  return !ofCalls && (workspaceId !== null || sandboxId !== null || until - since <= MOST_DAYS_SUMMED * DAY_MS);
}

async function* everyPage(query: TraceQuery, { store }: AdminDeps): AsyncGenerator<readonly TraceWithStats[]> {
  for (let after = query.after;;) {
    const { traces, next } = await answerable(store.listTraces({ ...query, limit: CSV_ROWS, after }));
    yield traces;
    if (next === null) return;
    after = next;
  }
}

function Empty({ url }: { readonly url: URL }) {
  const longer = linkTo(url, { range: "year", since: null, until: null, cursor: null });
  return (
    <>
      <p>No trace in this span meets these filters.</p>
      <p>
        Look at <a href={longer}>365 days</a>, or at{" "}
        <a href="/dashboard/traces">all traces</a>. A trace appears with the first call of an agent: set its base URL to the
        proxy's address and give it a proxy token.
      </p>
    </>
  );
}
