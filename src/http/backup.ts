import { type BackUp, Busy, type Reship } from "../domain/operations.ts";
import { isUnavailable } from "../domain/unavailable.ts";
import { filtersOf, untilNow } from "./admin_filters.ts";
import { AdminRefusal } from "./admin_refusal.ts";

/**
 * `POST /internal/backup`: the embedded database at one moment, as one SQLite file. The headers
 * `x-llmproxy-backup`, `-rows` and `-rescued` describe it.
 */
export async function answerBackup(request: Request, backUp: BackUp): Promise<Response> {
  filtersOf(request.url, []);
  const { of, bytes, rows, isRescued, body } = await backUp().catch((error) => {
    if (isUnavailable(error) || error instanceof Busy) throw error;
    throw new AdminRefusal("api_error", `Cannot make a backup: ${error instanceof Error ? error.message : error}`);
  });
  const headers = {
    "content-type": "application/vnd.sqlite3",
    "content-length": String(bytes),
    "content-disposition": 'attachment; filename="llmproxy.db"',
    "x-llmproxy-backup": of,
    "x-llmproxy-backup-rows": String(rows),
    "x-llmproxy-backup-rescued": String(isRescued),
  };
  return new Response(body, { headers });
}

export const RESHIP_FILTERS = ["since"] as const;

/** `POST /internal/reship?since=`: `{"queued": n}` rows; 409 if there is no shared database. */
export async function answerReship(request: Request, reship: Reship, now: () => number): Promise<Response> {
  const { since } = filtersOf(request.url, RESHIP_FILTERS);
  if (since === null) throw new AdminRefusal("invalid_request_error", "Cannot ship again without the filter since");
  untilNow(since, { until: null, now: now() });
  if (reship === null) {
    throw new AdminRefusal("conflict_error", "Cannot ship again: there is no shared database, LLMPROXY_DATABASE_URL is not set");
  }
  return Response.json({ queued: await reship(since) });
}
