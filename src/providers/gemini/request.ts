import type { BodyFacts, RequestDialect } from "../../domain/provider.ts";
import { isRecord } from "../untrusted_json.ts";
import { decoded } from "../google_path.ts";

/** Google names 100 MB for a request with its inline data; more goes to the Files API. */
export const MAX_REQUEST_BYTES = 100 * 1024 * 1024;

/** Google's JSON takes names in both spellings (https://protobuf.dev/programming-guides/json). */
export const REQUEST: RequestDialect = {
  maxBodyBytes: MAX_REQUEST_BYTES,
  keys: ["generationConfig", "generation_config"],
  factsOf,
  messagesKey: "contents",
  // Gemini caches without marks. No key is empty.
  cacheMarkKey: "",
};

/** `…/models/gemini-3.5-flash:streamGenerateContent?alt=sse` */
const CALL = /\/models\/([^/?]+):(?:generateContent|(streamGenerateContent))(?:\?|$)/;

/** The path names the model, and whether the answer is streamed. */
function factsOf(values: ReadonlyMap<string, unknown>, target: string): BodyFacts {
  const [, model = "", stream] = CALL.exec(target) ?? [];
  return {
    model: decoded(model),
    isStreamed: stream !== undefined,
    maxTokens: maxTokensIn(values.get("generationConfig")) ?? maxTokensIn(values.get("generation_config")),
    userId: null,
    speed: null,
    inferenceGeo: null,
  };
}

function maxTokensIn(config: unknown): number | null {
  if (!isRecord(config)) return null;
  const limit = config.maxOutputTokens ?? config.max_output_tokens;
  return Number.isSafeInteger(limit) && limit as number >= 0 ? limit as number : null;
}
