import { Fault } from "../../domain/fault.ts";
import type { BodyFacts, CallDialect, Part } from "../../domain/provider.ts";
import { EMPTY_READING, type UsageReading } from "../../domain/reading.ts";
import * as anthropic from "../anthropic/answer.ts";
import { factsOf as factsOfBody } from "../anthropic/messages.ts";
import { foldUsage } from "../anthropic/usage.ts";
import { countOf, isRecord, parsedRecord, textOf } from "../untrusted_json.ts";
import { frameDeltas } from "./deltas.ts";
import { partOf } from "./frames.ts";
import { geoOf, invocationOf, mayBeAnthropics } from "./model_ids.ts";

const MB = 1024 * 1024;

/** The most that Bedrock takes. */
export const MAX_BODY_BYTES = 25 * MB;

/**
 * InvokeModel with Anthropic's messages:
 * https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html
 */
export const invoke: CallDialect = {
  request: {
    maxBodyBytes: MAX_BODY_BYTES,
    keys: ["max_tokens", "metadata", "speed"],
    factsOf,
    messagesKey: "messages",
    cacheMarkKey: "cache_control",
    unreadable,
  },
  answer: {
    answerKeys: anthropic.ANSWER_KEYS,
    readAnswer: (values) => withTermsOf(EMPTY_READING, anthropic.readAnswer(values)),
    parseNonStreamingResponse: (body) => withTermsOf(EMPTY_READING, anthropic.parseNonStreamingResponse(body)),
    parseStreamEvent,
    parseDeltas: anthropic.parseDeltas,
    estimate: anthropic.estimate,
    partOf,
    frameDeltas,
    unsaid,
  },
};

/** The path names the model and says whether the answer is streamed. */
function factsOf(values: ReadonlyMap<string, unknown>, target: string): BodyFacts {
  const { model, isStreamed } = invocationOf(target);
  return { ...factsOfBody(values), model, isStreamed, inferenceGeo: geoOf(model) };
}

/** Each maker of models has answers of its own. The name of an application's profile tells none. */
function unreadable({ model }: BodyFacts): Fault | null {
  if (mayBeAnthropics(model)) return null;
  return new Fault(
    "unmetered",
    "This proxy meters Anthropic's models on Bedrock, and no others: ask for one whose name has `anthropic.` in it.",
  );
}

/** The first occurrence of the key is that of an object: within a text, its quotes are escaped. */
const METRICS = "amazon-bedrock-invocationMetrics";

function parseStreamEvent(reading: UsageReading, part: Part): UsageReading {
  const next = withTermsOf(reading, anthropic.parseStreamEvent(reading, part));
  return part.data.includes(`"${METRICS}"`) ? foldMetrics(next, parsedRecord(part.data)?.[METRICS]) : next;
}

/** What Anthropic's answer says of place and tier is not what Bedrock bills: `unsaid` has that. */
function withTermsOf({ inferenceGeo, serviceTier }: UsageReading, next: UsageReading): UsageReading {
  const isSame = next.inferenceGeo === inferenceGeo && next.serviceTier === serviceTier;
  return isSame ? next : { ...next, inferenceGeo, serviceTier };
}

/**
 * The counts of AWS, which come with the last event. They split no cache writes, so they only fill
 * in what Anthropic's events left out.
 */
function foldMetrics(reading: UsageReading, metrics: unknown): UsageReading {
  if (!isRecord(metrics)) return reading;
  const { inputTokenCount, outputTokenCount, cacheReadInputTokenCount, cacheWriteInputTokenCount } = metrics;
  // A count of zero is no last word: text may have passed.
  const fillsOutput = !reading.hasFinalOutput && outputTokenCount !== 0;
  const filled = foldUsage(reading, {
    ...(reading.hasInput ? {} : { input_tokens: inputTokenCount }),
    ...(fillsOutput ? { output_tokens: outputTokenCount } : {}),
    ...(reading.cacheReadInputTokens > 0 ? {} : { cache_read_input_tokens: cacheReadInputTokenCount }),
    ...(reading.cacheCreationInputTokens > 0 ? {} : { cache_creation_input_tokens: cacheWriteInputTokenCount }),
  });
  return { ...filled, hasFinalOutput: reading.hasFinalOutput || (fillsOutput && countOf(outputTokenCount) !== null) };
}

/** An error is named in the head alone; its body is one `message`. */
function unsaid(asked: BodyFacts, headers: Headers): Partial<UsageReading> {
  const kind = textOf(headers.get("x-amzn-errortype")?.split(":")[0]);
  if (kind !== null) return { errorType: kind };
  return {
    servedModel: asked.model === "" ? null : asked.model,
    inferenceGeo: geoOf(asked.model),
    serviceTier: textOf(headers.get("x-amzn-bedrock-service-tier")),
  };
}
