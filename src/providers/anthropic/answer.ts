import { isRefusedBeforeOutput } from "../../domain/price.ts";
import type { Part } from "../../domain/provider.ts";
import { EMPTY_READING, type Made, type UsageReading } from "../../domain/reading.ts";
import { parsePlainDeltas, STRING_CONTENT } from "../plain_deltas.ts";
import { foldUsage } from "./usage.ts";
import { countOf, isRecord, parsedRecord, textOf } from "../untrusted_json.ts";

/** The top-level keys of an answer that `readAnswer` looks at. */
export const ANSWER_KEYS = ["type", "id", "model", "stop_reason", "stop_details", "usage", "error", "content", "container"];

/**
 * Reads a whole JSON answer: a message, or an error of any status. A text that is not an object,
 * such as a body cut short, makes an empty reading that is not whole. Never throws.
 */
export function parseNonStreamingResponse(body: string): UsageReading {
  const answer = parsedRecord(body);
  return answer === null ? EMPTY_READING : readAnswer(answer);
}

/** An error is one under a good status too, and in a batch's line that says that it succeeded. */
export function readAnswer(answer: Data): UsageReading {
  const whole = { ...EMPTY_READING, isWhole: true, made: [...filesMadeIn(answer.content), ...containerIn(answer)] };
  return answer.type === "error" || isRecord(answer.error) ? foldError(whole, answer) : foldWholeMessage(whole, answer);
}

/**
 * Folds one event of a stream. The data's `type` says what the event is, as in Anthropic's SDKs;
 * the `event:` name counts only if the data have no type. Returns the very same reading for an
 * unknown event and for data that do not parse. Never throws.
 */
export function parseStreamEvent(reading: UsageReading, part: Part): UsageReading {
  const data = parsedRecord(part.data);
  // The SDKs end the answer at an event of that name, whatever its data say.
  if (data === null) return part.event === "error" ? foldError(reading, {}) : reading;
  const fold = FOLDS.get(typeof data.type === "string" ? data.type : part.event);
  return fold === undefined ? reading : fold(reading, data);
}

/**
 * A delta as the API spells it, which nearly all events are. It matches the event to its last
 * character, so no second `type` and no word within the content can mislead.
 */
export const DELTA_DATA = String.raw`\{"type":"content_block_delta","index":(?:0|[1-9]\d*),"delta":\{"type":` +
  String.raw`"(?:text_delta","text|thinking_delta","thinking|input_json_delta","partial_json)":"(${STRING_CONTENT})"\} *\}`;
const PLAIN_DELTA = new RegExp(String.raw`event: content_block_delta\ndata: ${DELTA_DATA}\n\n`, "y");

/** Takes deltas up to the first event with any other spelling, which `parseStreamEvent` reads. */
export function parseDeltas(reading: UsageReading, text: string, from: number): { reading: UsageReading; to: number } {
  return parsePlainDeltas(PLAIN_DELTA, reading, { text, from });
}

type Data = Readonly<Record<string, unknown>>;

/**
 * What each event does to the reading. Others (`ping`, `content_block_stop`, future ones) do
 * nothing.
 */
const FOLDS: ReadonlyMap<string, (reading: UsageReading, data: Data) => UsageReading> = new Map([
  ["message_start", (reading, data) => isRecord(data.message) ? foldMessage(reading, data.message) : reading],
  ["content_block_start", foldBlockStart],
  ["content_block_delta", foldBlockDelta],
  ["message_delta", foldMessageDelta],
  ["message_stop", (reading) => ({ ...reading, isWhole: true })],
  ["error", foldError],
]);

/**
 * Anthropic's glossary: 3.5 characters of English make a token. In other scripts and newer
 * tokenizers it is fewer, so an estimate is low for them. Thinking that is not shown is not in it.
 */
const CHARACTERS_PER_TOKEN = 3.5;

/** Raises the output tokens to what the text makes, unless the upstream's count is final. */
export function estimate(reading: UsageReading): UsageReading {
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

/** "" if the object names no category; null if there is no such object, or it cannot be read. */
function refusalCategoryOf(details: unknown): string | null {
  if (!isRecord(details) || details.type !== "refusal") return null;
  return textOf(details.category) ?? (details.category == null || details.category === "" ? "" : null);
}

/** Counts no text, because a whole message names its output, except in a refusal. */
function foldWholeMessage(reading: UsageReading, message: Data): UsageReading {
  const { type, usage } = message;
  const folded = { ...foldMessage(reading, message), hasContent: type === "message" };
  const isNamed = isRecord(usage) && countOf(usage.output_tokens) !== null;
  const characters = isRefusedBeforeOutput(folded) ? charactersOf(message.content) : 0;
  // Text that was answered was output and is paid for, so a count of zero is not final.
  return { ...folded, contentCharacters: characters, hasFinalOutput: isNamed && characters === 0 };
}

function charactersOf(content: unknown): number {
  const blocks = Array.isArray(content) ? content.filter(isRecord) : [];
  return blocks.reduce((sum, block) => sum + lengthOf(block.text) + lengthOf(block.thinking), 0);
}

function foldBlockStart(reading: UsageReading, data: Data): UsageReading {
  const block = data.content_block;
  if (!isRecord(block)) return reading;
  // From here another model answers, as in the SDKs: `message_start` named the one that declined.
  const servedModel = block.type === "fallback" && isRecord(block.to) ? textOf(block.to.model) : null;
  if (servedModel !== null) return { ...reading, servedModel };
  const files = filesMadeIn(block);
  const characters = lengthOf(block.text) + lengthOf(block.thinking);
  if (characters === 0 && files.length === 0) return reading;
  return {
    ...reading,
    contentCharacters: reading.contentCharacters + characters,
    made: files.length === 0 ? reading.made : [...reading.made, ...files],
  };
}

/**
 * Every delta is content: if thinking is not shown, its signature is the first sign of an answer.
 * The text of a compaction is not counted: its tokens are in its iteration, not in the output.
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
  const containers = isRecord(delta) ? containerIn(delta) : [];
  const made = containers.length === 0 ? reading.made : [...reading.made, ...containers];
  const next = { ...foldUsage(reading, usage), stopReason, refusalCategory, made };
  // Text that has passed was output and is paid for, so a count of zero is not final.
  const contradicts = isRefusedBeforeOutput(next) && next.contentCharacters > 0;
  return { ...next, hasFinalOutput: (reading.hasFinalOutput || isLastWord) && !contradicts };
}

/** An error that does not say its type is an `error`. */
function foldError(reading: UsageReading, data: Data): UsageReading {
  const { type, message } = isRecord(data.error) ? data.error : { type: null, message: null };
  const errorType = textOf(type) ?? "error";
  return { ...reading, errorType, isOutOfCredit: errorType === "billing_error" || NO_CREDIT.test(textOf(message) ?? "") };
}

/**
 * The API says so in a 400 of the type `invalid_request_error`. A request can make the API repeat
 * its words, as `WORDS: Extra inputs are not permitted`, so no words may follow a colon.
 */
const NO_CREDIT = /^(?:Your credit balance is too low|You have reached your specified (?:\w+ )?API usage limits)(?![^]*: )/;

function lengthOf(value: unknown): number {
  return typeof value === "string" ? value.length : 0;
}

/**
 * The container in which code ran. A later message may name it, and finds all files there
 * (https://platform.claude.com/docs/en/agents-and-tools/tool-use/code-execution-tool).
 */
function containerIn({ container }: Data): readonly Made[] {
  const id = isRecord(container) ? textOf(container.id) : null;
  return id === null ? [] : [{ id, kind: "container" }];
}

/**
 * Ids of the files that a server tool made, at any depth of the blocks with its results. Blocks
 * that the model, a web page or an MCP server wrote are skipped: they could name another
 * workspace's.
 */
export function filesMadeIn(content: unknown): readonly Made[] {
  const blocks = Array.isArray(content) ? content : [content];
  const results = blocks.filter((block) => isRecord(block) && /execution_tool_result$/.test(String(block.type)));
  const found: Made[] = [];
  // Not by recursion: an answer may be nested deeper than the call stack.
  for (const waiting: unknown[] = [...results]; waiting.length > 0;) {
    const value = waiting.pop();
    if (Array.isArray(value)) {
      // Not by spreading: a call cannot take a million arguments.
      for (const inner of value) waiting.push(inner);
    } else if (isRecord(value)) {
      if (typeof value.file_id === "string") found.push({ id: value.file_id, kind: "file" });
      for (const inner of Object.values(value)) if (typeof inner === "object") waiting.push(inner);
    }
  }
  return found;
}
