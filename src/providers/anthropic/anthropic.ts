import type { Part, Provider } from "../../domain/provider.ts";
import { isRefusedBeforeOutput } from "../../domain/price.ts";
import { EMPTY_READING, type UsageReading } from "../../domain/reading.ts";
import { filesMadeIn, parseLine, parseStatus, pathOf } from "./batches.ts";
import { countOf, foldUsage, isRecord, textOf } from "./usage.ts";

/** The Messages API (https://docs.anthropic.com/en/api/messages), streamed and not. */
export const anthropic: Provider = {
  name: "anthropic",
  parseNonStreamingResponse,
  answerKeys: ["type", "id", "model", "stop_reason", "stop_details", "usage", "error"],
  needsContent: (kept) => kept.stop_reason === "refusal",
  parseStreamEvent,
  filesMadeIn,
  batches: { pathOf, parseStatus, parseLine: (line) => parseLine(line, foldAnswer) },
  estimate,
  credentialHeaders: ["x-api-key", "authorization"],
  credentialShape: /sk-ant-[\w-]+/g,
  defaultHeaders: [["anthropic-version", "2023-06-01"]],
  requestIdHeader: "request-id",
};

/**
 * Reads a whole JSON answer: a message, or an error of any status. What does not parse to an object, such as a body cut
 * short, is an empty reading that is not whole. Never throws.
 */
export function parseNonStreamingResponse(body: string): UsageReading {
  const answer = parsed(body);
  return answer === null ? EMPTY_READING : foldAnswer(answer);
}

/**
 * An error is one wherever it stands: under a good status, and in a batch's line that says that it
 * succeeded.
 */
function foldAnswer(answer: Data): UsageReading {
  return answer.type === "error" || isRecord(answer.error) ? foldError(WHOLE, answer) : foldWholeMessage(WHOLE, answer);
}

const WHOLE: UsageReading = { ...EMPTY_READING, isWhole: true };

/**
 * Folds one event of a stream. The data's `type` says what the event is, as in Anthropic's SDKs; the `event:` name only
 * where the data have no type. An unknown event, or data that do not parse, give back the very same reading. Never throws.
 */
export function parseStreamEvent(reading: UsageReading, part: Part): UsageReading {
  const data = parsed(part.data);
  // The SDKs end the answer at an event of that name, whatever its data are.
  if (data === null) return part.event === "error" ? foldError(reading, {}) : reading;
  const fold = FOLDS.get(typeof data.type === "string" ? data.type : part.event);
  return fold === undefined ? reading : fold(reading, data);
}

type Data = Readonly<Record<string, unknown>>;

/** What each event does to the reading. An event that is not here (`ping`, `content_block_stop`, what is yet to come) does nothing. */
const FOLDS: ReadonlyMap<string, (reading: UsageReading, data: Data) => UsageReading> = new Map([
  ["message_start", (reading, data) => isRecord(data.message) ? foldMessage(reading, data.message) : reading],
  ["content_block_start", foldBlockStart],
  ["content_block_delta", foldBlockDelta],
  ["message_delta", foldMessageDelta],
  ["message_stop", (reading) => ({ ...reading, isWhole: true })],
  ["error", foldError],
]);

/**
 * Anthropic's glossary gives 3.5 characters of English a token. Other scripts take fewer, newer tokenizers too, so that an
 * estimate is rather low for them. Thinking that is not shown is not in it at all.
 */
const CHARACTERS_PER_TOKEN = 3.5;

/** The reading with at least as many output tokens as its text makes, unless the upstream has said its last word on them. */
function estimate(reading: UsageReading): UsageReading {
  if (reading.hasFinalOutput) return reading;
  const fromText = Math.ceil(reading.contentCharacters / CHARACTERS_PER_TOKEN);
  return fromText <= reading.outputTokens ? reading : { ...reading, outputTokens: fromText };
}

function foldMessage(reading: UsageReading, message: Data): UsageReading {
  return {
    ...foldUsage(reading, message.usage),
    messageId: textOf(message.id) ?? reading.messageId,
    servedModel: textOf(message.model) ?? reading.servedModel,
    stopReason: textOf(message.stop_reason) ?? reading.stopReason,
    refusalCategory: refusalCategoryOf(message.stop_details) ?? reading.refusalCategory,
  };
}

/** An object without a category says that there is none; without such an object nothing is said. */
function refusalCategoryOf(details: unknown): string | null {
  if (!isRecord(details) || details.type !== "refusal") return null;
  // Null names none; what is no text says nothing that can be relied on.
  return textOf(details.category) ?? (details.category == null || details.category === "" ? "" : null);
}

/** The text is left uncounted: a whole message names its output. */
function foldWholeMessage(reading: UsageReading, message: Data): UsageReading {
  const { type, usage } = message;
  const folded = { ...foldMessage(reading, message), hasContent: type === "message" };
  const isNamed = isRecord(usage) && countOf(usage.output_tokens) !== null;
  const characters = isRefusedBeforeOutput(folded) ? charactersOf(message.content) : 0;
  // What was answered was output, and is paid for: a count of nothing is then no last word.
  return { ...folded, contentCharacters: characters, hasFinalOutput: isNamed && characters === 0 };
}

function charactersOf(content: unknown): number {
  const blocks = Array.isArray(content) ? content.filter(isRecord) : [];
  return blocks.reduce((sum, block) => sum + lengthOf(block.text) + lengthOf(block.thinking), 0);
}

function foldBlockStart(reading: UsageReading, data: Data): UsageReading {
  const block = data.content_block;
  if (!isRecord(block)) return reading;
  // Another model takes over from here, as in the SDKs: `message_start` named the one that declined.
  const servedModel = block.type === "fallback" && isRecord(block.to) ? textOf(block.to.model) : null;
  if (servedModel !== null) return { ...reading, servedModel };
  const characters = lengthOf(block.text) + lengthOf(block.thinking);
  return characters === 0 ? reading : { ...reading, contentCharacters: reading.contentCharacters + characters };
}

/**
 * Any kind of delta is content: where thinking is not shown, its signature is the first sign of an answer. The text of a
 * compaction is not counted, since its tokens stand in its iteration and not in the output.
 */
function foldBlockDelta(reading: UsageReading, data: Data): UsageReading {
  const { delta } = data;
  if (!isRecord(delta)) return reading;
  const characters = lengthOf(delta.text) + lengthOf(delta.thinking) + lengthOf(delta.partial_json);
  if (characters === 0 && reading.hasContent) return reading;
  return { ...reading, hasContent: true, contentCharacters: reading.contentCharacters + characters };
}

function foldMessageDelta(reading: UsageReading, data: Data): UsageReading {
  const { delta, usage } = data;
  const stopReason = (isRecord(delta) ? textOf(delta.stop_reason) : null) ?? reading.stopReason;
  const refusalCategory = (isRecord(delta) ? refusalCategoryOf(delta.stop_details) : null) ?? reading.refusalCategory;
  const isLastWord = stopReason !== null && isRecord(usage) && countOf(usage.output_tokens) !== null;
  const next = { ...foldUsage(reading, usage), stopReason, refusalCategory };
  // What has passed was output, and is paid for: a count of nothing is then no last word.
  const contradicts = isRefusedBeforeOutput(next) && next.contentCharacters > 0;
  return { ...next, hasFinalOutput: (reading.hasFinalOutput || isLastWord) && !contradicts };
}

/** An error that does not say its type is an `error`. */
function foldError(reading: UsageReading, data: Data): UsageReading {
  return { ...reading, errorType: (isRecord(data.error) ? textOf(data.error.type) : null) ?? "error" };
}

function lengthOf(value: unknown): number {
  return typeof value === "string" ? value.length : 0;
}

/** The object that the text is as JSON (a byte order mark before it is skipped, as `Response.json()` does), else null. */
function parsed(text: string): Data | null {
  try {
    const value: unknown = JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}
