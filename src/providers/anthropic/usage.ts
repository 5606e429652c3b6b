import { MAX_COUNT, type UsageReading } from "../../domain/reading.ts";
import { cutClientString } from "../../domain/text.ts";
import { countOf, isRecord, textOf } from "../untrusted_json.ts";

/** A server-side loop runs fewer; later iterations are left out. */
const MAX_ITERATIONS = 100;
/** Of all iterations together, as they are stored. */
const MAX_ITERATION_CHARACTERS = 64 * 1024;
/** Keys kept of one object whose keys the upstream chooses. */
const MAX_KEYS = 32;

/**
 * Folds a `usage` object, of a message or of a `message_delta`, into the reading
 * (https://docs.anthropic.com/en/api/messages-streaming: the counts of a delta are cumulative).
 *
 * A count (a whole number from 0 to `MAX_COUNT`) replaces what was known; nothing is added up. A
 * zero input or cache count never replaces a greater one, because deltas carry zeros as fillers. A
 * zero output count does, because the start's is a placeholder. A number above `MAX_COUNT` is not a
 * count, and the reading notes for good that there was one.
 */
export function foldUsage(reading: UsageReading, usage: unknown): UsageReading {
  if (!isRecord(usage)) return reading;
  const details = usage.output_tokens_details;
  return {
    ...reading,
    ...cacheCreationOf(reading, usage),
    inputTokens: countOf(usage.input_tokens) || reading.inputTokens,
    outputTokens: countOf(usage.output_tokens) ?? reading.outputTokens,
    cacheReadInputTokens: countOf(usage.cache_read_input_tokens) || reading.cacheReadInputTokens,
    thinkingTokens: (isRecord(details) ? countOf(details.thinking_tokens) : null) ?? reading.thinkingTokens,
    serverToolUse: serverToolUseOf(reading, usage.server_tool_use),
    serviceTier: textOf(usage.service_tier) ?? reading.serviceTier,
    inferenceGeo: textOf(usage.inference_geo) ?? reading.inferenceGeo,
    speed: textOf(usage.speed) ?? reading.speed,
    iterations: iterationsOf(usage.iterations) ?? reading.iterations,
    hasInput: reading.hasInput || countOf(usage.input_tokens) !== null,
    hasAbsurdCount: reading.hasAbsurdCount || namesAbsurdCount(usage),
  };
}

/** Whether one of the counts that decide what a call used is above any that can be true. */
function namesAbsurdCount(usage: Record<string, unknown>): boolean {
  const iterations = Array.isArray(usage.iterations) ? usage.iterations.filter(isRecord).slice(0, MAX_ITERATIONS) : [];
  const named = [usage, ...iterations].flatMap((counts) => [
    ...Object.entries(counts).filter(([key]) => key.endsWith("_tokens")).map(([, count]) => count),
    ...[counts.cache_creation, counts.output_tokens_details, counts.server_tool_use].filter(isRecord).flatMap(Object.values),
  ]);
  return named.some((count) => typeof count === "number" && count > MAX_COUNT);
}

type CacheCreation = Pick<UsageReading, "cacheCreationInputTokens" | "cacheCreation5mTokens" | "cacheCreation1hTokens">;

/** The total is the wire's, otherwise the split's sum; what is not 1-hour of it is 5-minute. */
function cacheCreationOf(reading: UsageReading, usage: Record<string, unknown>): CacheCreation {
  const split = isRecord(usage.cache_creation) ? usage.cache_creation : {};
  const fiveMinutes = countOf(split.ephemeral_5m_input_tokens) ?? 0;
  const oneHour = countOf(split.ephemeral_1h_input_tokens) ?? 0;
  const isSplitNamed = fiveMinutes + oneHour > 0;
  const total = countOf(usage.cache_creation_input_tokens) ||
    Math.max(reading.cacheCreationInputTokens, fiveMinutes + oneHour);
  const oneHourTokens = Math.min(isSplitNamed ? oneHour : reading.cacheCreation1hTokens, total);
  return {
    cacheCreationInputTokens: total,
    cacheCreation5mTokens: total - oneHourTokens,
    cacheCreation1hTokens: oneHourTokens,
  };
}

function serverToolUseOf(reading: UsageReading, value: unknown): UsageReading["serverToolUse"] {
  if (!isRecord(value)) return reading.serverToolUse;
  const counts: Record<string, number> = { ...reading.serverToolUse };
  for (const [key, count] of plainEntries(value, (count) => countOf(count) ?? undefined)) {
    if (Object.hasOwn(counts, key) || Object.keys(counts).length < MAX_KEYS) counts[key] = count;
  }
  return counts;
}

/** The list as it is kept; null if it holds no object. */
function iterationsOf(value: unknown): UsageReading["iterations"] | null {
  if (!Array.isArray(value)) return null;
  const iterations: Record<string, unknown>[] = [];
  let characters = 0;
  for (const entry of value.filter(isRecord).slice(0, MAX_ITERATIONS)) {
    const kept = Object.fromEntries(plainEntries(entry, iterationValueOf));
    characters += JSON.stringify(kept).length;
    if (characters > MAX_ITERATION_CHARACTERS) break;
    iterations.push(kept);
  }
  return iterations.length > 0 ? iterations : null;
}

function iterationValueOf(value: unknown): unknown {
  return isRecord(value) ? Object.fromEntries(plainEntries(value, scalarOf)) : scalarOf(value);
}

/** Undefined is not kept. Null is: `model` and `cache_creation` may be null on the wire. */
function scalarOf(value: unknown): string | number | null | undefined {
  if (value === null) return null;
  if (typeof value === "string") return cutClientString(value);
  return Number.isSafeInteger(value) && value as number >= 0 ? Math.abs(value as number) : undefined;
}

/** The first `MAX_KEYS` entries that `read` can make something of, with their names cut. */
function plainEntries<T>(record: Record<string, unknown>, read: (value: unknown) => T | undefined): [string, T][] {
  const entries: [string, T][] = [];
  for (const [key, raw] of Object.entries(record)) {
    if (entries.length === MAX_KEYS) break;
    // Assigned to an object, "__proto__" would change its prototype.
    if (key === "__proto__") continue;
    const value = read(raw);
    if (value !== undefined) entries.push([cutClientString(key), value]);
  }
  return entries;
}
