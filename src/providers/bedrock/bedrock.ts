import { NOTHING_OWNED, type Provider } from "../../domain/provider.ts";
import { retryAfterMs } from "../rate_limit_headers.ts";
import { CLAUDE_ON_BEDROCK } from "./billing.ts";
import { baseUrlFor } from "./hosts.ts";
import { errorEvent, errorTypeOf, refuse } from "./refusal.ts";
import { baseUrlFault, ROUTES } from "./routes.ts";

/** A mistaken header must not close a model for longer. */
const MOST_WAIT_MS = 24 * 3_600_000;

/**
 * Anthropic's models by InvokeModel of Amazon Bedrock. Its native Messages API is the dialect
 * `anthropic` at another base URL.
 */
export const bedrock = {
  name: "bedrock",
  seller: "aws.bedrock",
  billing: CLAUDE_ON_BEDROCK,
  settings: {
    baseUrl: "https://bedrock-runtime.{region}.amazonaws.com",
    pays: ["key", "aws"],
    keyHeader: { header: "authorization", prefix: "Bearer " },
    keyVariable: "AWS_BEARER_TOKEN_BEDROCK",
    addedPath: /\/model(\/.*)?$/i,
  },
  prefix: "/bedrock",
  routes: ROUTES,
  baseUrlFault,
  baseUrlFor,
  owned: NOTHING_OWNED,
  refuse,
  errorEvent,
  errorTypeOf,
  credentialHeaders: ["authorization", "x-api-key", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"],
  // The id of an access key, and both kinds of API keys.
  credentialShape: /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\b(?:ABSK|bedrock-api-key-)[\w+/-]{16,}={0,2}/g,
  defaultHeaders: [],
  requestIdHeader: "x-amzn-requestid",
  waitMsOf,
  roomOf: () => ({}),
  checkPath: "/inference-profiles?maxResults=1",
} satisfies Provider;

/** Answers name no limits. A refused call may say how long to wait. */
function waitMsOf({ status, headers }: Pick<Response, "status" | "headers">, now: number): number {
  return status === 429 || status === 503 ? Math.min(retryAfterMs(headers, now) ?? 0, MOST_WAIT_MS) : 0;
}
