import { csvResponse, wantsCsv } from "../data_table.tsx";
import type { Page, PageAsked, Shown } from "../page.ts";
import { placeActions } from "../places/place_actions.ts";
import { placeOf, readId } from "../places/place.ts";
import { placePage } from "../places/place_page.tsx";
import { placeFile, placeTable } from "../places/place_table.tsx";
import { SUSPENDED, suspensionColumns, SuspensionTable } from "../places/suspension.tsx";

const PATH = "/dashboard/sandboxes";

/** What each sandbox spends against its limits. */
export const SANDBOXES_PAGE: Page = { path: PATH, title: "Sandboxes", isInNavigation: true, show };

/** One sandbox. Its id is unique in its workspace only. */
export const SANDBOX_PAGE: Page = {
  path: `${PATH}/:workspace/:sandbox`,
  title: "Sandbox",
  show: (asked) => placePage(asked, placeOf(asked, "sandbox")),
  actions: placeActions("sandbox"),
};

async function show(asked: PageAsked): Promise<Shown> {
  const { url, zone, deps } = asked;
  const given = url.searchParams.get("workspace_id")?.trim();
  const workspaceId = given ? readId(given) : null;
  const suspended = (await deps.suspensions.list()).filter((one) =>
    one.sandboxId !== null && (workspaceId === null || one.workspaceId === workspaceId)
  );
  if (wantsCsv(url, SUSPENDED)) return csvResponse("suspended", suspensionColumns("sandbox", zone), [suspended]);
  const list = { what: "sandbox", workspaceId } as const;
  if (wantsCsv(url)) return placeFile(asked, list);
  return {
    body: (
      <>
        <div class="filters">
          <form method="get">
            <label>
              Workspace <input name="workspace_id" value={workspaceId ?? ""} maxlength={256} />
            </label>
            <button type="submit" class="quiet">Show</button>
            {workspaceId === null ? null : <a href={PATH}>All</a>}
          </form>
        </div>
        {await placeTable(asked, list)}
        <h2>Suspended</h2>
        <SuspensionTable asked={asked} rows={suspended} what="sandbox" />
      </>
    ),
  };
}
