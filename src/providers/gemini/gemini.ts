import type { Provider } from "../../domain/provider.ts";
import { waitMsOf } from "../anthropic/rate_limits.ts";
import { statusNameOf } from "../google_error.ts";
import { queryFault } from "../google_path.ts";
import { errorEvent, refuse } from "./refusal.ts";
import { baseUrlFault, ROUTES } from "./routes.ts";

/** The Gemini API (https://ai.google.dev/api). Gemini on Vertex AI is another one. */
export const gemini = {
  name: "gemini",
  seller: "gcp.gemini",
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
  placed: (target) => queryFault(target) ?? { target, location: "" },
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
