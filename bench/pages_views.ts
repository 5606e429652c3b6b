/** What the bench of the pages asks: what the pages themselves link to. */
import { PAGES } from "../src/http/dashboard/pages.ts";
import type { Browser } from "./dashboard.ts";
import { randomFrom } from "./questions.ts";
import { FLEET, rankOf, sandboxesOf, sandboxOf, slotOf, traceOf, workspaceOf } from "./store_fleet.ts";

/** One page in one way: a span, an order, the second page of a table. */
export interface View {
  /** As the table of pages has it. */
  readonly page: string;
  /** The query without ids and cursors. */
  readonly query: string;
  /** The addresses of that kind that were found. */
  readonly paths: readonly string[];
}

/** Of a page about one trace, workspace or sandbox. The first is of the largest workspace. */
const PLACES = 6;
const MOST_PATHS = 12;
/** The longest span that a page offers. */
const LONGEST = "range=year";
/** Names in queries whose values are ids, cursors and the like. */
const OPEN_VALUES = /(?:^|_)(?:id|cursor|prefix|agent|model|since|until)$/;

/**
 * Opens each page, and once more for its longest span, and returns everything to which those link
 * in the dashboard, downloads excepted. `rows`: of the database.
 */
export async function viewsOf(
  { get }: Browser,
  { rows, only }: { readonly rows: number; readonly only: string | undefined },
): Promise<readonly View[]> {
  const found = new Map<string, Map<string, Set<string>>>(pagePaths().map((page) => [page, new Map()]));
  const places = new Map([...found.keys()].map((page) => [page, placesOf(page, rows)]));
  const pageOf = new Map([...places].flatMap(([page, paths]) => paths.map((path) => [path, page])));
  const note = (path: string) => {
    const { pathname, searchParams } = new URL(path, ORIGIN);
    const page = pageOf.get(pathname);
    if (page === undefined || searchParams.has("format")) return;
    const views = found.get(page)!;
    const query = queryText(searchParams);
    const paths = views.get(query) ?? new Set();
    if (paths.size < MOST_PATHS) paths.add(path);
    views.set(query, paths);
  };
  for (const path of [...places.values()].flat()) {
    note(path);
    const links = linksIn(await get(path), path);
    links.forEach(note);
    const longest = links.find((link) => new URL(link, ORIGIN).pathname === path && link.endsWith(`?${LONGEST}`));
    if (longest !== undefined) linksIn(await get(longest), longest).forEach(note);
  }
  return [...found].flatMap(([page, views]) => [...views].map(([query, paths]) => ({ page, query, paths: [...paths] })))
    .filter(({ page, query }) => `${page} ${query}`.includes(only ?? ""));
}

const ORIGIN = "http://localhost";

/** Without the events and questions of other pages. */
function pagePaths(): readonly string[] {
  return PAGES.filter(({ isPart }) => !isPart).map(({ path }) => path);
}

/** Paths of a page, with places of the fleet. Throws for an unknown parameter. */
function placesOf(page: string, rows: number): readonly string[] {
  if (!page.includes(":")) return [page];
  const random = randomFrom(rows);
  return Array.from({ length: PLACES }, (_, n) => {
    const trace = Math.floor(random() * rows / FLEET.rowsOfTrace);
    const rank = n === 0 ? 1 : rankOf(slotOf(trace));
    const sample: Readonly<Record<string, string>> = {
      id: traceOf(trace),
      workspace: workspaceOf(rank),
      sandbox: sandboxOf(rank, Math.floor(random() * sandboxesOf(rank))),
    };
    return page.replace(/:(\w+)/g, (_, name) => {
      const value = sample[name];
      if (value === undefined) throw new Error(`Cannot ask ${page}: the bench knows no ${name} of the fleet`);
      return encodeURIComponent(value);
    });
  });
}

/** Paths with their queries, as a browser would ask for them. */
function linksIn(html: string, path: string): readonly string[] {
  return [...html.matchAll(/<a [^>]*?href="([^"]*)"/g)].map(([, href]) => {
    const { origin, pathname, search } = new URL(href!.replaceAll("&amp;", "&"), `${ORIGIN}${path}`);
    return origin === ORIGIN ? pathname + search : "";
  });
}

function queryText(query: URLSearchParams): string {
  return [...query].map(([name, value]) => OPEN_VALUES.test(name) ? name : `${name}=${value}`).join("&");
}
