import { Fault } from "../../domain/fault.ts";
import type { AnswerDialect, BodyFacts, CallDialect, Part, RequestDialect } from "../../domain/provider.ts";
import { EMPTY_READING, type UsageReading } from "../../domain/reading.ts";
import { countOf, isRecord, parsedRecord, textOf } from "../untrusted_json.ts";
import { parseChatDeltas } from "./chat_deltas.ts";
import { foldError, foldErrorEvent } from "./errors.ts";
import { CACHE_MARK_KEY, geoOf, MAX_BODY_BYTES, maxTokensOf, plainTextOf, unsaid } from "./request.ts";
import { estimate, foldUsage, recordOf, type UsageNames } from "./usage.ts";

type Data = Readonly<Record<string, unknown>>;

const USAGE: UsageNames = {
  input: "prompt_tokens",
  inputDetails: "prompt_tokens_details",
  output: "completion_tokens",
  outputDetails: "completion_tokens_details",
};

const request: RequestDialect = {
  maxBodyBytes: MAX_BODY_BYTES,
  keys: ["model", "stream", "stream_options", "max_completion_tokens", "max_tokens", "n", "service_tier"],
  factsOf,
  messagesKey: "messages",
  cacheMarkKey: CACHE_MARK_KEY,
  cachesUnasked: true,
  geoOf,
  refersToNoItems: true,
  unmetered,
};

const answer: AnswerDialect = {
  answerKeys: ["id", "object", "model", "service_tier", "choices", "usage", "error"],
  readAnswer,
  parseNonStreamingResponse,
  parseStreamEvent,
  parseDeltas: parseChatDeltas,
  estimate,
  unsaid,
};

/** A chat completion (https://platform.openai.com/docs/api-reference/chat), streamed and not. */
export const chatCompletions: CallDialect = { request, answer };

function factsOf(values: ReadonlyMap<string, unknown>): BodyFacts {
  const maxTokens = maxTokensOf(values.get("max_completion_tokens")) ?? maxTokensOf(values.get("max_tokens"));
  // The limit is that of one choice.
  const choices = Math.max(maxTokensOf(values.get("n")) ?? 1, 1);
  return {
    model: plainTextOf(values.get("model")) ?? "",
    isStreamed: values.get("stream") === true,
    maxTokens: maxTokens === null ? null : maxTokensOf(maxTokens * choices),
    userId: null,
    speed: plainTextOf(values.get("service_tier")),
    inferenceGeo: null,
  };
}

/** A stream names its usage only if it was asked to. */
function unmetered(values: ReadonlyMap<string, unknown>): Fault | null {
  const isAsked = recordOf(values.get("stream_options")).include_usage === true;
  if (values.get("stream") !== true || isAsked) return null;
  return new Fault(
    "unmetered",
    "The proxy's operator wants every call metered, and this stream would not say what it used: " +
      'add "stream_options": {"include_usage": true} to the request.',
  );
}

function parseNonStreamingResponse(body: string): UsageReading {
  const parsed = parsedRecord(body);
  return parsed === null ? EMPTY_READING : readAnswer(parsed);
}

/** What is no completion and no error, such as a gateway's own page, is whole and tells nothing. */
function readAnswer(data: Data): UsageReading {
  const whole = { ...EMPTY_READING, isWhole: true };
  if (data.object !== "chat.completion") return isRecord(data.error) ? foldError(whole, data.error) : whole;
  return ended({ ...foldChoices(foldNames(whole, data), data.choices, "message"), hasContent: true });
}

/** The end of a stream. Before it a usage may follow the last content, and so may other chunks. */
const DONE = "[DONE]";

/**
 * Folds one chunk. Returns the very same reading for data that do not parse. Never throws.
 */
function parseStreamEvent(reading: UsageReading, part: Part): UsageReading {
  if (part.data === DONE) return ended({ ...reading, isWhole: true });
  const data = parsedRecord(part.data);
  if (data === null) return part.event === "error" ? foldError(reading, null) : reading;
  if (isRecord(data.error) || part.event === "error") return foldErrorEvent(reading, data);
  return foldChoices(foldNames(reading, data), data.choices, "delta");
}

function foldNames(reading: UsageReading, data: Data): UsageReading {
  const { usage, choices } = data;
  const isLast = Array.isArray(choices) && choices.length === 0;
  const named = foldUsage(reading, usage, USAGE);
  return {
    ...named,
    messageId: textOf(data.id) ?? reading.messageId,
    servedModel: textOf(data.model) ?? reading.servedModel,
    serviceTier: textOf(data.service_tier) ?? reading.serviceTier,
    isInputEstimable: true,
    hasFinalOutput: reading.hasFinalOutput || isLast && countOf(recordOf(usage).completion_tokens) !== null,
  };
}

function foldChoices(reading: UsageReading, choices: unknown, key: "message" | "delta"): UsageReading {
  if (!Array.isArray(choices)) return reading;
  const each = choices.filter(isRecord);
  const said = each.map((choice) => recordOf(choice[key]));
  const characters = said.reduce((sum, message) => sum + charactersOf(message), 0);
  const stopReasons = each.map((choice) => textOf(choice.finish_reason)).filter((reason) => reason !== null);
  return {
    ...reading,
    // Of several choices, the first that ended says why.
    stopReason: reading.stopReason ?? stopReasons[0] ?? null,
    hasContent: reading.hasContent || characters > 0 || said.some(hasSound),
    contentCharacters: reading.contentCharacters + characters,
  };
}

/** The first chunk says who speaks, which is no text. */
function charactersOf(message: Data): number {
  const calls = (Array.isArray(message.tool_calls) ? message.tool_calls : []).map(recordOf);
  const asked = [message.function_call, ...calls.flatMap((call) => [call.function, call.custom])].map(recordOf);
  const texts = [
    ...[message.content, message.refusal, message.reasoning_content, recordOf(message.audio).transcript],
    ...asked.flatMap((call) => [call.name, call.arguments, call.input]),
  ];
  return texts.reduce<number>((sum, text) => sum + (typeof text === "string" ? text.length : 0), 0);
}

function hasSound(message: Data): boolean {
  return typeof recordOf(message.audio).data === "string";
}

/** At an answer's end its last usage is final. */
function ended(reading: UsageReading): UsageReading {
  return { ...reading, hasFinalOutput: reading.hasInput };
}
