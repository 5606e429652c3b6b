/** Reads what the dashboard's pages say, as someone who has signed in. */
import { VIEWER_TOKEN } from "./admin_under_test.ts";
import { browserAt, type DashboardBrowser, type DashboardPlace } from "./dashboard_browser.ts";

/** A viewer, unless another token is given. */
export async function readerOf(place: DashboardPlace, token = VIEWER_TOKEN): Promise<DashboardBrowser> {
  const browser = browserAt(place);
  await browser.signIn(token);
  return browser;
}

/** What a page says: without its tags, one blank between words. */
export function textOf(html: string): string {
  const main = html.slice(html.indexOf("<main"));
  return decoded(main.replaceAll(/<[^>]*>/g, " ")).replaceAll(/\s+/g, " ").trim();
}

export function linksIn(html: string): readonly { readonly href: string; readonly text: string }[] {
  const found = html.matchAll(/<a [^>]*?href="([^"]*)"[^>]*>(.*?)<\/a>/gs);
  return [...found].map(([, href, inner]) => ({ href: decoded(href!), text: decoded(inner!.replaceAll(/<[^>]*>/g, "")).trim() }));
}

/** Where the first link with that text leads; null if no link has it. */
export function linkIn(html: string, text: string): string | null {
  return linksIn(html).find((link) => link.text === text)?.href ?? null;
}

/** The cells of each line of a file whose texts have no line breaks. */
export function csvRows(text: string): readonly (readonly string[])[] {
  return text.trimEnd().split("\r\n").map((line) =>
    [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain!)
  );
}

function decoded(text: string): string {
  const named: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', "#39": "'", amp: "&", nbsp: " " };
  return text.replaceAll(/&(lt|gt|quot|#39|amp|nbsp);/g, (_, name: string) => named[name]!);
}
