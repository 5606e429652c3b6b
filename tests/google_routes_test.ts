/** Which paths of Google's dialects pass, beside those of another dialect. */
import assert from "node:assert/strict";
import { Roads } from "../src/http/roads.ts";
import { HeaderFields } from "../src/domain/header_fields.ts";
import { anthropic } from "../src/providers/anthropic/anthropic.ts";
import { gemini } from "../src/providers/gemini/gemini.ts";
import { vertex } from "../src/providers/vertex/vertex.ts";
import { stopsHere } from "../src/wire/stopped_headers.ts";

const DIALECTS = [anthropic, gemini, vertex];
const CLAUDE = "/v1/projects/p/locations/us-east5/publishers/anthropic/models";

/** The dialect, and what happens to the request there. */
function roadOf(request: string): string {
  const [method = "", url = ""] = request.split(" ");
  const { provider, route } = new Roads(DIALECTS).of({ method, url, headers: new HeaderFields([]) }, DIALECTS);
  if (route === null) return `${provider.name} nothing`;
  if (route.kind !== "passthrough") return `${provider.name} ${route.kind}`;
  return `${provider.name} ${route.isClosed === true ? "closed" : route.passthrough.name}`;
}

const ROADS: Readonly<Record<string, readonly string[]>> = {
  "gemini billed": [
    "POST /v1beta/models/gemini-3.8-flash:generateContent",
    "POST /v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse",
    "POST /v1/models/gemini-3.8-flash:generateContent",
    "POST /v1/models/gemini-3.8-flash:streamGenerateContent",
    "POST /gemini/v1beta/models/gemini-3.8-flash:generateContent",
    "POST /gemini/v1/models/gemini-3.8-flash:generateContent",
  ],
  "gemini count_tokens": ["POST /v1beta/models/m:countTokens", "POST /v1/models/m:countTokens"],
  "gemini models": ["GET /v1beta/models", "GET /v1beta/models?pageSize=1", "GET /v1beta/models/m", "HEAD /v1beta/models"],
  "gemini closed": [
    ...["embedContent", "batchEmbedContents", "asyncBatchEmbedContent", "batchGenerateContent", "predict", "predictLongRunning"]
      .map((method) => `POST /v1beta/models/m:${method}`),
    ...["interactions", "interactions/1", "interactions/1/cancel", "files", "files/1", "cachedContents", "cachedContents/1"]
      .map((path) => `POST /v1beta/${path}`),
    ...["fileSearchStores", "batches", "tunedModels/x:generateContent", "auth_tokens", "corpora", "openai/chat/completions"]
      .map((path) => `POST /v1beta/${path}`),
    ...["GET /v1beta/files/1:download", "DELETE /v1beta/models/m", "GET /v1beta/models/m:generateContent/x"],
    ...["POST /upload/v1beta/files", "POST /v1beta/models/m%3AgenerateContent", "POST /v1beta/models/m:generateContentX"],
  ],
  "vertex billed": [
    `POST ${CLAUDE}/claude-sonnet-4-5@20250929:rawPredict`,
    `POST ${CLAUDE}/claude-opus-5-5:streamRawPredict`,
    `POST /vertex${CLAUDE}/claude-opus-5-5:streamRawPredict`,
  ],
  "vertex count_tokens": [`POST ${CLAUDE}/count-tokens:rawPredict`],
  "vertex closed": [
    `POST ${CLAUDE}/claude-opus-5-5:predict`,
    `GET ${CLAUDE}/claude-opus-5-5`,
    "POST /v1/projects/p/locations/l/endpoints/1:predict",
    "POST /v1/projects/p/locations/l/batchPredictionJobs",
    "POST /v1/projects/p/locations/l/cachedContents",
    "POST /v1/projects/p/locations/l/publishers/google/models/gemini-3.8-flash:generateContent",
  ],
  "anthropic billed": ["POST /v1/messages"],
  "anthropic models": ["GET /v1/models", "GET /v1/models/m"],
  "anthropic nothing": ["POST /v1alpha/auth_tokens", "POST /models"],
  // They know these from clients with a wrong base URL.
  "gemini nothing": ["POST /v1internal:countTokens"],
  "vertex nothing": ["POST /projects/p/x", "POST /v1beta1/projects/p"],
};

Deno.test("each path of Gemini and of Vertex AI has its road, and what spends without a count is closed (trap 43)", () => {
  for (const [road, requests] of Object.entries(ROADS)) {
    for (const request of requests) assert.equal(roadOf(request), road, request);
  }
});

Deno.test("no header that chooses another payer, hides usage, or changes the method goes to Google (trap 44)", () => {
  for (const name of ["x-goog-user-project", "x-goog-fieldmask", "x-http-method-override", "x_goog_user_project"]) {
    assert.ok(stopsHere(name, "request"), name);
  }
  for (const name of ["x-goog-api-client", "x-goog-request-params"]) assert.ok(!stopsHere(name, "request"), name);
});
