import { agentTree } from "../../../domain/agents.ts";
import type { TraceWithStats } from "../../../domain/trace.ts";
import type { TokenUsage } from "../../../domain/usage.ts";
import { filtersOf } from "../../admin_filters.ts";
import { traceCacheOf } from "../../trace_cache.ts";
import { csvResponse, DataTable, wantsCsv } from "../data_table.tsx";
import { wholeText } from "../figures.tsx";
import { linkTo } from "../links.ts";
import type { Page, PageAsked, Shown } from "../page.ts";
import { AGENT_CSV, AGENTS, agentsAsked, AgentTable } from "./agent_table.tsx";
import { CacheChart } from "./cache_chart.tsx";
import { CALL_CSV, callColumns, CALLS, type CallsAsked, callsAsked, everyCall } from "./calls_table.tsx";
import { MISSES, missesAsked, MissTable } from "./miss_table.tsx";
import { CSV_COLUMNS, traceColumns } from "./trace_columns.tsx";
import { TraceHead } from "./trace_head.tsx";
import { Waterfall } from "./waterfall.tsx";

/** One trace: who, its agents, its calls in time, and its cache. */
export const TRACE_PAGE: Page = { path: "/dashboard/traces/:id", title: "Trace", show };

/** What the cache is worked out from: more would make a long trace's page slow. */
const MOST_CACHED_CALLS = 10_000;

async function show(asked: PageAsked): Promise<Shown> {
  const { url, zone, deps } = asked;
  const { workspace_id } = filtersOf(onlyWorkspace(url), ["workspace_id"]);
  const id = idOf(asked);
  const found = await deps.store.findTraces(id, workspace_id);
  const [trace] = found;
  if (trace === undefined) return notFound(id, workspace_id);
  if (found.length === 1) return await showTrace(asked, trace);
  return wantsCsv(url) ? csvResponse("traces", CSV_COLUMNS, [found]) : ambiguous(url, found, zone);
}

async function showTrace({ url, zone, deps }: PageAsked, trace: TraceWithStats): Promise<Shown> {
  const asked = callsAsked(url, trace);
  if (wantsCsv(url, CALLS)) return csvResponse("calls", CALL_CSV, everyCall({ ...asked.query, after: null }, deps));
  const [groups, cache] = await Promise.all([deps.store.getAgents(trace), traceCacheOf(trace, deps, MOST_CACHED_CALLS)]);
  const tree = agentTree(groups);
  if (wantsCsv(url, AGENTS)) {
    const { columns, rows } = agentsAsked(url, tree, zone);
    return csvResponse("agents", [...columns, ...AGENT_CSV], [rows]);
  }
  if (wantsCsv(url, MISSES)) {
    const { columns, rows } = missesAsked({ url, trace, zone, misses: cache.misses });
    return csvResponse("cache-misses", columns, [rows]);
  }
  const [{ calls, next }, running] = await Promise.all([deps.store.queryCalls(asked.query), deps.requests.list()]);
  const inTime = calls.toSorted((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  const counted = groups.reduce((sum, { requestCount }) => sum + requestCount, 0);
  const misses = new Map(cache.misses.map((miss) => [miss.id, miss]));
  return {
    title: `Trace ${trace.id}`,
    body: (
      <>
        <TraceHead
          trace={trace}
          cache={cache}
          client={calls.find(({ client }) => client !== undefined)?.client}
          running={running.filter(({ traceId, workspaceId }) => traceId === trace.id && workspaceId === trace.workspaceId)}
          zone={zone}
        />
        <Dropped count={trace.requestCount - counted} />
        <AgentTable url={url} tree={tree} zone={zone} />
        <Narrowing url={url} asked={asked} />
        <Waterfall calls={inTime} origin={trace.createdAt} zone={zone} />
        <section class="panel" aria-labelledby="cache">
          <h2 id="cache">Cache</h2>
          <CacheChart calls={inTime} misses={misses} origin={trace.createdAt} />
        </section>
        <MissTable url={url} trace={trace} misses={cache.misses} zone={zone} />
        <DataTable
          caption="Calls"
          url={url}
          columns={callColumns({ zone, shown: idsOf(calls) })}
          rows={calls}
          order={asked.order}
          name={CALLS}
          next={next === null ? null : asked.cursorOf(next)}
          empty={<NoCalls url={url} asked={asked} />}
        />
      </>
    ),
  };
}

/** `.` and `..` are in the query: see `traceLink`. */
function idOf({ url, param }: PageAsked): string {
  const given = url.searchParams.get("id");
  return given === "." || given === ".." ? given : param("id");
}

function onlyWorkspace(url: URL): string {
  const only = new URL(url.pathname, url);
  const workspace = url.searchParams.get("workspace_id");
  if (workspace !== null && workspace !== "") only.searchParams.set("workspace_id", workspace);
  return only.href;
}

function idsOf(calls: readonly TokenUsage[]): ReadonlySet<string> {
  return new Set(calls.map(({ id }) => id));
}

/** Which calls are shown, and the ways to others. */
function Narrowing({ url, asked: { query } }: { readonly url: URL; readonly asked: CallsAsked }) {
  const all = linkTo(url, { agent: null, only: null, calls_cursor: null });
  const troubled = linkTo(url, { only: "troubled", calls_cursor: null });
  const isAll = query.agentId === null && !query.isTroubled;
  return (
    <nav class="range" aria-label="Calls to show">
      <span>Calls:</span>
      <a href={`${all}#waterfall`} aria-current={isAll ? "true" : undefined}>all</a>
      <a href={`${troubled}#waterfall`} aria-current={query.isTroubled ? "true" : undefined}>failed, cut and retried</a>
      {query.agentId === null ? null : (
        <span>
          of {query.agentId === "" ? "main" : <span class="id">{query.agentId}</span>}{" "}
          (<a href={linkTo(url, { agent: null, calls_cursor: null })}>of all agents</a>)
        </span>
      )}
    </nav>
  );
}

function NoCalls({ url, asked: { query } }: { readonly url: URL; readonly asked: CallsAsked }) {
  const all = linkTo(url, { agent: null, only: null, calls_cursor: null });
  if (query.agentId === null && !query.isTroubled) return <>No call of this trace has ended yet.</>;
  return (
    <>
      No such calls here. <a href={all}>Show all calls</a>.
    </>
  );
}

function Dropped({ count }: { readonly count: number }) {
  if (count <= 0) return null;
  return (
    <p class="panel warn">
      {wholeText(count)} calls are in the totals above, but not below: retention has dropped their rows.
    </p>
  );
}

function notFound(id: string, workspaceId: string | null): Shown {
  return {
    title: "No such trace",
    status: 404,
    body: (
      <>
        <p>
          There is no trace <span class="id">{id}</span>
          {workspaceId === null ? "." : (
            <>
              {" "}in the workspace <span class="id">{workspaceId}</span>.
            </>
          )}
        </p>
        <p>
          A trace is here as soon as its first call is recorded. Ids are compared exactly: look for{" "}
          <a href={`/dashboard/traces?${new URLSearchParams({ trace_prefix: id })}`}>ids that begin so</a>
          {workspaceId === null ? null : (
            <>
              , or at{" "}
              <a href={`/dashboard/traces?${new URLSearchParams({ workspace_id: workspaceId })}`}>the traces of this workspace</a>
            </>
          )}.
        </p>
      </>
    ),
  };
}

/** A trace's key is its workspace and its id. */
function ambiguous(url: URL, found: readonly TraceWithStats[], zone: string): Shown {
  const list = new URL("/dashboard/traces", url);
  const columns = traceColumns(zone, list).map((column) => ({ ...column, isUnsorted: true as const }));
  return {
    title: "Several traces have this id",
    status: 409,
    body: (
      <>
        <p>Sandboxes of several workspaces have named the same id. Choose one.</p>
        <DataTable
          caption={`Traces with the id ${found[0]!.id}`}
          url={url}
          columns={columns}
          rows={found}
          order={{ key: "", isAscending: true }}
          empty=""
        />
      </>
    ),
  };
}
