import { type ExportUsage, TooManyExports } from "../domain/operations.ts";
import type { ExportFormat } from "../domain/usage_record.ts";
import { AdminRefusal } from "./admin_refusal.ts";
import { filtersOf, untilNow } from "./admin_filters.ts";

const RETRY_AFTER_SECONDS = "10";

const CONTENT_TYPES: Readonly<Record<ExportFormat, string>> = {
  csv: "text/csv; charset=utf-8; header=present",
  ndjson: "application/x-ndjson",
  parquet: "application/vnd.apache.parquet",
};

/**
 * `GET /internal/export?format=`: all closed rows in order of (createdAt, id). A body that ends tidily is whole.
 * `x-llmproxy-rows` says how many there are, `x-llmproxy-estimated-bytes` about how long they will be.
 */
export async function answerExport(
  request: Request,
  exportUsage: ExportUsage,
  { now }: { readonly now: () => number },
): Promise<Response> {
  const { format, since, until, workspace_id, sandbox_id } = filtersOf(request.url, [
    "format",
    "since",
    "until",
    "workspace_id",
    "sandbox_id",
  ]);
  if (format === null) throw new AdminRefusal("invalid_request_error", "Cannot export without the filter format");
  const headers = {
    "content-type": CONTENT_TYPES[format],
    "content-disposition": `attachment; filename="llmproxy-usage.${format}"`,
  };
  if (request.method === "HEAD") return new Response(null, { headers });
  const filter = { since, until: untilNow(since, { until, now: now() }), workspaceId: workspace_id, sandboxId: sandbox_id };
  const { rows, estimatedBytes, body } = await exportUsage(format, filter).catch((error) => {
    throw error instanceof TooManyExports
      ? new AdminRefusal("overloaded_error", error.message, { headers: { "retry-after": RETRY_AFTER_SECONDS } })
      : error;
  });
  return new Response(body, {
    headers: {
      ...headers,
      ...(rows === null ? {} : { "x-llmproxy-rows": String(rows) }),
      ...(estimatedBytes === null ? {} : { "x-llmproxy-estimated-bytes": String(estimatedBytes) }),
    },
  });
}
