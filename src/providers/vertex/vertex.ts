import { NOTHING_OWNED, type Provider } from "../../domain/provider.ts";
import { waitMsOf } from "../anthropic/rate_limits.ts";
import { errorEvent, errorTypeOf, refuse } from "../anthropic/refusal.ts";
import { VERTEX_AI } from "./billing.ts";
import { baseUrlFault, placed, ROUTES } from "./routes.ts";

/** Claude on Vertex AI (https://docs.anthropic.com/en/api/claude-on-vertex-ai). */
export const vertex = {
  name: "vertex",
  seller: "gcp.vertex_ai",
  billing: VERTEX_AI,
  settings: {
    baseUrl: "https://{location}-aiplatform.googleapis.com",
    pays: ["key", "google"],
    keyHeader: { header: "authorization", prefix: "Bearer " },
    keyVariable: "ANTHROPIC_AUTH_TOKEN",
    addedPath: /\/v1(\/projects(\/.*)?)?$/i,
    hasPlace: true,
  },
  prefix: "/vertex",
  routes: ROUTES,
  baseUrlFault,
  owned: NOTHING_OWNED,
  placed,
  refuse,
  errorEvent,
  errorTypeOf,
  credentialHeaders: ["authorization", "x-api-key", "x-goog-api-key"],
  // A token of OAuth, or an API key.
  credentialShape: /\b(?:ya29\.[\w.-]{20,}|AIza[\w-]{35}|sk-ant-[\w-]+)/g,
  defaultHeaders: [],
  requestIdHeader: "request-id",
  waitMsOf,
  roomOf: () => ({}),
  // https://cloud.google.com/vertex-ai/docs/reference/rest/v1beta1/publishers.models/list
  checkPath: "/v1beta1/publishers/anthropic/models?pageSize=1",
} satisfies Provider;
