import { MAX_COUNT, type UsageReading } from "../../domain/reading.ts";
import { cutClientString } from "../../domain/text.ts";
import { countOf, isRecord } from "../untrusted_json.ts";

type Data = Readonly<Record<string, unknown>>;

/** The two APIs count alike and name it differently. */
export interface UsageNames {
  readonly input: string;
  readonly inputDetails: string;
  readonly output: string;
  readonly outputDetails: string;
}

/** Tools whose uses are kept of one answer. */
const MAX_TOOL_COUNTS = 32;

/**
 * Folds a `usage` object into the reading (types of openai 7.59.0). A later object replaces an
 * earlier one as a whole.
 *
 * The input on the wire includes cache reads and writes, and each token is paid at one rate only:
 * `input = read + written + rest`. The reading keeps the three apart. The output includes the
 * reasoning and the rejected predictions.
 */
export function foldUsage(reading: UsageReading, usage: unknown, names: UsageNames): UsageReading {
  if (!isRecord(usage)) return reading;
  const [details, outputDetails] = [recordOf(usage[names.inputDetails]), recordOf(usage[names.outputDetails])];
  const [input, output] = [countOf(usage[names.input]), countOf(usage[names.output])];
  const [read, writes] = [countOf(details.cached_tokens) ?? 0, writesOf(details)];
  const audio = { audioInput: countOf(details.audio_tokens) ?? 0, audioOutput: countOf(outputDetails.audio_tokens) ?? 0 };
  return {
    ...reading,
    inputTokens: input === null ? reading.inputTokens : Math.max(input - read - writes.total, 0),
    cacheReadInputTokens: read,
    cacheCreationInputTokens: writes.total,
    outputTokens: output ?? reading.outputTokens,
    thinkingTokens: countOf(outputDetails.reasoning_tokens) ?? 0,
    tokenParts: withoutZeros({ write30m: writes.total - writes.long, write12h: writes.long, ...audio }),
    hasInput: reading.hasInput || input !== null,
    hasAbsurdCount: reading.hasAbsurdCount || [usage, details, outputDetails, writes.split].some(namesAbsurdCount),
  };
}

/** Without a split all writes live for 30 minutes, as a request that asks for nothing gets. */
function writesOf(details: Data): { readonly total: number; readonly long: number; readonly split: Data } {
  const split = recordOf(details.cache_write_tokens_details);
  const long = countOf(split.ttl_12h_tokens) ?? 0;
  const total = countOf(details.cache_write_tokens) || (countOf(split.ttl_30m_tokens) ?? 0) + long;
  return { total, long: Math.min(long, total), split };
}

/**
 * What hosted tools used beside the model, which `usage` leaves out: `web_search.num_requests` is
 * kept as `web_search_requests`, `image_gen.input_tokens` as `image_gen_input_tokens`. Tools that
 * were not used are there with zeros and are left out.
 */
export function foldToolUsage(reading: UsageReading, value: unknown): UsageReading {
  if (!isRecord(value)) return reading;
  const counts = Object.entries(value).filter(([, counters]) => isRecord(counters)).flatMap(([tool, counters]) =>
    Object.entries(counters as Data).filter(([name]) => !name.startsWith("total_")).map(([name, count]) =>
      [cutClientString(`${tool}_${name.replace(/^num_/, "")}`), count] as const
    )
  );
  const used = counts.flatMap(([name, count]) => countOf(count) ? [[name, count as number] as const] : []);
  return {
    ...reading,
    serverToolUse: Object.fromEntries(used.slice(0, MAX_TOOL_COUNTS)),
    hasAbsurdCount: reading.hasAbsurdCount || counts.some(([, count]) => isAbsurd(count)),
  };
}

/** OpenAI's rule of thumb for English. In other scripts a token is fewer, so an estimate is low. */
const CHARACTERS_PER_TOKEN = 4;

/**
 * The output from the text that passed, unless the upstream's count is final. The input from the
 * request's bytes, if the upstream named none: it was not asked to, or the stream broke before its
 * last event. Reasoning that is not shown is in neither, and can be most of an output. Cache reads
 * count as plain input, images as far more than they are, and earlier responses as nothing.
 */
export function estimate(reading: UsageReading, { requestBytes }: { readonly requestBytes: number }): UsageReading {
  if (reading.hasFinalOutput) return reading;
  const fromText = Math.ceil(reading.contentCharacters / CHARACTERS_PER_TOKEN);
  return {
    ...reading,
    inputTokens: reading.hasInput ? reading.inputTokens : Math.ceil(requestBytes / CHARACTERS_PER_TOKEN),
    outputTokens: Math.max(reading.outputTokens, fromText),
  };
}

export function recordOf(value: unknown): Data {
  return isRecord(value) ? value : {};
}

function namesAbsurdCount(counts: Data): boolean {
  return Object.entries(counts).some(([key, count]) => key.endsWith("_tokens") && isAbsurd(count));
}

function isAbsurd(count: unknown): boolean {
  return typeof count === "number" && count > MAX_COUNT;
}

function withoutZeros(counts: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}
