import type { ExportUsage } from "../domain/operations.ts";
import type { ExportFormat } from "../domain/usage_record.ts";
import { AdminRefusal } from "./admin_refusal.ts";
import { filtersOf, untilNow } from "./admin_filters.ts";

export const EXPORT_FILTERS = ["format", "since", "until", "workspace_id", "sandbox_id"] as const;

const CSV = "text/csv; charset=utf-8; header=present";
const PARQUET = "application/vnd.apache.parquet";

/** `lists`: what the lines of a file are. */
export const EXPORT_FILES: Readonly<Record<ExportFormat, ExportFile>> = {
  csv: { lists: "calls", contentType: CSV, name: "llmproxy-usage.csv" },
  ndjson: { lists: "calls", contentType: "application/x-ndjson", name: "llmproxy-usage.ndjson" },
  parquet: { lists: "calls", contentType: PARQUET, name: "llmproxy-usage.parquet" },
  focus: { lists: "charges", contentType: CSV, name: "llmproxy-focus.csv" },
  "focus-parquet": { lists: "charges", contentType: PARQUET, name: "llmproxy-focus.parquet" },
};

interface ExportFile {
  readonly lists: "calls" | "charges";
  readonly contentType: string;
  readonly name: string;
}

/**
 * `GET /internal/export?format=`: all closed rows in order of (createdAt, id), or their charges by
 * the hour. If the body ends tidily, it is whole. The headers tell the number of rows, if it is
 * known before the file is made, and the estimated bytes.
 */
export async function answerExport(request: Request, exportUsage: ExportUsage, now: () => number): Promise<Response> {
  const filters = filtersOf(request.url, EXPORT_FILTERS);
  const { format, since, until } = filters;
  if (format === null) throw new AdminRefusal("invalid_request_error", "Cannot export without the filter format");
  const { lists, contentType, name } = EXPORT_FILES[format];
  const headers = { "content-type": contentType, "content-disposition": `attachment; filename="${name}"` };
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
      ...(rows === null || lists === "charges" ? {} : { "x-llmproxy-rows": String(rows) }),
      ...(estimatedBytes === null ? {} : { "x-llmproxy-estimated-bytes": String(estimatedBytes) }),
    },
  });
}
