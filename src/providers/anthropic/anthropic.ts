import type { BodyFacts, Provider } from "../../domain/provider.ts";
import { ANSWER_KEYS, estimate, parseDeltas, parseNonStreamingResponse, parseStreamEvent, readAnswer } from "./answer.ts";
import { parseLine, parseStatus } from "./batches.ts";
import { CLIENTS } from "./clients.ts";
import { roomOf, waitMsOf } from "./rate_limits.ts";
import { errorEvent, errorTypeOf, refuse } from "./refusal.ts";
import { baseUrlFault, MAX_MESSAGE_BYTES, ROUTES } from "./routes.ts";
import { isRecord } from "./usage.ts";

/** The Messages API (https://docs.anthropic.com/en/api/messages), streamed and not. */
export const anthropic = {
  name: "anthropic",
  seller: "anthropic",
  routes: ROUTES,
  baseUrlFault,
  request: {
    maxBodyBytes: MAX_MESSAGE_BYTES,
    keys: ["model", "stream", "max_tokens", "metadata", "speed", "inference_geo"],
    factsOf,
    messagesKey: "messages",
    cacheMarkKey: "cache_control",
    fileKey: "file_id",
    filePrefix: "file_",
  },
  answerKeys: ANSWER_KEYS,
  readAnswer,
  parseNonStreamingResponse,
  parseStreamEvent,
  parseDeltas,
  estimate,
  errorTypeOf,
  clients: CLIENTS,
  // https://docs.anthropic.com/en/api/retrieving-message-batches
  batches: {
    pathOf: (id) => `/v1/messages/batches/${id}`,
    resultsPathOf: (id) => `/v1/messages/batches/${id}/results`,
    parseStatus,
    parseLine,
  },
  refuse,
  errorEvent,
  credentialHeaders: ["x-api-key", "authorization"],
  credentialShape: /sk-ant-[\w-]+/g,
  defaultHeaders: [["anthropic-version", "2023-06-01"]],
  requestIdHeader: "request-id",
  waitMsOf,
  roomOf,
  // https://docs.anthropic.com/en/api/models-list
  checkPath: "/v1/models?limit=1",
} satisfies Provider;

/** Claude Code names its session in `metadata.user_id`. */
function factsOf(values: ReadonlyMap<string, unknown>): BodyFacts {
  const [model, maxTokens, metadata] = [values.get("model"), values.get("max_tokens"), values.get("metadata")];
  const userId = isRecord(metadata) ? metadata.user_id : null;
  const text = (value: unknown) => typeof value === "string" ? value : null;
  return {
    model: typeof model === "string" ? model : "",
    isStreamed: values.get("stream") === true,
    maxTokens: Number.isSafeInteger(maxTokens) && maxTokens as number >= 0 ? maxTokens as number : null,
    userId: text(userId),
    speed: text(values.get("speed")),
    inferenceGeo: text(values.get("inference_geo")),
  };
}
