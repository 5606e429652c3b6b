import { AdminRefusal, shown } from "../../admin_refusal.ts";
import { cursorText } from "../../cursor.ts";
import { cursorOf } from "../../usage_filters.ts";
import { DataTable, wantsCsv } from "../data_table.tsx";
import type { Page, PageAsked, Shown } from "../page.ts";
import { RangePicker } from "../range.tsx";
import { columnsOf, GROUPED, type Grouped, groupsCsv, groupsQuery, orderIn } from "./groups.tsx";
import { Narrowed, selectionOf, viewOf } from "./selection.tsx";

/** All models, upstreams, workspaces or sandboxes, page by page. */
export const GROUPS_PAGE: Page = { path: "/dashboard/usage", title: "Usage", show };

const ROWS_A_PAGE = 100;

async function show({ url, deps }: PageAsked): Promise<Shown> {
  const grouped = groupedIn(url);
  const order = orderIn(url, grouped);
  const question = JSON.stringify(["dashboard", grouped.name, order, viewOf(url.pathname, url)]);
  const cursor = cursorOf({ cursor: url.searchParams.get("cursor"), offset: null }, question);
  // Later pages are of the span that the first page was of.
  const asOf = cursor?.asOf ?? deps.now();
  const selection = selectionOf(url, asOf);
  if (wantsCsv(url)) return groupsCsv(selection, grouped, { order, store: deps.store });
  const query = groupsQuery(selection, grouped, { order, limit: ROWS_A_PAGE, after: cursor?.after ?? null });
  const { usage, next } = await deps.store.queryUsage(query);
  return {
    title: grouped.title,
    body: (
      <>
        <RangePicker url={url} range={selection.range} />
        <Narrowed url={url} selection={selection} />
        <p>
          <a href={viewOf("/dashboard", url)}>Overview of these calls</a>
        </p>
        <DataTable
          caption={`${grouped.title} by what they used`}
          columns={columnsOf(grouped, url)}
          rows={usage}
          next={next === null ? null : cursorText({ after: next, asOf }, question)}
          empty="No calls in this span. Choose a longer one above."
          {...{ url, order }}
        />
      </>
    ),
  };
}

/** Throws `AdminRefusal`. */
function groupedIn({ searchParams }: URL): Grouped {
  const name = searchParams.get("by") ?? "workspace";
  const found = GROUPED.find((grouped) => grouped.name === name);
  if (found !== undefined) return found;
  const names = GROUPED.map((grouped) => grouped.name).join(", ");
  throw new AdminRefusal("invalid_request_error", `Cannot read by as one of ${names}: current value is ${shown(name)}`);
}
