import { Fault, type FaultCode } from "../../domain/fault.ts";
import type { CallDialect, PassthroughRoute, Route } from "../../domain/provider.ts";
import { ANSWER_KEYS, estimate, parseNonStreamingResponse, parseStreamEvent, readAnswer } from "./answer.ts";
import { parseDeltas } from "./plain_chunks.ts";
import { MAX_REQUEST_BYTES, REQUEST } from "./request.ts";

/** An answer of a model (https://ai.google.dev/api/generate-content), streamed and not. */
export const generateContent: CallDialect = {
  request: REQUEST,
  answer: {
    answerKeys: ANSWER_KEYS,
    readAnswer,
    parseNonStreamingResponse,
    parseStreamEvent,
    parseDeltas,
    estimate,
    readsArrays: true,
    endsWithBytes: true,
    unsaid: ({ model }, headers) => ({
      servedModel: model === "" ? null : model,
      serviceTier: headers.get("x-gemini-service-tier")?.toLowerCase() ?? null,
    }),
  },
};

/** A route without special needs. */
const PLAIN = { maxBodyBytes: MAX_REQUEST_BYTES, joinsTrace: false, namesOwned: false, answersJson: true } as const;
const MODELS: PassthroughRoute = { ...PLAIN, name: "models" };
const COUNT_TOKENS: PassthroughRoute = { ...PLAIN, name: "count_tokens", joinsTrace: true, namesOwned: true };
const OTHER: PassthroughRoute = { ...PLAIN, name: "other", namesOwned: true, answersJson: false };

/** Paths that stay closed unless the operator opens them, and why. */
const CLOSED: readonly (readonly [path: string, why: string])[] = [
  ["/v1beta/models/:call{[^/]+:(?:batchE|asyncBatchE|e)mbedContents?}", "spends tokens and names none in its answer"],
  ["/v1beta/models/:call{[^/]+:(?:batchGenerateContent|asyncBatch.+)}", "spends later: only the batch's results name what"],
  ["/v1beta/models/:call{[^/]+:predict(?:LongRunning)?}", "makes images and videos, which no count of tokens measures"],
  ["/v1beta/interactions/*", "spends in several hops, and keeps the conversation for every caller of the key"],
  ["/v1beta/interactions", "as above"],
  ["/v1beta/files/*", "belongs to the key: any caller could read another workspace's files"],
  ["/v1beta/cachedContents/*", "costs for each hour that it is kept, which no answer names; belongs to the key"],
  ["/v1beta/fileSearchStores/*", "spends on embeddings; belongs to the key"],
  ["/v1beta/batches/*", "belongs to the key, and so do the results"],
  ["/v1beta/tunedModels/*", "belongs to the key, as do corpora"],
  ["/v1beta/auth_tokens", "makes a credential that calls past the proxy, as does /v1alpha"],
  ["/upload/*", "answers with the URL of Google's own host, where the client sends the bytes past the proxy"],
  ["/v1beta/*", "is not known: it may spend"],
];

export const ROUTES: readonly Route[] = [
  ...["/v1beta/models", "/v1/models"].flatMap((models): readonly Route[] => [
    { method: "POST", path: `${models}/:call{[^/]+:generateContent}`, kind: "billed", call: generateContent },
    { method: "POST", path: `${models}/:call{[^/]+:streamGenerateContent}`, kind: "billed", call: generateContent },
    { method: "POST", path: `${models}/:call{[^/]+:countTokens}`, kind: "passthrough", passthrough: COUNT_TOKENS },
  ]),
  // `/v1/models` itself is a path of other dialects.
  { method: "GET", path: "/v1beta/models", kind: "passthrough", passthrough: MODELS },
  { method: "GET", path: "/v1beta/models/:id", kind: "passthrough", passthrough: MODELS },
  ...CLOSED.map(([path]): Route => ({ method: "*", path, kind: "passthrough", passthrough: OTHER, isClosed: true })),
];

/** What a client with a wrong base URL asks for, and what to tell its user. */
const SLIPS: readonly (readonly [path: RegExp, code: FaultCode, message: string])[] = [
  [
    /^\/v1(?:alpha|beta)?\/v1(?:alpha|beta)\//,
    "path_misdirected",
    "The client's base URL has one version too many: the client adds its own. Take it off the end of the base URL.",
  ],
  [
    /^\/models\/[^/]+:\w+$/,
    "path_unknown",
    "There is nothing at this path: /v1beta is missing. Check the base URL of the client: put /v1beta at its end.",
  ],
  [
    /^\/v1internal[:/]/,
    "path_misdirected",
    "The client is signed in with a Google account, which uses another API. Let it use an API key: the proxy token.",
  ],
];

export function baseUrlFault(path: string): Fault | null {
  const slip = SLIPS.find(([shape]) => shape.test(path));
  return slip === undefined ? null : new Fault(slip[1], slip[2]);
}
