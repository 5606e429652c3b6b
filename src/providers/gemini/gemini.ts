import type { Provider } from "../../domain/provider.ts";
import { statusNameOf } from "../google_error.ts";
import { targetFault } from "../google_path.ts";
import { MOST_WAIT_MS, retryAfterMs } from "../rate_limit_headers.ts";
import { GEMINI_API } from "./billing.ts";
import { errorEvent, refuse } from "./refusal.ts";
import { baseUrlFault, ROUTES } from "./routes.ts";

/** The Gemini API (https://ai.google.dev/api). Gemini on Vertex AI is another one. */
export const gemini = {
  name: "gemini",
  seller: "gcp.gemini",
  billing: GEMINI_API,
  settings: {
    baseUrl: "https://generativelanguage.googleapis.com",
    pays: ["key", "google"],
    keyHeader: { header: "x-goog-api-key", prefix: "" },
    keyVariable: "GEMINI_API_KEY",
    addedPath: /\/v1(beta)?(\/models(\/.*)?)?$/i,
  },
  prefix: "/gemini",
  routes: ROUTES,
  baseUrlFault,
  owned: {
    keys: [
      ...["fileUri", "file_uri", "cachedContent", "cached_content"],
      ...["fileSearchStoreNames", "file_search_store_names"],
    ],
    // A bucket (`gs:`) is open to the operator's account. Videos of YouTube and other URLs pass.
    prefixes: [
      ...["files/", "/files/", "v1beta/files/", "/v1beta/files/", "cachedContents/", "fileSearchStores/", "gs:"],
      ...["https://generativelanguage.", "http://generativelanguage.", "generativelanguage."],
    ],
  },
  placed: (target) => targetFault(target) ?? { target, location: "" },
  refuse,
  errorEvent,
  errorTypeOf: statusNameOf,
  credentialHeaders: ["x-goog-api-key", "authorization"],
  // An API key of either generation, or a token of OAuth.
  credentialShape: /\b(?:AIza[\w-]{35}|AQ\.[\w-]{30,}|ya29\.[\w.-]{20,})/g,
  defaultHeaders: [],
  requestIdHeader: "x-goog-request-id",
  waitMsOf,
  roomOf: () => ({}),
  checkPath: "/v1beta/models?pageSize=1",
} satisfies Provider;

/** Google says how long in the body of an error; a gateway in front says it here. */
function waitMsOf({ status, headers }: Pick<Response, "status" | "headers">, now: number): number {
  const isBusy = status === 429 || status === 503;
  return isBusy ? Math.min(retryAfterMs(headers, now) ?? 0, MOST_WAIT_MS) : 0;
}
