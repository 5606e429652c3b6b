import { type Limit, LIMIT_KINDS } from "../../../domain/limits.ts";
import { costUsd } from "../../../domain/money.ts";
import { isMoney, KEYS } from "../../quotas.ts";
import { type Column, ListTable } from "../data_table.tsx";
import { Time } from "../figures.tsx";
import type { PageAsked } from "../page.ts";
import { traceLink } from "../traces/trace_link.ts";
import { amountText } from "./limits.tsx";
import { placePath } from "./place.ts";

/** Of the table in the URL. */
export const SET_LIMITS = "set_limits";
const ROWS = 20;
const BY_WORKSPACE = { key: "workspace", isAscending: true };

/** Every limit that someone has set, of whatever place. */
export function SetLimits({ asked: { url, zone }, limits }: { readonly asked: PageAsked; readonly limits: readonly Limit[] }) {
  return (
    <ListTable
      caption="Limits that are set"
      url={url}
      name={SET_LIMITS}
      columns={setLimitColumns(zone)}
      rows={limits}
      size={ROWS}
      byDefault={BY_WORKSPACE}
      empty="No limit is set. Open a workspace to set its limits."
    />
  );
}

export function setLimitColumns(zone: string): readonly Column<Limit>[] {
  return [
    {
      key: "workspace",
      title: "Workspace",
      value: ({ workspaceId }) => workspaceId,
      cell: ({ workspaceId, scope }) =>
        scope === "default"
          ? "each without its own"
          : <a class="id" href={placePath({ workspaceId, sandboxId: null })}>{workspaceId}</a>,
    },
    { key: "of", title: "Of", value: ({ scope }) => scope },
    { key: "id", title: "Id", value: ({ id }) => id, cell: (limit) => <IdOf limit={limit} /> },
    { key: "limit", title: "Limit", value: ({ kind }) => KEYS[kind], cell: ({ kind }) => LIMIT_KINDS[kind].words },
    {
      key: "max",
      title: "At most",
      isNumber: true,
      value: ({ kind, max }) => isMoney(kind) ? costUsd(max) : max,
      sortBy: ({ max }) => max,
      cell: ({ kind, max }) => max === 0 ? "no limit" : amountText(kind, max),
    },
    {
      key: "set_at",
      title: "Set",
      value: ({ updatedAt }) => new Date(updatedAt).toISOString(),
      cell: ({ updatedAt }) => <Time at={updatedAt} zone={zone} />,
    },
  ];
}

function IdOf({ limit: { scope, workspaceId, id } }: { readonly limit: Limit }) {
  if (scope === "sandbox") return <a class="id" href={placePath({ workspaceId, sandboxId: id })}>{id}</a>;
  return scope === "trace" ? <a class="id" href={traceLink({ workspaceId, id })}>{id}</a> : <>–</>;
}
