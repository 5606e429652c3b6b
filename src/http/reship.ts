import type { Reship } from "../domain/operations.ts";
import { AdminRefusal } from "./admin_refusal.ts";
import { filtersOf, untilNow } from "./admin_filters.ts";

/** `POST /internal/reship?since=`: `{"queued": n}` rows; 409 where there is no shared database. */
export async function answerReship(
  request: Request,
  reship: Reship,
  { now }: { readonly now: () => number },
): Promise<Response> {
  const { since } = filtersOf(request.url, ["since"]);
  if (since === null) throw new AdminRefusal("invalid_request_error", "Cannot ship again without the filter since");
  untilNow(since, { until: null, now: now() });
  if (reship === null) {
    throw new AdminRefusal("conflict_error", "Cannot ship again: there is no shared database, LLMPROXY_DATABASE_URL is not set");
  }
  return Response.json({ queued: await reship(since) });
}
