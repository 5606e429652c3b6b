import type { AnswerDialect, BodyFacts, CallDialect, Part } from "../../domain/provider.ts";
import { EMPTY_READING, type UsageReading } from "../../domain/reading.ts";
import { messages } from "../anthropic/messages.ts";
import { parsedRecord } from "../untrusted_json.ts";
import { foldGoogleError, isGoogleError } from "../google_error.ts";
import { decoded } from "../google_path.ts";

const { request, answer } = messages;

/**
 * Claude's messages on Vertex AI
 * (https://docs.anthropic.com/en/api/claude-on-vertex-ai): Anthropic's body without a model, and
 * Anthropic's answers. Errors may be Google's.
 */
export const rawPredict: CallDialect = {
  request: { ...request, factsOf },
  answer: {
    ...answer,
    readAnswer,
    parseNonStreamingResponse,
    parseStreamEvent,
    // Google's front ends write an error of a stream as an array of one.
    readsArrays: true,
    unsaid: ({ model, inferenceGeo }) => ({ servedModel: model === "" ? null : model, inferenceGeo }),
  } satisfies AnswerDialect,
};

/** `…/locations/us-east5/publishers/anthropic/models/claude-opus-5-5:streamRawPredict` */
const CALL = /\/locations\/([^/?]+)\/publishers\/anthropic\/models\/([^/?]+):(?:rawPredict|(streamRawPredict))(?:\?|$)/;

/** The path names the model, the place, and whether the answer is streamed. */
function factsOf(values: ReadonlyMap<string, unknown>, target: string): BodyFacts {
  const [, location = "", model = "", stream] = CALL.exec(target) ?? [];
  return {
    ...request.factsOf(values, target),
    model: decoded(model),
    isStreamed: stream !== undefined,
    inferenceGeo: location === "" ? null : location,
  };
}

function readAnswer(values: Readonly<Record<string, unknown>>): UsageReading {
  const reading = answer.readAnswer(values);
  return inSamePlace(isGoogleError(values.error) ? foldGoogleError(reading, values.error) : reading, EMPTY_READING);
}

function parseNonStreamingResponse(body: string): UsageReading {
  const values = parsedRecord(body);
  return values === null ? answer.parseNonStreamingResponse(body) : readAnswer(values);
}

function parseStreamEvent(reading: UsageReading, part: Part): UsageReading {
  // Anthropic's own events have names.
  if (part.event === "" || part.event === "error") {
    const error = parsedRecord(part.data)?.error;
    if (isGoogleError(error)) return foldGoogleError(reading, error);
  }
  return inSamePlace(answer.parseStreamEvent(reading, part), reading);
}

/** The path's location decides the price. What the answer says of a place means nothing here. */
function inSamePlace(reading: UsageReading, { inferenceGeo }: Pick<UsageReading, "inferenceGeo">): UsageReading {
  return reading.inferenceGeo === inferenceGeo ? reading : { ...reading, inferenceGeo };
}
