import { AdminRefusal, shown } from "../../admin_refusal.ts";
import type { AdminDeps } from "../../admin_route.ts";
import { cutCall, RUNNING_FILTERS, runningFilterOf } from "../../running_calls.ts";
import {
  csvResponse,
  DataTable,
  slicedRows,
  sortedRows,
  type TableOrder,
  tableOrderOf,
  TableRows,
  wantsCsv,
} from "../data_table.tsx";
import { FormToken } from "../layout.tsx";
import { linkTo, withoutView } from "../links.ts";
import type { FormSent, Page, PageAsked, Shown } from "../page.ts";
import { nextOf } from "../sign_in.tsx";
import { ageText, CSV_COLUMNS, liveCellsOf, rowDataOf, shownColumns, sumText } from "./live_calls.tsx";
import { LiveHub, MOST_ROWS } from "./live_hub.ts";
import { REFUSED, refusedCsv, refusedIfKnown, refusedLately, refusedRows, RefusedTable } from "./refused.tsx";

const PATH = "/dashboard/live";
const OLDEST_FIRST: TableOrder = { key: "age", isAscending: false };
/** Rows of a page before its events come; they bring more. */
const ROWS = 50;

/** The calls in flight on this machine. */
export const LIVE_PAGE: Page = {
  path: PATH,
  title: "Live",
  isInNavigation: true,
  show,
  actions: [{ name: "cut", run: cut }],
};

/** What changes on that page, as server-sent events. */
export const LIVE_EVENTS: Page = { path: `${PATH}/events`, title: "Live", isPart: true, show: follow };

/** Asks before a call is cut, if the page has no script. */
export const CUT_PAGE: Page = { path: `${PATH}/cut`, title: "Cut a call", isPart: true, show: askBeforeCut };

async function show({ url, session, formToken, zone, deps }: PageAsked): Promise<Shown> {
  const columns = shownColumns(session.role === "admin");
  const order = tableOrderOf(url, columns, { byDefault: OLDEST_FIRST });
  const kept = (await deps.requests.list()).filter(runningFilterOf(filterUrl(url)));
  const calls = sortedRows(kept, columns, order);
  if (wantsCsv(url)) return csvResponse("live", CSV_COLUMNS, [calls]);
  if (wantsCsv(url, REFUSED)) return refusedCsv({ url, zone, refusals: await refusedLately(deps) });
  const refusals = await refusedIfKnown(deps);
  const { rows, next } = slicedRows(url, calls, { size: ROWS });
  const isLive = !url.searchParams.has("cursor");
  const cutId = /^[\w-]{1,64}$/.exec(url.searchParams.get("cut") ?? "")?.[0];
  return {
    body: (
      <>
        {cutId === undefined ? null : <p class="good" role="status">{`The call ${cutId} is cut.`}</p>}
        <Filters url={url} />
        <div class="live" data-calls={isLive ? eventsPath(url) : undefined}>
          <div class="live-head">
            <strong data-part="sum">{sumText(calls)}</strong>
            <span data-part="status" role="status" class="hint"></span>
            <button type="button" class="quiet" data-part="pause" hidden>Pause</button>
          </div>
          <DataTable
            caption="Calls in flight on this machine"
            url={url}
            columns={columns}
            rows={rows}
            order={order}
            next={next}
            empty={null}
            bodyId="live-calls"
            rowData={rowDataOf}
          />
          {session.role === "admin" ? <CutDialog formToken={formToken} back={linkTo(url, { cut: null })} /> : null}
        </div>
        {isLive ? null : <p class="hint">Only the first page is live: this one shows one moment.</p>}
        <noscript>
          <p class="hint">Without JavaScript this page shows one moment. Reload it to see the next.</p>
        </noscript>
        <p class="hint">
          A call appears here when a sandbox makes one: <code>llmproxy token create</code>{" "}
          makes a token for it. ≈ is an estimate. A row that ends turns grey, and a new call takes its place later. Reload to sort
          again. {`At most ${MOST_ROWS} calls are followed: narrow them by workspace or sandbox.`}
        </p>
        <RefusedTable {...{ url, zone, refusals }} />
      </>
    ),
  };
}

function Filters({ url }: { readonly url: URL }) {
  const given = filtersIn(url);
  return (
    <div class="filters">
      <form method="get">
        {RUNNING_FILTERS.map((name) => (
          <label>
            {`${TITLES[name]} `}
            <input name={name} value={given[name] ?? ""} size={16} />
          </label>
        ))}
        <button type="submit" class="quiet">Show</button>
        {Object.values(given).some((value) => value !== null) ? <a href={PATH}>All</a> : null}
      </form>
    </div>
  );
}

const TITLES = { workspace_id: "Workspace", sandbox_id: "Sandbox", trace_id: "Trace" } as const;

/** A form sends fields that are empty. */
function filtersIn({ searchParams }: URL): Readonly<Record<string, string | null>> {
  return Object.fromEntries(RUNNING_FILTERS.map((name) => [name, searchParams.get(name) || null]));
}

function eventsPath(url: URL): string {
  return linkTo(new URL(`${PATH}/events`, url), viewIn(url));
}

const REFUSED_ORDER = `${REFUSED}_order`;

/** The filters, and how both tables are sorted. */
function viewIn(url: URL): Readonly<Record<string, string | null>> {
  const orders = ["order", REFUSED_ORDER];
  return { ...filtersIn(url), ...Object.fromEntries(orders.map((name) => [name, url.searchParams.get(name)])) };
}

function filterUrl(url: URL): string {
  return new URL(linkTo(new URL(PATH, url), filtersIn(url)), url).href;
}

function CutDialog({ formToken, back }: { readonly formToken: string; readonly back: string }) {
  return (
    <dialog aria-label="Cut this call">
      <form method="post" action={`${PATH}/cut`}>
        <p data-part="asked"></p>
        <CutFields id="" back={back} formToken={formToken} />{" "}
        <button type="submit" class="quiet" formmethod="dialog" formnovalidate>Keep it</button>
      </form>
    </dialog>
  );
}

async function askBeforeCut({ url, session, formToken, deps }: PageAsked): Promise<Shown> {
  const id = url.searchParams.get("id") ?? "";
  const call = (await deps.requests.list()).find((one) => one.id === id);
  if (call === undefined) {
    throw new AdminRefusal("not_found_error", `There is no call ${shown(id)} in flight on this machine: it may have ended`);
  }
  return {
    body: (
      <div class="panel">
        <p>
          <code>{call.id}</code> {`of ${call.sandboxId} in ${call.workspaceId}`}
          {`: ${liveCellsOf(call).model}, for ${ageText(call.ageMs)}, ${liveCellsOf(call).cost} so far.`}
        </p>
        {session.role === "admin"
          ? (
            <form method="post" action={`${PATH}/cut`}>
              <CutFields id={call.id} back={PATH} formToken={formToken} /> <a href={PATH}>Keep it</a>
            </form>
          )
          : <p>A viewer cannot cut it.</p>}
      </div>
    ),
  };
}

function CutFields({ id, back, formToken }: { readonly id: string; readonly back: string; readonly formToken: string }) {
  return (
    <>
      <FormToken value={formToken} />
      <input type="hidden" name="id" value={id} />
      <input type="hidden" name="back" value={back} />
      <p>
        Its agent gets an error or a broken stream, and what has passed is paid for. Agents may ask again: suspend the sandbox to
        stop it for longer.
      </p>
      <button type="submit" class="danger">Cut it</button>
    </>
  );
}

async function cut({ form, url, by, deps }: FormSent): Promise<string> {
  const { id } = await cutCall(form.id ?? "", { ...deps, by });
  return linkTo(new URL(nextOf(form.back ?? PATH), url), { cut: id });
}

function follow({ request, url, session, isSignedIn, zone, deps }: PageAsked): Promise<Shown> {
  const page = new URL(linkTo(new URL(PATH, url), viewIn(url)), url);
  const columns = shownColumns(session.role === "admin");
  const order = tableOrderOf(url, columns, { byDefault: OLDEST_FIRST });
  const stream = hubOf(deps).watch({
    keeps: runningFilterOf(withoutView(new URL(linkTo(url, { [REFUSED_ORDER]: null }), url))),
    ordered: (calls) => sortedRows(calls, columns, order),
    rowOf: (call) => String(<TableRows columns={columns} rows={[call]} rowData={rowDataOf} />),
    refusedRowsOf: (refusals) => refusedRows({ url: page, zone, refusals }),
    isSignedIn,
  });
  const headers = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store", "x-accel-buffering": "no" };
  return Promise.resolve(new Response(request.method === "HEAD" ? null : stream, { headers }));
}

/** One for each admin listener. */
const HUBS = new WeakMap<AdminDeps, LiveHub>();

function hubOf(deps: AdminDeps): LiveHub {
  const found = HUBS.get(deps);
  if (found !== undefined) return found;
  const onTrouble = (error: unknown) => deps.observe.note("error", "the calls in flight cannot be listed", { error });
  const hub = new LiveHub({ ...deps, refusals: () => refusedLately(deps), onTrouble });
  HUBS.set(deps, hub);
  return hub;
}
