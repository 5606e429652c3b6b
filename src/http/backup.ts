import { type BackUp, BackupUnderWay } from "../domain/operations.ts";
import { isUnavailable } from "../domain/unavailable.ts";
import { AdminRefusal } from "./admin_refusal.ts";
import { filtersOf } from "./admin_filters.ts";

const RETRY_AFTER_SECONDS = "10";

/** `POST /internal/backup`: the embedded database as it stands at one moment, as one SQLite file. `x-llmproxy-backup` says of what, `-rows` how many calls. */
export async function answerBackup(request: Request, backUp: BackUp): Promise<Response> {
  filtersOf(request.url, []);
  const { of, bytes, rows, isRescued, body } = await backUp().catch((error) => {
    if (isUnavailable(error)) throw error;
    throw error instanceof BackupUnderWay
      ? new AdminRefusal("overloaded_error", error.message, { headers: { "retry-after": RETRY_AFTER_SECONDS } })
      : new AdminRefusal("api_error", `Cannot make a backup: ${error instanceof Error ? error.message : error}`);
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
