/** Reads the dashboard's pages as someone who has signed in and has no scripts. */
import { type AdminUnderTest, type Answer, VIEWER_TOKEN } from "./admin_under_test.ts";

export interface Reader {
  readonly open: (path: string) => Promise<Answer>;
}

/** A viewer, unless another token is given. */
export async function readerOf({ askBare }: Pick<AdminUnderTest, "askBare">, token = VIEWER_TOKEN): Promise<Reader> {
  const body = new URLSearchParams({ token });
  const signedIn = await askBare("/dashboard/sign-in", { method: "POST", body, headers: { host: "localhost" } });
  const cookie = signedIn.headers.get("set-cookie")!.split(";")[0]!;
  return { open: (path) => askBare(path, { redirect: "manual", headers: { cookie, host: "localhost" } }) };
}

/** What a page says: without its tags, one blank between words. */
export function textOf(html: string): string {
  const main = html.slice(html.indexOf("<main"));
  return decoded(main.replaceAll(/<[^>]*>/g, " ")).replaceAll(/\s+/g, " ").trim();
}

/** The dashboard of a proxy that listens. */
export function dashboardAt(adminUrl: string): Pick<AdminUnderTest, "askBare"> {
  return {
    async askBare(path, { headers, ...init } = {}) {
      const { host: _, ...own } = headers as Record<string, string>;
      const answer = await fetch(adminUrl + path, { ...init, headers: own, redirect: "manual" });
      return { status: answer.status, headers: answer.headers, text: await answer.text(), json: null };
    },
  };
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
