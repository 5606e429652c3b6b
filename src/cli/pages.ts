import type { z } from "zod";
import type { AdminClient } from "./admin_client.ts";

/** The most entries of one answer of the admin API. */
const PAGE = 1_000;

export interface PagesOf<Page> {
  readonly path: string;
  readonly query: URLSearchParams;
  /** How many entries to read; Infinity: all. */
  readonly limit: number;
  readonly shape: z.ZodType<Page>;
}

/** Page after page of a list, each as it comes, until `limit` entries have been read. */
export async function* pagesOf<Page extends { readonly nextCursor?: string | undefined }>(
  client: Pick<AdminClient, "question">,
  { path, query, limit, shape }: PagesOf<Page>,
): AsyncGenerator<Page, void> {
  const next = new URLSearchParams(query);
  for (let left = limit; left > 0; left -= PAGE) {
    next.set("limit", String(Math.min(left, PAGE)));
    const page = await client.question(`${path}?${next}`, shape);
    yield page;
    if (page.nextCursor === undefined) return;
    next.set("cursor", page.nextCursor);
  }
}
