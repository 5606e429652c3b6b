import type { AdminDeps } from "../../admin_route.ts";
import { DEFAULT_PLACE } from "../../quotas.ts";
import { csvResponse, wantsCsv } from "../data_table.tsx";
import { linkTo } from "../links.ts";
import type { FormSent, Page, PageAction, PageAsked, Shown } from "../page.ts";
import { clearLimit, defaultLimitRows, limitColumns, LIMITS, LimitTable, setLimit } from "../places/limits.tsx";
import { type Done, placeActions } from "../places/place_actions.ts";
import { placeOf, placePath, readId } from "../places/place.ts";
import { DoneNotice, placePage } from "../places/place_page.tsx";
import { placeFile, type PlaceList, placeTable } from "../places/place_table.tsx";
import { SET_LIMITS, setLimitColumns, SetLimits } from "../places/set_limits.tsx";
import { SUSPENDED, suspensionColumns, SuspensionTable } from "../places/suspension.tsx";

const PATH = "/dashboard/workspaces";
const ALL: PlaceList = { what: "workspace", workspaceId: null };

/** What each workspace spends against its limits. */
export const WORKSPACES_PAGE: Page = {
  path: PATH,
  title: "Workspaces",
  isInNavigation: true,
  show,
  actions: [
    defaultAction("limit", (sent) => setLimit(sent, DEFAULT_PLACE)),
    defaultAction("limit-clear", (sent) => clearLimit(sent, DEFAULT_PLACE)),
  ],
};

/** One workspace. */
export const WORKSPACE_PAGE: Page = {
  path: `${PATH}/:workspace`,
  title: "Workspace",
  show: (asked) => placePage(asked, placeOf(asked, "workspace")),
  actions: placeActions("workspace"),
};

function defaultAction(name: Done, work: (sent: FormSent) => Promise<void>): PageAction {
  return {
    name,
    run: async (sent) => {
      await work(sent);
      return linkTo(new URL(PATH, sent.url), { done: name });
    },
  };
}

async function show(asked: PageAsked): Promise<Shown> {
  const { deps, zone } = asked;
  const goTo = asked.url.searchParams.get("go")?.trim();
  if (goTo) return toPlace(placePath({ workspaceId: readId(goTo), sandboxId: null }));
  const url = new URL(linkTo(asked.url, { done: null }), asked.url);
  const shown = { ...asked, url };
  if (wantsCsv(url, SUSPENDED)) return csvResponse("suspended", suspensionColumns("workspace", zone), [await suspendedIn(deps)]);
  if (wantsCsv(url, SET_LIMITS)) return csvResponse("limits", setLimitColumns(zone), [await deps.limits.list()]);
  if (wantsCsv(url, LIMITS)) {
    return csvResponse("default-limits", limitColumns(zone), [await defaultLimitRows(DEFAULT_PLACE, deps)]);
  }
  if (wantsCsv(url)) return placeFile(shown, ALL);
  return {
    body: (
      <>
        <DoneNotice url={asked.url} />
        <div class="filters">
          <form method="get">
            <label>
              Workspace <input name="go" required maxlength={256} />
            </label>
            <button type="submit" class="quiet">Open</button>
          </form>
        </div>
        {await placeTable(shown, ALL)}
        <h2>Suspended</h2>
        <SuspensionTable asked={shown} rows={await suspendedIn(deps)} what="workspace" />
        <h2>Limits of each workspace and trace without its own</h2>
        <LimitTable
          asked={shown}
          scope="default"
          rows={await defaultLimitRows(DEFAULT_PLACE, deps)}
          actionOf={(name) => `${PATH}/${name}`}
        />
        <h2>All limits</h2>
        <SetLimits asked={shown} limits={await deps.limits.list()} />
      </>
    ),
  };
}

async function suspendedIn({ suspensions }: AdminDeps) {
  return (await suspensions.list()).filter(({ sandboxId }) => sandboxId === null);
}

function toPlace(location: string): Response {
  return new Response(null, { status: 303, headers: { location } });
}
