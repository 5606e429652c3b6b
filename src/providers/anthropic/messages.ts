import type { BodyFacts, CallDialect } from "../../domain/provider.ts";
import type { UsageReading } from "../../domain/reading.ts";
import { geoOf } from "../bedrock/model_ids.ts";
import { ANSWER_KEYS, estimate, parseDeltas, parseNonStreamingResponse, parseStreamEvent, readAnswer } from "./answer.ts";
import { isRecord } from "../untrusted_json.ts";

const MB = 1024 * 1024;

/** The API's own limit for a message and for what has no limit of its own. */
export const MAX_MESSAGE_BYTES = 32 * MB;

/** A message (https://docs.anthropic.com/en/api/messages), streamed and not. */
export const messages: CallDialect = {
  request: {
    maxBodyBytes: MAX_MESSAGE_BYTES,
    keys: ["model", "stream", "max_tokens", "metadata", "speed", "inference_geo"],
    factsOf,
    messagesKey: "messages",
    cacheMarkKey: "cache_control",
  },
  answer: { answerKeys: ANSWER_KEYS, readAnswer, parseNonStreamingResponse, parseStreamEvent, parseDeltas, estimate, unsaid },
};

const NOTHING: Partial<UsageReading> = {};

/** Amazon takes messages too. Its model ids say where they run, and its answers do not. */
function unsaid({ model }: BodyFacts): Partial<UsageReading> {
  const inferenceGeo = geoOf(model);
  return inferenceGeo === null ? NOTHING : { inferenceGeo };
}

/** Claude Code names its session in `metadata.user_id`. */
export function factsOf(values: ReadonlyMap<string, unknown>): BodyFacts {
  const [model, maxTokens, metadata] = [values.get("model"), values.get("max_tokens"), values.get("metadata")];
  const userId = isRecord(metadata) ? metadata.user_id : null;
  const text = (value: unknown) => typeof value === "string" ? value : null;
  const name = text(model) ?? "";
  return {
    model: name,
    isStreamed: values.get("stream") === true,
    maxTokens: Number.isSafeInteger(maxTokens) && maxTokens as number >= 0 ? maxTokens as number : null,
    userId: text(userId),
    speed: text(values.get("speed")),
    inferenceGeo: text(values.get("inference_geo")) ?? geoOf(name),
  };
}
