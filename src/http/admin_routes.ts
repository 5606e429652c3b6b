import { HEALTH } from "./health.ts";
import { filtersOf, LIST_FILTERS } from "./admin_filters.ts";
import { type AdminRoute, type Asked, inJson } from "./admin_route.ts";
import { answerRefusals, answerTrace, answerTraces, answerUsage, TRACE_DETAIL_FILTERS } from "./admin_usage.ts";
import {
  auditShape,
  documentShape,
  endedCallsShape,
  healthShape,
  importedShape,
  newTokenShape,
  pricesShape,
  queuedShape,
  refusalsShape,
  repricedShape,
  tokenShape,
  tokensShape,
  traceDetailShape,
  tracesShape,
  upstreamsShape,
  usageShape,
} from "./answer_shapes.ts";
import { answerAudit, AUDIT_FILTERS } from "./audit.ts";
import { answerBackup, answerReship, RESHIP_FILTERS } from "./backup.ts";
import { answerEndedCalls, ENDED_FILTERS } from "./ended_calls.ts";
import { answerExport, EXPORT_FILES, EXPORT_FILTERS } from "./export.ts";
import { answerImport, importedBatch } from "./import.ts";
import { openApiDocument } from "./openapi.ts";
import { QUOTA_ROUTES } from "./quota_routes.ts";
import { answerReprice, NDJSON, REPRICE_FILTERS } from "./reprice.ts";
import { STOP_ROUTES } from "./stop_routes.ts";
import { createToken, listTokens, revokeToken, TOKEN_FILTERS, wantedToken } from "./tokens.ts";
import { TRACE_FILTERS, USAGE_FILTERS } from "./usage_filters.ts";

/** The admin API. A new route is one row here, with its answer's schema in `answer_shapes.ts`. */
export const ADMIN_ROUTES: readonly AdminRoute[] = [
  {
    method: "GET",
    path: "/internal/usage",
    does:
      "Totals of ended calls by provider and model, or by what group_by names. An order is tokens, cost, requests, failures or time, " +
      "alone or with .asc or .desc behind it.",
    filters: USAGE_FILTERS,
    answers: { 200: inJson("A page of groups, and the totals of all", usageShape) },
    answer: ({ request, deps }) => answerUsage(request, deps),
  },
  {
    method: "GET",
    path: "/internal/traces",
    does: "Sessions with their totals. An order is activity, created, cost, tokens or requests, alone or with .asc or .desc " +
      "behind it.",
    filters: TRACE_FILTERS,
    answers: { 200: inJson("A page of sessions, and the totals of all", tracesShape) },
    answer: ({ request, deps }) => answerTraces(request, deps),
  },
  {
    method: "GET",
    path: "/internal/traces/:id",
    does: "One session: its newest calls, its agents as a tree, and what the prompt cache was worth.",
    filters: TRACE_DETAIL_FILTERS,
    answers: { 200: inJson("The session", traceDetailShape) },
    refusals: ["conflict_error"],
    answer: ({ request, param, deps }) => answerTrace(request, param(), deps),
  },
  {
    method: "GET",
    path: "/internal/calls",
    does:
      "Calls of all replicas that have ended since the answer whose next is the filter after, in the order in which they came. " +
      "Without after, none: only where to read on from now.",
    filters: ENDED_FILTERS,
    answers: { 200: inJson("The calls, and where to read on", endedCallsShape) },
    answer: ({ request, deps }) => answerEndedCalls(request, deps),
  },
  {
    method: "GET",
    path: "/internal/refusals",
    does: "What the proxy itself refused, by sandbox, fault and minute, newest first.",
    filters: LIST_FILTERS,
    answers: { 200: inJson("A page of counters", refusalsShape) },
    answer: ({ request, deps }) => answerRefusals(request, deps),
  },
  {
    method: "GET",
    path: "/internal/upstreams",
    does:
      "The upstreams in the order in which calls try them, each with who bills it, who may use it and its credentials' names.",
    filters: [],
    answers: { 200: inJson("All of them", upstreamsShape) },
    answer: answerUpstreams,
  },
  {
    method: "GET",
    path: "/internal/prices",
    does: "The prices in force, US dollars per million tokens: one for each size of prompt of each model.",
    filters: [],
    answers: { 200: inJson("All of them, with the price list's version", pricesShape) },
    answer: answerPrices,
  },
  {
    method: "GET",
    path: "/internal/tokens",
    does: "Local tokens, newest first, never the tokens themselves.",
    filters: TOKEN_FILTERS,
    answers: { 200: inJson("All of them, or those of one workspace", tokensShape) },
    answer: ({ request, deps }) => listTokens(request, deps.tokens),
  },
  {
    method: "POST",
    path: "/internal/tokens",
    does: "Makes a local token and shows it once.",
    filters: [],
    body: wantedToken,
    answers: { 201: inJson("The token and its record", newTokenShape) },
    answer: ({ request, by, deps }) => createToken(request, { ...deps, by }),
  },
  {
    method: "DELETE",
    path: "/internal/tokens/:id",
    does: "Revokes a local token. The first revocation stands.",
    filters: [],
    answers: { 200: inJson("The revoked token", tokenShape) },
    answer: ({ request, param, by, deps }) => revokeToken(request, param(), { ...deps, by }),
  },
  ...QUOTA_ROUTES,
  ...STOP_ROUTES,
  {
    method: "GET",
    path: "/internal/audit",
    does: "Administrative changes, newest first: who, when, before and after.",
    filters: AUDIT_FILTERS,
    answers: { 200: inJson("A page of changes", auditShape) },
    answer: ({ request, deps }) => answerAudit(request, deps),
  },
  {
    method: "GET",
    path: "/internal/export",
    does: "Every closed row of a time span, oldest first, or its charges by the hour. If the body ends tidily, it is whole.",
    filters: EXPORT_FILTERS,
    needs: ["format"],
    answers: {
      200: {
        does: "The rows in the format asked for",
        content: {
          [EXPORT_FILES.csv.contentType]: "text",
          [EXPORT_FILES.ndjson.contentType]: "text",
          [EXPORT_FILES.parquet.contentType]: "binary",
        },
        headers: {
          "x-llmproxy-rows": "Their number, if they are calls",
          "x-llmproxy-estimated-bytes": "An estimate of the body's length",
        },
      },
    },
    answer: ({ request, deps }) => answerExport(request, deps.exportUsage, deps.now),
  },
  {
    method: "POST",
    path: "/internal/import",
    does: "Takes rows of the Go program, at most 200 of each kind. A row that is there already counts once.",
    filters: [],
    body: importedBatch,
    answers: { 200: inJson("The number of rows without a price", importedShape) },
    answer: ({ request, deps }) => answerImport(request, deps.importRows),
  },
  {
    method: "POST",
    path: "/internal/backup",
    does: "The embedded database at one moment, as one SQLite file.",
    filters: [],
    answers: {
      200: {
        does: "The file",
        content: { "application/vnd.sqlite3": "binary" },
        headers: {
          "x-llmproxy-backup": "database, or spool if a shared database has the records",
          "x-llmproxy-backup-rows": "The number of calls in it",
          "x-llmproxy-backup-rescued": "true if the database's files were lost",
        },
      },
    },
    answer: ({ request, deps }) => answerBackup(request, deps.backUp),
  },
  {
    method: "POST",
    path: "/internal/reship",
    does: "Ships again what this replica recorded from that time on. A row that has arrived counts once.",
    filters: RESHIP_FILTERS,
    needs: ["since"],
    answers: { 200: inJson("The number of rows that are queued", queuedShape) },
    refusals: ["conflict_error"],
    answer: ({ request, deps }) => answerReship(request, deps.reship, deps.now),
  },
  {
    method: "POST",
    path: "/internal/reprice",
    does: `Prices rows again by the prices in force. With accept: ${NDJSON} it answers line by line while it works.`,
    filters: REPRICE_FILTERS,
    needs: ["since"],
    answers: {
      200: { does: "How the rows changed", content: { "application/json": repricedShape, [NDJSON]: "text" } },
    },
    refusals: ["conflict_error"],
    answer: ({ request, by, deps }) => answerReprice(request, { ...deps, by }),
  },
  {
    method: "GET",
    path: "/internal/openapi.json",
    does: "This document.",
    filters: [],
    answers: { 200: inJson("OpenAPI 3.1", documentShape) },
    answer: answerDocument,
  },
  {
    method: "GET",
    path: "/metrics",
    does: "Metrics in Prometheus' text format.",
    filters: null,
    answers: { 200: { does: "The metrics", content: { "text/plain; version=0.0.4; charset=utf-8": "text" } } },
    answer: answerMetrics,
  },
  {
    method: "GET",
    path: "/healthz",
    does: "Whether the process lives.",
    filters: null,
    answers: { 200: inJson("It lives", healthShape) },
    isOpen: true,
    answer: (asked) => answerHealth("/healthz", asked),
  },
  {
    method: "GET",
    path: "/readyz",
    does: "Whether the proxy can serve and record calls.",
    filters: null,
    answers: {
      200: inJson("It can; degraded says that an operator should look", healthShape),
      503: inJson("It cannot", healthShape),
    },
    isOpen: true,
    answer: (asked) => answerHealth("/readyz", asked),
  },
];

function answerDocument({ request, deps }: Asked): Response {
  filtersOf(request.url, []);
  return Response.json(openApiDocument(ADMIN_ROUTES, deps.version));
}

function answerUpstreams({ request, deps }: Asked): Response {
  filtersOf(request.url, []);
  return Response.json({ upstreams: deps.upstreams() });
}

function answerPrices({ request, deps }: Asked): Response {
  filtersOf(request.url, []);
  return Response.json(deps.prices());
}

async function answerMetrics({ deps }: Asked): Promise<Response> {
  const { text, contentType } = await deps.metrics();
  return new Response(text, { headers: { "content-type": contentType } });
}

function answerHealth(path: keyof typeof HEALTH, { deps }: Asked): Response {
  const { status, body } = HEALTH[path]!(deps.readiness);
  return Response.json(body, { status });
}
