import type { Suspension } from "../../../domain/suspensions.ts";
import { Confirm } from "../confirm.tsx";
import { type Column, ListTable } from "../data_table.tsx";
import { Time } from "../figures.tsx";
import type { PageAsked } from "../page.ts";
import { type Place, placePath, placeWords } from "./place.ts";

/** Of the table in the URL. */
export const SUSPENDED = "suspended";
const ROWS = 20;
const NEWEST_FIRST = { key: "since", isAscending: false };

/** The suspensions that stop a place: its own, and that of its workspace. */
export function suspensionsOf(all: readonly Suspension[], { workspaceId, sandboxId }: Place) {
  const find = (id: string | null) => all.find((one) => one.workspaceId === workspaceId && one.sandboxId === id) ?? null;
  return { own: find(sandboxId), ofWorkspace: sandboxId === null ? null : find(null) };
}

/** Whether a place is served, and the button that changes it. */
export function SuspensionState({ asked, place, all }: {
  readonly asked: PageAsked;
  readonly place: Place;
  readonly all: readonly Suspension[];
}) {
  const { own, ofWorkspace } = suspensionsOf(all, place);
  return (
    <div class="panel line">
      {own === null && ofWorkspace === null ? <span class="good">Calls are served.</span> : null}
      {own === null ? null : <Since what="Suspended" suspension={own} zone={asked.zone} />}
      {ofWorkspace === null ? null : <Since what="Its workspace is suspended" suspension={ofWorkspace} zone={asked.zone} />}
      {asked.session.role === "admin" ? <Change asked={asked} place={place} isSuspended={own !== null} /> : null}
    </div>
  );
}

function Since({ what, suspension: { createdAt, reason }, zone }: {
  readonly what: string;
  readonly suspension: Suspension;
  readonly zone: string;
}) {
  return (
    <span class="bad">
      {what} since <Time at={createdAt} zone={zone} />
      {reason === null ? "." : `: ${reason}`}
    </span>
  );
}

function Change({ asked: { formToken }, place, isSuspended }: {
  readonly asked: PageAsked;
  readonly place: Place;
  readonly isSuspended: boolean;
}) {
  return isSuspended
    ? (
      <Confirm id="resume" label="Resume" action={placePath(place, "resume")} formToken={formToken}>
        <p>{`${placeWords(place)} may make calls again?`}</p>
      </Confirm>
    )
    : (
      <Confirm id="suspend" label="Suspend" action={placePath(place, "suspend")} formToken={formToken}>
        <p>{`${placeWords(place)} makes no call until it is resumed. Its calls in flight are cut.`}</p>
        <p>
          <label>
            Reason, for operators <input name="reason" maxlength={500} />
          </label>
        </p>
      </Confirm>
    );
}

/** All suspensions of workspaces, or all of sandboxes. */
export function SuspensionTable({ asked: { url, zone }, rows, what }: {
  readonly asked: PageAsked;
  readonly rows: readonly Suspension[];
  readonly what: "workspace" | "sandbox";
}) {
  return (
    <ListTable
      caption={what === "workspace" ? "Suspended workspaces" : "Suspended sandboxes"}
      url={url}
      name={SUSPENDED}
      columns={suspensionColumns(what, zone)}
      rows={rows}
      size={ROWS}
      byDefault={NEWEST_FIRST}
      empty={`No ${what} is suspended.`}
    />
  );
}

export function suspensionColumns(what: "workspace" | "sandbox", zone: string): readonly Column<Suspension>[] {
  const workspace: Column<Suspension> = {
    key: "workspace",
    title: "Workspace",
    value: ({ workspaceId }) => workspaceId,
    cell: ({ workspaceId }) => <a class="id" href={placePath({ workspaceId, sandboxId: null })}>{workspaceId}</a>,
  };
  const sandbox: Column<Suspension> = {
    key: "sandbox",
    title: "Sandbox",
    value: ({ sandboxId }) => sandboxId,
    cell: (suspension) => <a class="id" href={placePath(suspension)}>{suspension.sandboxId}</a>,
  };
  return [
    what === "sandbox" ? sandbox : workspace,
    {
      key: "since",
      title: "Since",
      value: ({ createdAt }) => new Date(createdAt).toISOString(),
      cell: ({ createdAt }) => <Time at={createdAt} zone={zone} />,
    },
    { key: "reason", title: "Reason", value: ({ reason }) => reason },
    ...(what === "sandbox" ? [workspace] : []),
  ];
}
