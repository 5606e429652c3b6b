import type { AuditEntry, AuditQuery } from "../../../domain/audit.ts";
import type { AdminDeps } from "../../admin_route.ts";
import { auditQueryOf } from "../../audit.ts";
import { type Column, csvResponse, DataTable, wantsCsv } from "../data_table.tsx";
import { Time } from "../figures.tsx";
import { withoutView } from "../links.ts";
import type { Page, PageAsked, Shown } from "../page.ts";

/** Who changed what: every administrative change, newest first. */
export const AUDIT_PAGE: Page = { path: "/dashboard/audit", title: "Audit", isInNavigation: true, show };

async function show({ url, zone, deps }: PageAsked): Promise<Shown> {
  const { query, cursorOf } = auditQueryOf(withoutView(url), deps.now);
  const columns = columnsIn(zone);
  if (wantsCsv(url)) return csvResponse("audit", columns, everyPage(query, deps));
  const { entries, next } = await deps.audit.listAudit(query);
  return {
    body: (
      <DataTable
        caption="Administrative changes"
        url={url}
        columns={columns}
        rows={entries}
        order={{ key: "at", isAscending: false }}
        next={next === null ? null : cursorOf(next)}
        empty="There are no changes of tokens, limits, suspensions or prices yet."
      />
    ),
  };
}

function columnsIn(zone: string): readonly Column<AuditEntry>[] {
  return [
    {
      key: "at",
      title: "When",
      isUnsorted: true,
      value: ({ at }) => new Date(at).toISOString(),
      cell: ({ at }) => <Time at={at} zone={zone} />,
    },
    { key: "who", title: "Who", isUnsorted: true, value: ({ who, claimed }) => claimed === null ? who : `${who} (${claimed})` },
    { key: "address", title: "From", isUnsorted: true, value: ({ address }) => address },
    { key: "action", title: "Change", isUnsorted: true, value: ({ action }) => action },
    { key: "workspace", title: "Workspace", isUnsorted: true, value: ({ workspaceId }) => workspaceId },
    {
      key: "target",
      title: "Of",
      isUnsorted: true,
      value: ({ target }) => target,
      cell: ({ target }) => <span class="id">{target}</span>,
    },
    {
      key: "before",
      title: "Before",
      isUnsorted: true,
      value: ({ before }) => jsonOf(before),
      cell: ({ before }) => <Json value={before} />,
    },
    {
      key: "after",
      title: "After",
      isUnsorted: true,
      value: ({ after }) => jsonOf(after),
      cell: ({ after }) => <Json value={after} />,
    },
  ];
}

function Json({ value }: { readonly value: AuditEntry["before"] }) {
  return value === null ? <span class="missing">–</span> : <code>{JSON.stringify(value)}</code>;
}

function jsonOf(value: AuditEntry["before"]): string | null {
  return value === null ? null : JSON.stringify(value);
}

async function* everyPage(query: AuditQuery, { audit }: AdminDeps): AsyncGenerator<readonly AuditEntry[]> {
  for (let after = query.after;;) {
    const { entries, next } = await audit.listAudit({ ...query, limit: CSV_PAGE, after });
    yield entries;
    if (next === null) return;
    after = next;
  }
}

const CSV_PAGE = 1_000;
