import type { ExportUsage } from "../domain/operations.ts";
import type { ExportFormat } from "../domain/usage_record.ts";
import { AdminRefusal } from "./admin_refusal.ts";
import { filtersOf, untilNow } from "./admin_filters.ts";

export const EXPORT_FILTERS = ["format", "since", "until", "workspace_id", "sandbox_id"] as const;

export const EXPORT_CONTENT_TYPES: Readonly<Record<ExportFormat, string>> = {
  csv: "text/csv; charset=utf-8; header=present",
  ndjson: "application/x-ndjson",
  parquet: "application/vnd.apache.parquet",
};

/**
 * `GET /internal/export?format=`: all closed rows in order of (createdAt, id). If the body ends
 * tidily, it is whole. The headers tell the number of rows and the estimated bytes.
 */
export async function answerExport(request: Request, exportUsage: ExportUsage, now: () => number): Promise<Response> {
  const filters = filtersOf(request.url, EXPORT_FILTERS);
  const { format, since, until } = filters;
  if (format === null) throw new AdminRefusal("invalid_request_error", "Cannot export without the filter format");
  const headers = {
    "content-type": EXPORT_CONTENT_TYPES[format],
    "content-disposition": `attachment; filename="llmproxy-usage.${format}"`,
  };
  if (request.method === "HEAD") return new Response(null, { headers });
  const filter = {
    since,
    until: untilNow(since, { until, now: now() }),
    workspaceId: filters.workspace_id,
    sandboxId: filters.sandbox_id,
  };
  const { rows, estimatedBytes, body } = await exportUsage(format, filter);
  return new Response(body, {
    headers: {
      ...headers,
      ...(rows === null ? {} : { "x-llmproxy-rows": String(rows) }),
      ...(estimatedBytes === null ? {} : { "x-llmproxy-estimated-bytes": String(estimatedBytes) }),
    },
  });
}
