import { costUsd } from "../../../domain/money.ts";
import { NO_TRACE_FILTERS, TRACE_ORDERS } from "../../../domain/query.ts";
import type { LocalToken } from "../../../domain/tokens.ts";
import type { UsageTotals } from "../../../domain/totals.ts";
import type { AdminDeps } from "../../admin_route.ts";
import { Chart } from "../chart.tsx";
import { type Column, csvResponse, DataTable, ListTable, tableOrderOf, wantsCsv } from "../data_table.tsx";
import { Count } from "../figures.tsx";
import { linkTo } from "../links.ts";
import type { PageAsked, Shown } from "../page.ts";
import { CostWithNotes, traceColumns } from "../traces/trace_columns.tsx";
import { limitColumns, limitRowsOf, LIMITS, LimitTable } from "./limits.tsx";
import { DONE } from "./place_actions.ts";
import { isIn, limitPlaceOf, livePath, type Place, placePath } from "./place.ts";
import { placeFile, type PlaceList, placeTable } from "./place_table.tsx";
import { type Days, daysOf, type Spending, spendingIn, tokensOf } from "./spending.ts";
import { SuspensionState } from "./suspension.tsx";
import { tokenColumns, TOKENS, TokenTable } from "./tokens.tsx";

/** Tables in the URL. */
const SANDBOXES = "sandboxes";
const TRACES = "traces";
const DAYS = "days";
const TRACE_ROWS = 10;
const NANO = 1e9;

/** The page of a workspace or of a sandbox: what it spends, its limits, and what stops it. */
export async function placePage(given: PageAsked, place: Place): Promise<Shown> {
  // The links of its tables must not say again what was done.
  const url = new URL(linkTo(given.url, { done: null }), given.url);
  const asked = { ...given, url };
  const { deps } = asked;
  const file = await fileOf(asked, place);
  if (file !== null) return file;
  const days = await daysOf(place, { store: deps.store, now: deps.now() });
  const spending = spendingIn(days, deps.now());
  const [limits, suspensions, tokens, calls] = await Promise.all([
    limitRowsOf(limitPlaceOf(place), spending, deps),
    deps.suspensions.list(),
    tokensIn(place, deps),
    deps.requests.list(),
  ]);
  const { workspaceId, sandboxId } = place;
  return {
    title: sandboxId === null ? `Workspace ${workspaceId}` : `Sandbox ${sandboxId}`,
    body: (
      <>
        <DoneNotice url={given.url} />
        {sandboxId === null ? null : (
          <p>
            of the workspace <a class="id" href={placePath({ workspaceId, sandboxId: null })}>{workspaceId}</a>
          </p>
        )}
        <SuspensionState asked={asked} place={place} all={suspensions} />
        <Cards spending={spending} running={calls.filter((call) => isIn(place, call)).length} live={livePath(place)} />
        <h2 id="limits">Limits</h2>
        <LimitTable asked={asked} scope={limitPlaceOf(place).scope} rows={limits} actionOf={(name) => placePath(place, name)} />
        <p class="hint">
          Used counts ended calls and what running calls hold. 0 is no limit, whatever the default says. Days and months are UTC.
        </p>
        {sandboxId === null ? <h2>Sandboxes</h2> : null}
        {sandboxId === null ? await placeTable(asked, sandboxesOf(place)) : null}
        <h2>Newest traces</h2>
        {await newestTraces(asked, place)}
        <h2>Tokens</h2>
        <TokenTable asked={asked} place={place} tokens={tokens} />
        <h2>30 days</h2>
        <SpendingChart days={days} />
        <DayTable days={days} url={url} />
      </>
    ),
  };
}

/** A table of the page as CSV; null if the request is for the page. */
async function fileOf(asked: PageAsked, place: Place): Promise<Response | null> {
  const { url, zone, deps } = asked;
  if (wantsCsv(url, TRACES)) return toTraces(place, url);
  if (wantsCsv(url, SANDBOXES)) return placeFile(asked, sandboxesOf(place));
  if (wantsCsv(url, TOKENS)) return csvResponse("tokens", tokenColumns(asked), [await tokensIn(place, deps)]);
  if (!wantsCsv(url, LIMITS) && !wantsCsv(url, DAYS)) return null;
  const days = await daysOf(place, { store: deps.store, now: deps.now() });
  if (wantsCsv(url, DAYS)) return csvResponse("days", DAYS_IN_FILE, [days]);
  return csvResponse("limits", limitColumns(zone), [await limitRowsOf(limitPlaceOf(place), spendingIn(days, deps.now()), deps)]);
}

async function tokensIn({ workspaceId, sandboxId }: Place, { tokens }: AdminDeps): Promise<readonly LocalToken[]> {
  return (await tokens.list(workspaceId)).filter((token) => sandboxId === null || token.sandboxId === sandboxId);
}

export function DoneNotice({ url }: { readonly url: URL }) {
  const done = url.searchParams.get("done") ?? "";
  return Object.hasOwn(DONE, done) ? <p class="good" role="status">{DONE[done as keyof typeof DONE]}</p> : null;
}

function sandboxesOf({ workspaceId }: Place): PlaceList {
  return { what: "sandbox", workspaceId, name: SANDBOXES };
}

function Cards({ spending, running, live }: {
  readonly spending: Spending;
  readonly running: number;
  readonly live: string;
}) {
  const cards: readonly (readonly [string, UsageTotals])[] = [
    ["Today", spending.today],
    ["Yesterday", spending.yesterday],
    ["This month", spending.month],
  ];
  return (
    <dl class="cards">
      {cards.map(([title, totals]) => (
        <div class="card">
          <dt>{title}</dt>
          <dd class="value">
            <CostWithNotes cost={totals.cost} of={totals} />
          </dd>
          <dd class="hint">
            <Count value={totals.requestCount} isShort /> calls, <Count value={tokensOf(totals)} isShort /> tokens
          </dd>
        </div>
      ))}
      <div class="card">
        <dt>Now</dt>
        <dd class="value">
          <a href={live}>{running}</a>
        </dd>
        <dd class="hint">in flight on this machine</dd>
      </div>
    </dl>
  );
}

/** The list of traces sorts, pages and downloads all of them. */
function tracesPath(place: Place, url: URL, rest: Readonly<Record<string, string>> = {}): string {
  return linkTo(new URL("/dashboard/traces", url), {
    workspace_id: place.workspaceId,
    sandbox_id: place.sandboxId,
    range: "30d",
    ...rest,
  });
}

function toTraces(place: Place, url: URL): Response {
  return new Response(null, { status: 303, headers: { location: tracesPath(place, url, { format: "csv" }) } });
}

async function newestTraces({ url, zone, deps }: PageAsked, place: Place) {
  const columns = traceColumns(zone, new URL("/dashboard/traces", url));
  const order = tableOrderOf(url, columns, { byDefault: { key: "activity", isAscending: false }, name: TRACES });
  const by = TRACE_ORDERS.find((name) => name === order.key) ?? "activity";
  const { traces } = await deps.store.listTraces({
    ...NO_TRACE_FILTERS,
    ...{ ...place, since: null, until: null, upstream: null, model: null, outcome: null, accuracy: null },
    ...{ limit: TRACE_ROWS, offset: 0, order: { by, isAscending: order.isAscending }, after: null },
  });
  return (
    <>
      <DataTable
        caption={`At most ${TRACE_ROWS} traces`}
        url={url}
        name={TRACES}
        columns={columns}
        rows={traces}
        order={order}
        empty="There are no traces here yet. One appears with the first call of an agent."
      />
      {traces.length === 0 ? null : (
        <p>
          <a href={tracesPath(place, url)}>All its traces</a>
        </p>
      )}
    </>
  );
}

function SpendingChart({ days }: { readonly days: Days }) {
  if (days.length < 2) return null;
  return (
    <Chart
      title="Spend by day (UTC)"
      unit="usd"
      kind="bars"
      step="day"
      at={days.map(({ day }) => day)}
      series={[{ name: "Spend", values: days.map(({ totals }) => Number(totals.cost) / NANO) }]}
    />
  );
}

type Day = Days[number];

const DAYS_ON_PAGE: readonly Column<Day>[] = [
  { key: "day", title: "Day (UTC)", value: dayText },
  {
    key: "cost",
    title: "Spend",
    isNumber: true,
    value: ({ totals }) => totals.cost,
    cell: ({ totals }) => <CostWithNotes cost={totals.cost} of={totals} />,
  },
  figure("calls", "Calls", ({ requestCount }) => requestCount),
  figure("tokens", "Tokens", tokensOf),
];

const DAYS_IN_FILE: readonly Column<Day>[] = [
  { key: "day", title: "", value: dayText },
  { key: "cost_usd", title: "", value: ({ totals }) => costUsd(totals.cost) },
  figure("calls", "", ({ requestCount }) => requestCount),
  figure("tokens", "", tokensOf),
];

function figure(key: string, title: string, of: (totals: UsageTotals) => number | bigint): Column<Day> {
  return {
    key,
    title,
    isNumber: true,
    value: ({ totals }) => of(totals),
    cell: ({ totals }) => <Count value={of(totals)} isShort />,
  };
}

function dayText({ day }: Day): string {
  return new Date(day).toISOString().slice(0, "2026-01-31".length);
}

function DayTable({ days, url }: { readonly days: Days; readonly url: URL }) {
  return (
    <ListTable
      caption="Days"
      url={url}
      name={DAYS}
      columns={DAYS_ON_PAGE}
      rows={days}
      size={10}
      byDefault={{ key: "day", isAscending: false }}
      empty="There were no calls in these days."
    />
  );
}
