import { z } from "zod";
import type { ImportBatch, ImportRows } from "../domain/imported_rows.ts";
import { AdminRefusal, readJsonBody, shown } from "./admin_refusal.ts";
import { filtersOf, rfc3339 } from "./admin_filters.ts";

/** Reading, pricing and storing so many holds the event loop for some 10 ms. */
export const MAX_IMPORTED = 200;
const MAX_BODY_BYTES = 2 * 1_024 * 1_024;
const MAX_TEXT = 4_096;
/** A year. The end of a call has to be a time that JavaScript can write. */
const MAX_MS = 366 * 86_400_000;

const text = z.string().max(MAX_TEXT);
const id = text.min(1);
const count = z.int().min(0);
const ms = count.max(MAX_MS);
const trace = z.strictObject({
  id,
  sandboxId: text,
  workspaceId: text,
  source: text,
  createdAt: rfc3339,
  updatedAt: rfc3339,
});
const usage = z.strictObject({
  id,
  traceId: id.nullable().default(null),
  sandboxId: text,
  workspaceId: text,
  provider: text,
  model: text,
  messageId: text.nullable().default(null),
  inputTokens: count,
  outputTokens: count,
  cacheCreationInputTokens: count,
  cacheReadInputTokens: count,
  streaming: z.boolean(),
  duration: ms,
  ttft: ms,
  createdAt: rfc3339,
});
export const importedBatch = z.strictObject({
  traces: z.array(trace).max(MAX_IMPORTED).default([]),
  usage: z.array(usage).max(MAX_IMPORTED).default([]),
});

/**
 * `POST /internal/import` `{"traces": Trace[], "usage": TokenUsage[]}`, at most 200 of each, as in
 * the Go program's API: `{"unpriced": n}` of these rows. A row that is there already counts once.
 */
export async function answerImport(request: Request, importRows: ImportRows): Promise<Response> {
  filtersOf(request.url, []);
  const read = importedBatch.safeParse(await readJsonBody(request, MAX_BODY_BYTES));
  if (!read.success) throw unreadable(read.error.issues[0]!);
  return Response.json(await importRows(read.data satisfies ImportBatch));
}

function unreadable({ path, message }: z.core.$ZodIssue): AdminRefusal {
  const place = path.length === 0 ? "the body" : shown(path.map(String).join("."));
  return new AdminRefusal("invalid_request_error", `Cannot read ${place} as what an import holds: ${message}`);
}
