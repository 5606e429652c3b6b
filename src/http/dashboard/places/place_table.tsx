import type { Child } from "hono/jsx";
import { costUsd } from "../../../domain/money.ts";
import type { Position, UsageOrder } from "../../../domain/query.ts";
import type { UsageTotals } from "../../../domain/totals.ts";
import type { AdminDeps } from "../../admin_route.ts";
import { cursorText } from "../../cursor.ts";
import { type LimitInForce, limitsInForce } from "../../quotas.ts";
import { cursorOf } from "../../usage_filters.ts";
import { type Column, csvResponse, DataTable, type TableOrder, tableOrderOf } from "../data_table.tsx";
import { Count } from "../figures.tsx";
import { linkTo } from "../links.ts";
import type { PageAsked } from "../page.ts";
import { CostWithNotes } from "../traces/trace_columns.tsx";
import { LimitUse, tightestOf } from "./limits.tsx";
import { isIn, limitPlaceOf, livePath, type Place, placePath } from "./place.ts";
import { placesBy, type SpanName, type Spending, spendingOf } from "./spending.ts";
import { suspensionsOf } from "./suspension.tsx";

/** Which places a table lists, and how its parts are named in the URL. */
export interface PlaceList {
  readonly what: "workspace" | "sandbox";
  /** Null: the whole fleet. */
  readonly workspaceId: string | null;
  readonly name?: string;
}

interface PlaceRow {
  readonly place: Place;
  readonly spending: Spending;
  readonly tightest: { readonly limit: LimitInForce; readonly used: number } | null;
  readonly isSuspended: boolean;
  /** Calls in flight on this machine. */
  readonly running: number;
}

/** Each row is one more question. */
const ROWS = 25;
const CSV_ROWS = 100;

/** By the column of the order: the places with calls in that span, by what they used in it. */
const ORDERS: Readonly<Record<string, { readonly span: SpanName; readonly by: UsageOrder }>> = {
  today: { span: "today", by: "cost" },
  yesterday: { span: "yesterday", by: "cost" },
  month: { span: "month", by: "cost" },
  calls_today: { span: "today", by: "requests" },
  calls_month: { span: "month", by: "requests" },
};

const SPAN_WORDS: Readonly<Record<SpanName, string>> = { today: "today", yesterday: "yesterday", month: "this month" };

/** A page of places, sorted and paged by the store. Throws `AdminRefusal` as its URL is read. */
export async function placeTable(asked: PageAsked, list: PlaceList): Promise<Child> {
  const { url } = asked;
  const { what, name = "" } = list;
  const { order, question, after, now, page } = listAsked(asked, list);
  const { rows, next } = await page(after, ROWS);
  const { span } = ORDERS[order.key]!;
  return (
    <DataTable
      caption={`${what === "workspace" ? "Workspaces" : "Sandboxes"} with calls ${SPAN_WORDS[span]} (UTC)`}
      url={url}
      name={name}
      columns={columnsOf(list)}
      rows={rows}
      order={order}
      next={next === null ? null : cursorText({ after: next, asOf: now }, question)}
      empty={<Empty url={url} what={what} span={span} orderName={name === "" ? "order" : `${name}_order`} />}
    />
  );
}

/** All of them as CSV. */
export function placeFile(asked: PageAsked, list: PlaceList): Response {
  const { page } = listAsked(asked, list);
  return csvResponse(
    list.what === "workspace" ? "workspaces" : "sandboxes",
    fileColumnsOf(list),
    everyPage((after) => page(after, CSV_ROWS)),
  );
}

function listAsked({ url, deps }: PageAsked, list: PlaceList) {
  const { what, workspaceId, name = "" } = list;
  const order = tableOrderOf(url, columnsOf(list), { byDefault: { key: "month", isAscending: false }, name });
  const question = JSON.stringify(["places", what, workspaceId, order]);
  const given = url.searchParams.get(name === "" ? "cursor" : `${name}_cursor`);
  const cursor = cursorOf({ cursor: given, offset: null }, question);
  // All pages are about the spans of the first.
  const now = cursor?.asOf ?? deps.now();
  return {
    ...{ order, question, after: cursor?.after ?? null, now },
    page: (after: Position | null, limit: number) => pageOf(list, { order, after, limit, now, deps }),
  };
}

interface PageWanted {
  readonly order: TableOrder;
  readonly after: Position | null;
  readonly limit: number;
  readonly now: number;
  readonly deps: AdminDeps;
}

async function pageOf({ what, workspaceId }: PlaceList, { order, after, limit, now, deps }: PageWanted) {
  const { span, by } = ORDERS[order.key]!;
  const query = { groupBy: what, workspaceId, span, order: { by, isAscending: order.isAscending }, limit, after, now } as const;
  const { places, next } = await placesBy(query, deps.store);
  return { rows: await rowsOf(places, { now, deps }), next };
}

async function rowsOf(
  places: readonly Place[],
  { now, deps }: { readonly now: number; readonly deps: AdminDeps },
): Promise<readonly PlaceRow[]> {
  const [all, suspensions, calls] = await Promise.all([deps.limits.list(), deps.suspensions.list(), deps.requests.list()]);
  return await Promise.all(places.map(async (place): Promise<PlaceRow> => {
    const spending = await spendingOf(place, { store: deps.store, now });
    const inForce = limitsInForce(limitPlaceOf(place), { all, defaults: deps.limits.defaults });
    const { own, ofWorkspace } = suspensionsOf(suspensions, place);
    return {
      ...{ place, spending, tightest: tightestOf(inForce, spending), isSuspended: own !== null || ofWorkspace !== null },
      running: calls.filter((call) => isIn(place, call)).length,
    };
  }));
}

async function* everyPage(page: (after: Position | null) => ReturnType<typeof pageOf>): AsyncGenerator<readonly PlaceRow[]> {
  for (let after: Position | null = null;;) {
    const { rows, next } = await page(after);
    yield rows;
    if (next === null) return;
    after = next;
  }
}

function columnsOf(list: PlaceList): readonly Column<PlaceRow>[] {
  const [name, workspace] = namesOf(list);
  return [
    { ...name!, isUnsorted: true },
    { key: "today", title: "Today", ...cost(({ today }) => today) },
    { key: "yesterday", title: "Yesterday", ...cost(({ yesterday }) => yesterday) },
    { key: "month", title: "This month", ...cost(({ month }) => month) },
    { key: "calls_today", title: "Calls today", ...calls(({ today }) => today) },
    { key: "calls_month", title: "Calls this month", ...calls(({ month }) => month) },
    {
      key: "limit",
      title: "Tightest limit",
      isUnsorted: true,
      value: () => null,
      cell: ({ tightest }) =>
        tightest === null
          ? <span class="missing">no limit</span>
          : <LimitUse kind={tightest.limit.kind} max={tightest.limit.max} used={tightest.used} />,
    },
    ...(workspace === undefined ? [] : [{ ...workspace, isUnsorted: true } as const]),
    { key: "state", title: "Now", isUnsorted: true, value: () => null, cell: (row) => <State row={row} /> },
  ];
}

/** Exact, and each figure by itself. */
function fileColumnsOf(list: PlaceList): readonly Column<PlaceRow>[] {
  const figure = (key: string, value: Column<PlaceRow>["value"]): Column<PlaceRow> => ({ key, title: "", value });
  return [
    ...namesOf(list),
    figure("today_cost_usd", ({ spending }) => costUsd(spending.today.cost)),
    figure("yesterday_cost_usd", ({ spending }) => costUsd(spending.yesterday.cost)),
    figure("month_cost_usd", ({ spending }) => costUsd(spending.month.cost)),
    figure("calls_today", ({ spending }) => spending.today.requestCount),
    figure("calls_month", ({ spending }) => spending.month.requestCount),
    figure("limit", ({ tightest }) => tightest?.limit.kind ?? null),
    figure("limit_share", ({ tightest }) => tightest === null ? null : (tightest.used / tightest.limit.max).toFixed(4)),
    figure("suspended", ({ isSuspended }) => String(isSuspended)),
    figure("running", ({ running }) => running),
  ];
}

function namesOf({ what, workspaceId }: PlaceList): readonly Column<PlaceRow>[] {
  const workspace: Column<PlaceRow> = {
    key: "workspace",
    title: "Workspace",
    value: ({ place }) => place.workspaceId,
    cell: ({ place }) => <a class="id" href={placePath({ ...place, sandboxId: null })}>{place.workspaceId}</a>,
  };
  const sandbox: Column<PlaceRow> = {
    key: "sandbox",
    title: "Sandbox",
    value: ({ place }) => place.sandboxId,
    cell: ({ place }) => <a class="id" href={placePath(place)}>{place.sandboxId}</a>,
  };
  if (what === "workspace") return [workspace];
  return workspaceId === null ? [sandbox, workspace] : [sandbox];
}

function cost(of: (spending: Spending) => UsageTotals): Pick<Column<PlaceRow>, "isNumber" | "value" | "cell"> {
  return {
    isNumber: true,
    value: ({ spending }) => of(spending).cost,
    cell: ({ spending }) => <CostWithNotes cost={of(spending).cost} of={of(spending)} />,
  };
}

function calls(of: (spending: Spending) => UsageTotals): Pick<Column<PlaceRow>, "isNumber" | "value" | "cell"> {
  return {
    isNumber: true,
    value: ({ spending }) => of(spending).requestCount,
    cell: ({ spending }) => <Count value={of(spending).requestCount} />,
  };
}

function State({ row: { place, isSuspended, running } }: { readonly row: PlaceRow }) {
  return (
    <>
      {isSuspended ? <span class="bad">suspended</span> : null}
      {running > 0 ? <a class="running" href={livePath(place)}>{`${running} running`}</a> : null}
      {isSuspended || running > 0 ? null : <span class="missing">–</span>}
    </>
  );
}

function Empty({ url, what, span, orderName }: {
  readonly url: URL;
  readonly what: string;
  readonly span: SpanName;
  readonly orderName: string;
}) {
  const others = Object.entries({ yesterday: "yesterday", month: "this month" }).filter(([name]) => name !== span);
  return (
    <>
      <p>{`No ${what} has made a call ${SPAN_WORDS[span]} (UTC).`}</p>
      <p>
        Look at {others.map(([name, words], n) => (
          <>
            {n === 0 ? "" : " or "}
            <a href={linkTo(url, { [orderName]: name })}>{words}</a>
          </>
        ))}. A {what} appears with its first call: <code>llmproxy token create</code>{" "}
        makes a token, and the agent's base URL is the proxy's address.
      </p>
    </>
  );
}
