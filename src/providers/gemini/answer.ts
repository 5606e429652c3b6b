import type { Part } from "../../domain/provider.ts";
import { EMPTY_READING, type UsageReading } from "../../domain/reading.ts";
import { isRecord, parsedRecord, textOf } from "../untrusted_json.ts";
import { foldGoogleError } from "../google_error.ts";
import { foldContent } from "./content.ts";
import { foldUsage, namesOutput } from "./usage.ts";

type Data = Readonly<Record<string, unknown>>;

/** The top-level keys of an answer that `readAnswer` looks at. */
export const ANSWER_KEYS = ["candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId", "error"];

/**
 * Reads a whole JSON answer, or an error of any status. A text that is not an object, such as a
 * body cut short, makes an empty reading that is not whole. Never throws.
 */
export function parseNonStreamingResponse(body: string): UsageReading {
  const answer = parsedRecord(body);
  return answer === null ? EMPTY_READING : readAnswer(answer);
}

export function readAnswer(answer: Data): UsageReading {
  return { ...fold(EMPTY_READING, answer), isWhole: true };
}

/**
 * Folds one chunk of a stream: the data of an event, or an element of the array. Each has the shape
 * of a whole answer. Returns the very same reading for data that are no object. Never throws.
 */
export function parseStreamEvent(reading: UsageReading, part: Part): UsageReading {
  const data = parsedRecord(part.data);
  return data === null ? reading : fold(reading, data);
}

/** Google's guide: about 4 characters make a token. Thoughts that are not shown are not in it. */
const CHARACTERS_PER_TOKEN = 4;

/** Raises the output tokens to what the text makes, unless the upstream's count is final. */
export function estimate(reading: UsageReading): UsageReading {
  if (reading.hasFinalOutput) return reading;
  const fromText = Math.ceil(reading.contentCharacters / CHARACTERS_PER_TOKEN);
  return fromText <= reading.outputTokens ? reading : { ...reading, outputTokens: fromText };
}

/** The answer has no end but a reason to finish: a stream is whole if its bytes end behind it. */
function fold(reading: UsageReading, answer: Data): UsageReading {
  const { error, promptFeedback } = answer;
  const usage = isRecord(answer.usageMetadata) ? answer.usageMetadata : null;
  if (isRecord(error)) return foldGoogleError(usage === null ? reading : foldUsage(reading, usage), error);
  const content = foldContent(reading, { candidates: answer.candidates, promptFeedback });
  const counted = usage === null ? content : foldUsage(content, usage);
  const isFinal = usage === null ? reading.hasFinalOutput : namesOutput(content, usage);
  return {
    ...counted,
    hasFinalOutput: content.isWhole && isFinal,
    servedModel: modelOf(answer.modelVersion) ?? reading.servedModel,
    messageId: textOf(answer.responseId) ?? reading.messageId,
  };
}

/** In places, names are those of resources: `models/x`. */
function modelOf(value: unknown): string | null {
  return textOf(typeof value === "string" ? value.replace(/^models\//, "") : null);
}
