/** What has arrived in a shared database. */
import type { PostgresDatabases } from "./postgres_server.ts";
import type { Row } from "./proxy_under_test.ts";
import { waitFor } from "./wait.ts";

const ARRIVAL_MS = 20_000;

/** All rows of `usage`, oldest first, numbers as numbers. */
export async function sharedRows(postgres: PostgresDatabases, url = postgres.url): Promise<readonly Row[]> {
  const rows = await postgres.psql("SELECT to_json(usage) AS row FROM usage ORDER BY created_at, id", url);
  return rows.map(({ row }) => row as Row);
}

/** The rows, as soon as there are that many. */
export function arrivedRows(
  postgres: PostgresDatabases,
  { count, url = postgres.url }: { readonly count: number; readonly url?: string },
): Promise<readonly Row[]> {
  return waitFor(async () => {
    const rows = await sharedRows(postgres, url).catch(() => []);
    return rows.length >= count && rows;
  }, { what: `${count} rows in the shared database`, deadlineMs: ARRIVAL_MS });
}
