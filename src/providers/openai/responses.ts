import type { AnswerDialect, BodyFacts, CallDialect, Part, RequestDialect } from "../../domain/provider.ts";
import { EMPTY_READING, type Made, type UsageReading } from "../../domain/reading.ts";
import { countOf, isRecord, parsedRecord, textOf } from "../untrusted_json.ts";
import { foldError, foldErrorEvent } from "./errors.ts";
import { CACHE_MARK_KEY, geoOf, MAX_BODY_BYTES, maxTokensOf, plainTextOf, unsaid } from "./request.ts";
import { parseResponseDeltas } from "./response_deltas.ts";
import { estimate, foldToolUsage, foldUsage, recordOf, type UsageNames } from "./usage.ts";

type Data = Readonly<Record<string, unknown>>;

const USAGE: UsageNames = {
  input: "input_tokens",
  inputDetails: "input_tokens_details",
  output: "output_tokens",
  outputDetails: "output_tokens_details",
};

const request: RequestDialect = {
  maxBodyBytes: MAX_BODY_BYTES,
  keys: [
    ...["model", "stream", "max_output_tokens", "service_tier"],
    ...["client_metadata", "previous_response_id", "conversation"],
  ],
  factsOf,
  metadataOf,
  continues,
  messagesKey: "input",
  alsoAsked: ["previous_response_id", "conversation"],
  cacheMarkKey: CACHE_MARK_KEY,
  cachesUnasked: true,
  geoOf,
};

const answer: AnswerDialect = {
  answerKeys: [
    ...["id", "object", "model", "status", "store", "service_tier", "incomplete_details", "error"],
    ...["usage", "tool_usage", "output"],
  ],
  readAnswer,
  parseNonStreamingResponse,
  parseStreamEvent,
  parseDeltas: parseResponseDeltas,
  estimate,
  unsaid,
};

/** A response (https://platform.openai.com/docs/api-reference/responses), streamed or not. */
export const responses: CallDialect = { request, answer };

/** A compaction's answer names neither its model nor a status. */
export const compactions: CallDialect = {
  request,
  answer: { ...answer, unsaid: (asked) => ({ ...unsaid(asked), ...(asked.model === "" ? {} : { servedModel: asked.model }) }) },
};

function factsOf(values: ReadonlyMap<string, unknown>): BodyFacts {
  return {
    model: plainTextOf(values.get("model")) ?? "",
    isStreamed: values.get("stream") === true,
    maxTokens: maxTokensOf(values.get("max_output_tokens")),
    // Not the prompt_cache_key: a prompt that many sessions share has one.
    userId: null,
    speed: plainTextOf(values.get("service_tier")),
    inferenceGeo: null,
  };
}

/** Codex names session, thread and turn there. */
function metadataOf(values: ReadonlyMap<string, unknown>): Data | null {
  const metadata = values.get("client_metadata");
  return isRecord(metadata) ? metadata : null;
}

/** A conversation is named by its id, or by an object that holds the id. */
function continues(values: ReadonlyMap<string, unknown>): string | null {
  const conversation = values.get("conversation");
  return textOf(values.get("previous_response_id")) ?? textOf(isRecord(conversation) ? conversation.id : conversation);
}

function parseNonStreamingResponse(body: string): UsageReading {
  const parsed = parsedRecord(body);
  return parsed === null ? EMPTY_READING : readAnswer(parsed);
}

/** What is no response and no error, such as a gateway's own page, is whole and tells nothing. */
function readAnswer(data: Data): UsageReading {
  const whole = { ...EMPTY_READING, isWhole: true };
  const isResponse = data.object === "response" || data.object === "response.compaction";
  if (isResponse) return { ...foldSettled(whole, data), hasContent: true };
  return isRecord(data.error) ? foldError(whole, data.error) : whole;
}

/**
 * The data's `type` says what an event is, as in OpenAI's SDKs; the `event:` name counts only if
 * the data have no type. No `[DONE]` ends such a stream. Returns the very same reading for an
 * unknown event and for data that do not parse. Never throws.
 */
function parseStreamEvent(reading: UsageReading, part: Part): UsageReading {
  if (repeatsOnly(part.data, reading)) return reading;
  const data = parsedRecord(part.data);
  if (data === null) return part.event === "error" ? foldError(reading, null) : reading;
  const type = typeof data.type === "string" ? data.type : part.event;
  const fold = FOLDS.get(type);
  if (fold !== undefined) return fold(reading, data);
  if (type.startsWith("response.") && type.endsWith(".delta")) return foldDelta(reading, data, type);
  return !type.startsWith("response.") && isRecord(data.error) ? foldErrorEvent(reading, data) : reading;
}

const FOLDS: ReadonlyMap<string, (reading: UsageReading, data: Data) => UsageReading> = new Map([
  ["response.created", foldRunning],
  ["response.queued", foldRunning],
  ["response.in_progress", foldRunning],
  ["response.output_item.added", foldItem],
  ["response.output_item.done", foldItem],
  ["response.completed", foldLast],
  ["response.incomplete", foldLast],
  ["response.failed", foldFailed],
  ["error", foldErrorEvent],
]);

const SPELLED_TYPE = /^\{"type":"(response\.[a-z_.]+)",/;

/**
 * A third of an answer's bytes and more say again what is known: the whole text when it ends, and
 * instructions and tools when it begins. Such events are known by their first characters.
 */
function repeatsOnly(data: string, { messageId }: UsageReading): boolean {
  const type = SPELLED_TYPE.exec(data)?.[1];
  if (type === undefined) return false;
  return type === "response.in_progress" ? messageId !== null : !FOLDS.has(type) && !type.endsWith(".delta");
}

/** Base64 of a sound, which is no text. */
const AUDIO_DELTA = "response.audio.delta";

/** Every delta is content, also one without text. */
function foldDelta(reading: UsageReading, { delta }: Data, type: string): UsageReading {
  const characters = typeof delta === "string" && type !== AUDIO_DELTA ? delta.length : 0;
  if (characters === 0 && reading.hasContent) return reading;
  return { ...reading, hasContent: true, contentCharacters: reading.contentCharacters + characters };
}

function foldRunning(reading: UsageReading, data: Data): UsageReading {
  return isRecord(data.response) ? { ...foldNames(reading, data.response), isInputEstimable: true } : reading;
}

function foldItem(reading: UsageReading, data: Data): UsageReading {
  const isKept = reading.made.some(({ kind }) => kind === "response");
  const made = union(reading.made, madeOf([data.item], isKept));
  return made === reading.made ? reading : { ...reading, made };
}

function foldLast(reading: UsageReading, data: Data): UsageReading {
  if (!isRecord(data.response)) return reading;
  return { ...foldSettled(reading, data.response), hasContent: true, isWhole: true };
}

/** It may have used something before it failed, and say so. */
function foldFailed(reading: UsageReading, data: Data): UsageReading {
  const response = recordOf(data.response);
  const settled = foldSettled(reading, response);
  return settled.errorType === null ? { ...settled, errorType: "failed" } : settled;
}

function foldNames(reading: UsageReading, response: Data): UsageReading {
  return {
    ...reading,
    messageId: textOf(response.id) ?? reading.messageId,
    servedModel: textOf(response.model) ?? reading.servedModel,
    made: union(reading.made, keptOf(response)),
  };
}

/**
 * The tier that was served stands in the last word only: before it, the answer repeats what was
 * asked. A response in the background names neither tier nor usage yet, and is asked for later.
 */
function foldSettled(reading: UsageReading, response: Data): UsageReading {
  const { status, usage, error } = response;
  const isRunning = status === "queued" || status === "in_progress";
  const named = foldToolUsage(foldUsage(foldNames(reading, response), usage, USAGE), response.tool_usage);
  const settled: UsageReading = {
    ...named,
    serviceTier: (isRunning ? null : textOf(response.service_tier)) ?? reading.serviceTier,
    stopReason: textOf(recordOf(response.incomplete_details).reason) ?? textOf(status) ?? reading.stopReason,
    isPending: isRunning,
    hasFinalOutput: reading.hasFinalOutput || !isRunning && countOf(recordOf(usage).output_tokens) !== null,
  };
  if (isRecord(error)) return foldError(settled, error);
  return status === "failed" ? { ...settled, errorType: "failed" } : settled;
}

/** The upstream keeps a response and its items unless it was asked not to, and says so. */
function keptOf(response: Data): readonly Made[] {
  const [id, isKept] = [textOf(response.id), response.store !== false];
  const made = madeOf(Array.isArray(response.output) ? response.output : [], isKept);
  return id === null || !isKept ? made : [{ id, kind: "response" }, ...made];
}

/**
 * Items, and the containers in which hosted tools ran, which the API makes by itself: the next
 * request names them. Only a tool's own item is believed about a container: text is the model's.
 */
function madeOf(items: readonly unknown[], isKept: boolean): readonly Made[] {
  return items.filter(isRecord).flatMap((item) => {
    const isTool = typeof item.type === "string" && item.type.endsWith("_call");
    const containers = isTool ? [textOf(item.container_id), textOf(recordOf(item.environment).container_id)] : [];
    return [
      ...madeBy("item", isKept ? textOf(item.id) : null),
      ...containers.flatMap((id) => madeBy("container", id)),
    ];
  });
}

function madeBy(kind: Made["kind"], id: string | null): readonly Made[] {
  return id === null ? [] : [{ id, kind }];
}

/** Each id once. */
function union(known: readonly Made[], made: readonly Made[]): readonly Made[] {
  const all = new Map([...known, ...made].map((one) => [one.id, one]));
  return all.size === known.length ? known : [...all.values()];
}
