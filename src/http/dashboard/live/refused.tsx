import { deadline } from "../../../async/deadline.ts";
import type { FaultCode } from "../../../domain/fault.ts";
import type { RefusalCount } from "../../../domain/ledger.ts";
import { ALL_KINDS, LIMIT_KINDS } from "../../../domain/limits.ts";
import { DatabaseUnavailable, isUnavailable } from "../../../domain/unavailable.ts";
import type { AdminDeps } from "../../admin_route.ts";
import {
  type Column,
  csvResponse,
  DataTable,
  slicedRows,
  sortedRows,
  type TableOrder,
  tableOrderOf,
  TableRows,
} from "../data_table.tsx";
import { Time, wholeText } from "../figures.tsx";
import { placePath } from "../places/place.ts";

/** Of the table in the URL. */
export const REFUSED = "refused";
const MINUTE_MS = 60_000;
const MINUTES = 15;
const PATIENCE_MS = 1_000;
const ROWS = 20;
/** More counters than this in a quarter of an hour are not shown, the oldest first. */
const MOST_COUNTERS = 500;
const NEWEST_FIRST: TableOrder = { key: "minute", isAscending: false };

export type Refusals = readonly RefusalCount[];

/** What the proxies refused in the last minutes, of all machines that share the database. */
export function refusedLately({ store, now }: Pick<AdminDeps, "store" | "now">): Promise<Refusals> {
  const minute = now() - now() % MINUTE_MS;
  const since = minute - MINUTES * MINUTE_MS;
  return store.queryRefusals({ workspaceId: null, sandboxId: null, since, until: null, limit: MOST_COUNTERS, offset: 0 });
}

/** The same; null if the database does not answer at once. The calls in flight need none. */
export async function refusedIfKnown(deps: Pick<AdminDeps, "store" | "now">): Promise<Refusals | null> {
  try {
    return await deadline(refusedLately(deps), PATIENCE_MS, () => new DatabaseUnavailable("late"));
  } catch (error) {
    if (isUnavailable(error)) return null;
    throw error;
  }
}

interface RefusedParts {
  /** The page's, with its filters. */
  readonly url: URL;
  readonly zone: string;
  readonly refusals: Refusals;
}

/** The rows of the first page of the table, as HTML. */
export function refusedRows({ url, zone, refusals }: RefusedParts): string {
  const { columns, rows } = refusedPage({ url, zone, refusals });
  return String(<TableRows columns={columns} rows={rows} rowData={undefined} empty={NONE} />);
}

export function RefusedTable({ url, zone, refusals }: Omit<RefusedParts, "refusals"> & { readonly refusals: Refusals | null }) {
  const isFirst = !url.searchParams.has(`${REFUSED}_cursor`);
  return (
    <DataTable
      caption={CAPTION}
      name={REFUSED}
      empty={refusals === null ? AWAY : NONE}
      url={url}
      {...isFirst ? { bodyId: "refused-calls" } : {}}
      {...refusedPage({ url, zone, refusals: refusals ?? [] })}
    />
  );
}

const CAPTION = `Refused in the last ${MINUTES} minutes`;
const AWAY = "The database does not answer at the moment, so refusals cannot be shown.";
const NONE = "The proxy has refused no call here.";

/** Throws `AdminRefusal` for an order or a page that cannot be read. */
function refusedPage({ url, zone, refusals }: RefusedParts) {
  const columns = columnsOf(zone);
  const order = tableOrderOf(url, columns, { byDefault: NEWEST_FIRST, name: REFUSED });
  const sorted = sortedRows(refusals.filter(keptBy(url)), columns, order);
  return { columns, order, ...slicedRows(url, sorted, { size: ROWS, name: REFUSED }) };
}

export function refusedCsv({ url, zone, refusals }: RefusedParts): Response {
  return csvResponse("refused", columnsOf(zone), [refusals.filter(keptBy(url))]);
}

/** Counters know no trace: those of its sandbox and workspace are shown, if the page names them. */
function keptBy({ searchParams }: URL): (refusal: RefusalCount) => boolean {
  const [workspace, sandbox] = [searchParams.get("workspace_id"), searchParams.get("sandbox_id")];
  return ({ workspaceId, sandboxId }) => (!workspace || workspaceId === workspace) && (!sandbox || sandboxId === sandbox);
}

const UNKNOWN = <span class="missing">unknown</span>;

function columnsOf(zone: string): readonly Column<RefusalCount>[] {
  return [
    {
      key: "minute",
      title: "Minute",
      value: ({ minute }) => new Date(minute).toISOString(),
      cell: ({ minute }) => <Time at={minute} zone={zone} />,
    },
    {
      key: "sandbox",
      title: "Sandbox",
      value: ({ sandboxId }) => sandboxId,
      cell: (refusal) => refusal.sandboxId === "" ? UNKNOWN : <a class="id" href={placePath(refusal)}>{refusal.sandboxId}</a>,
    },
    {
      key: "workspace",
      title: "Workspace",
      value: ({ workspaceId }) => workspaceId,
      cell: ({ workspaceId }) =>
        workspaceId === "" ? UNKNOWN : <a class="id" href={placePath({ workspaceId, sandboxId: null })}>{workspaceId}</a>,
    },
    { key: "fault", title: "Why", value: ({ fault }) => fault, cell: ({ fault }) => whyText(fault) },
    { key: "calls", title: "Calls", isNumber: true, value: ({ count }) => count, cell: ({ count }) => wholeText(count) },
  ];
}

/** `over the limit of requests a day`, `upstream unreachable`. */
export function whyText(fault: FaultCode): string {
  const kind = ALL_KINDS.find((kind) => fault === `over_${kind}`);
  return kind === undefined ? fault.replaceAll("_", " ") : `over the limit of ${LIMIT_KINDS[kind].words}`;
}
