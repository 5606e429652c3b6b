import type { Provider } from "../../domain/provider.ts";
import { parseLine, parseStatus } from "./batches.ts";
import { CLAUDE_API } from "./billing.ts";
import { messages } from "./messages.ts";
import { roomOf, waitMsOf } from "./rate_limits.ts";
import { errorEvent, errorTypeOf, refuse } from "./refusal.ts";
import { baseUrlFault, ROUTES } from "./routes.ts";

/** The API of Anthropic (https://docs.anthropic.com/en/api/overview). */
export const anthropic = {
  name: "anthropic",
  seller: "anthropic",
  billing: CLAUDE_API,
  settings: {
    baseUrl: "https://api.anthropic.com",
    pays: ["key", "aws"],
    keyHeader: { header: "x-api-key", prefix: "" },
    keyVariable: "ANTHROPIC_API_KEY",
    addedPath: /\/v1(\/(messages|complete|models|files)(\/.*)?)?$/i,
  },
  prefix: "/anthropic",
  markHeader: "anthropic-version",
  routes: ROUTES,
  baseUrlFault,
  // A container of an earlier version of the proxy has no owner, and may be named.
  owned: { keys: ["file_id", "container"], prefixes: ["file_"] },
  // https://docs.anthropic.com/en/api/retrieving-message-batches
  batches: {
    pathOf: (id) => `/v1/messages/batches/${id}`,
    resultsPathOf: (id) => `/v1/messages/batches/${id}/results`,
    answer: messages.answer,
    parseStatus,
    parseLine,
  },
  refuse,
  errorEvent,
  errorTypeOf,
  credentialHeaders: ["x-api-key", "authorization"],
  credentialShape: /sk-ant-[\w-]+/g,
  defaultHeaders: [["anthropic-version", "2023-06-01"]],
  requestIdHeader: "request-id",
  waitMsOf,
  roomOf,
  // https://docs.anthropic.com/en/api/models-list
  checkPath: "/v1/models?limit=1",
} satisfies Provider;
