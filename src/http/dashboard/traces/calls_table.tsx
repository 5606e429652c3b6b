import { CALL_ORDERS, type CallOrder, type CallQuery, placeBefore } from "../../../domain/query.ts";
import type { Trace } from "../../../domain/trace.ts";
import type { TokenUsage } from "../../../domain/usage.ts";
import { columnsShownIn, rowJson } from "../../../domain/usage_columns.ts";
import type { AdminDeps } from "../../admin_route.ts";
import { AdminRefusal, shown } from "../../admin_refusal.ts";
import { cursorText, readCursor } from "../../cursor.ts";
import { type Column, type TableOrder, tableOrderOf } from "../data_table.tsx";
import { Count, durationText, Time } from "../figures.tsx";
import { linkTo } from "../links.ts";
import { agentText, callAnchor, CallCost, clipped, msOrNull, OutcomeText, outcomeText, tokensOrNull } from "./call_text.tsx";
import { CallLink } from "./waterfall.tsx";

export const CALLS = "calls";
const ROWS = 30;
const CSV_ROWS = 1_000;
const OLDEST_FIRST: TableOrder = { key: "time", isAscending: true };

/** Which calls of a trace the page is about, as its address says. */
export interface CallsAsked {
  readonly query: CallQuery;
  readonly order: TableOrder;
  readonly cursorOf: (end: readonly string[]) => string;
}

/** Throws `AdminRefusal` for what it cannot read. */
export function callsAsked(url: URL, { workspaceId, id }: Pick<Trace, "workspaceId" | "id">): CallsAsked {
  const order = tableOrderOf(url, callColumns({ zone: "UTC", shown: new Set() }), { byDefault: OLDEST_FIRST, name: CALLS });
  const { agentId, isTroubled } = narrowingOf(url);
  const question = questionOf({ workspaceId, id }, { agentId, isTroubled, order });
  const query: CallQuery = {
    ...{ workspaceId, traceId: id, agentId, isTroubled },
    order: { by: orderNamed(order.key), isAscending: order.isAscending },
    after: positionIn(url, question),
    limit: ROWS,
  };
  return { query, order, cursorOf: (after) => cursorText({ after, asOf: 0 }, question) };
}

/** The page of all calls that begins with the call of that time, and the call's place on it. */
export function linkToCall(
  url: URL,
  trace: Pick<Trace, "workspaceId" | "id">,
  call: Pick<TokenUsage, "id" | "createdAt">,
): string {
  const question = questionOf(trace, { agentId: null, isTroubled: false, order: OLDEST_FIRST });
  const cursor = cursorText({ after: placeBefore(call.createdAt), asOf: 0 }, question);
  const page = linkTo(url, { calls_cursor: cursor, calls_order: null, agent: null, only: null });
  return `${page}#${encodeURIComponent(callAnchor(call.id))}`;
}

function questionOf(
  { workspaceId, id }: Pick<Trace, "workspaceId" | "id">,
  { agentId, isTroubled, order }: Pick<CallQuery, "agentId" | "isTroubled"> & { readonly order: TableOrder },
): string {
  return JSON.stringify(["calls", workspaceId, id, agentId, isTroubled, order.key, order.isAscending]);
}

function narrowingOf({ searchParams }: URL): Pick<CallQuery, "agentId" | "isTroubled"> {
  const [agentId, only] = [searchParams.get("agent"), searchParams.get("only")];
  if (agentId !== null && /\p{Cc}/u.test(agentId)) throw unreadable("agent", "an id without control characters", agentId);
  if (only !== null && only !== "troubled") throw unreadable("only", "troubled", only);
  return { agentId, isTroubled: only !== null };
}

function positionIn({ searchParams }: URL, question: string) {
  const text = searchParams.get("calls_cursor");
  if (text === null) return null;
  const cursor = readCursor(text, question);
  if (cursor === null) throw unreadable("calls_cursor", "the cursor of a page of these calls in this order", text);
  return cursor.after;
}

function unreadable(name: string, expects: string, value: string): AdminRefusal {
  return new AdminRefusal("invalid_request_error", `Cannot read ${name} as ${expects}: current value is ${shown(value)}`);
}

function orderNamed(key: string): CallOrder {
  return CALL_ORDERS.find((order) => order === key)!;
}

/** Each sorted column has the name of an order of the store. */
export function callColumns(
  { zone, shown }: { readonly zone: string; readonly shown: ReadonlySet<string> },
): readonly Column<TokenUsage>[] {
  return [
    {
      key: "time",
      title: "Began",
      value: ({ createdAt }) => createdAt,
      cell: (call) => (
        <a href={`#${encodeURIComponent(callAnchor(call.id))}`}>
          <Time at={call.createdAt} zone={zone} />
        </a>
      ),
    },
    { key: "cost", title: "Cost", isNumber: true, value: ({ cost }) => cost ?? null, cell: (call) => <CallCost call={call} /> },
    { key: "agent", title: "Agent", isUnsorted: true, value: agentText },
    {
      key: "outcome",
      title: "Outcome",
      isUnsorted: true,
      value: outcomeText,
      cell: (call) => <OutcomeAndRetry call={call} shown={shown} />,
    },
    numberColumn("ttft", "First token", ({ ttft }) => msOrNull(ttft), durationText),
    numberColumn("duration", "Took", ({ duration }) => msOrNull(duration), durationText),
    numberColumn("cacheRead", "Cache read", (call) => tokensOrNull(call, call.cacheReadInputTokens)),
    numberColumn("cacheWrite", "Cache write", (call) => tokensOrNull(call, call.cacheCreationInputTokens)),
    numberColumn("input", "Uncached", (call) => tokensOrNull(call, call.inputTokens)),
    numberColumn("output", "Output", (call) => tokensOrNull(call, call.outputTokens)),
    {
      key: "upstream",
      title: "Upstream",
      isUnsorted: true,
      value: ({ upstream }) => upstream === undefined ? null : clipped(upstream),
      cell: ({ upstream }) => upstream === undefined ? <span class="hint">unnamed</span> : clipped(upstream),
    },
    { key: "model", title: "Model", isUnsorted: true, value: ({ model }) => clipped(model) },
  ];
}

function OutcomeAndRetry({ call, shown }: { readonly call: TokenUsage; readonly shown: ReadonlySet<string> }) {
  const { retryOf } = call;
  return (
    <>
      <OutcomeText call={call} />
      {retryOf === undefined ? null : (
        <>
          {" "}
          <span class="warn">retry of</span> <CallLink id={retryOf} isShown={shown.has(retryOf)} />
        </>
      )}
    </>
  );
}

function numberColumn(
  key: CallOrder,
  title: string,
  value: (call: TokenUsage) => number | null,
  text?: (value: number) => string,
): Column<TokenUsage> {
  return {
    ...{ key, title, value, isNumber: true },
    cell: (call) => {
      const known = value(call);
      if (known === null) return <span class="missing">unknown</span>;
      return text === undefined ? <Count value={known} isShort /> : text(known);
    },
  };
}

/** A file has every field of a call, named as in the API. */
export const CALL_CSV: readonly Column<TokenUsage>[] = columnsShownIn("detail").map((column) => ({
  key: column.jsonKey,
  title: "",
  value: (call) => {
    const value = rowJson(call, [column])[column.jsonKey] ?? null;
    return value === null || typeof value === "string" || typeof value === "number" ? value : JSON.stringify(value);
  },
}));

export async function* everyCall(query: CallQuery, { store }: Pick<AdminDeps, "store">): AsyncGenerator<readonly TokenUsage[]> {
  for (let after = query.after;;) {
    const { calls, next } = await store.queryCalls({ ...query, limit: CSV_ROWS, after });
    yield calls;
    if (next === null) return;
    after = next;
  }
}
