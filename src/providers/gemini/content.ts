import type { UsageReading } from "../../domain/reading.ts";
import { isRecord, textOf } from "../untrusted_json.ts";

type Data = Readonly<Record<string, unknown>>;

/** What a chunk adds to the answer, why it ended, and the searches behind it. */
export function foldContent(
  reading: UsageReading,
  answer: { readonly candidates: unknown; readonly promptFeedback: unknown },
): UsageReading {
  const candidates = Array.isArray(answer.candidates) ? answer.candidates.filter(isRecord) : [];
  // A prompt that is declined has no candidates.
  const blocked = isRecord(answer.promptFeedback) ? reasonOf(answer.promptFeedback.blockReason) : null;
  if (candidates.length === 0 && blocked === null) return reading;
  const parts = candidates.map(partsOf);
  const characters = parts.flat().reduce((sum, part) => sum + charactersOf(part), 0);
  const reasons = candidates.map(({ finishReason }) => reasonOf(finishReason));
  const stopReason = blocked ?? reasons.find((reason) => reason !== null) ?? null;
  // Candidates end one by one; the stream goes on with the others.
  const isOpen = parts.some((own, index) => reasons[index] === null && own.some(addsContent));
  return {
    ...reading,
    hasContent: reading.hasContent || parts.some((own) => own.length > 0),
    contentCharacters: reading.contentCharacters + characters,
    stopReason: stopReason ?? reading.stopReason,
    refusalCategory: blocked ?? reading.refusalCategory,
    isWhole: !isOpen && (reading.isWhole || stopReason !== null),
    serverToolUse: searchesOf(reading.serverToolUse, candidates),
  };
}

function partsOf({ content }: Data): readonly Data[] {
  return isRecord(content) && Array.isArray(content.parts) ? content.parts.filter(isRecord) : [];
}

/** Null for a reason that says nothing. With `enum-encoding=int` it would be a number. */
function reasonOf(value: unknown): string | null {
  const reason = textOf(value);
  return reason === null || reason.endsWith("_UNSPECIFIED") ? null : reason;
}

/** Of text, thoughts, tool input and code. Images and audio have none. */
function charactersOf({ text, functionCall, executableCode }: Data): number {
  return lengthOf(text) + callCharacters(functionCall) + (isRecord(executableCode) ? lengthOf(executableCode.code) : 0);
}

/** Arguments come as a whole, or piece by piece in `partialArgs`. */
function callCharacters(call: unknown): number {
  if (!isRecord(call)) return 0;
  const pieces = Array.isArray(call.partialArgs) ? call.partialArgs.filter(isRecord) : [];
  return pieces.reduce((sum, { stringValue }) => sum + lengthOf(stringValue), isRecord(call.args) ? jsonLength(call.args) : 0);
}

/** 0 if it is nested deeper than the call stack: JSON.parse has no such limit. */
function jsonLength(value: Data): number {
  try {
    return JSON.stringify(value).length;
  } catch {
    return 0;
  }
}

/** A last part may be an empty text with nothing but a signature. */
function addsContent(part: Data): boolean {
  return lengthOf(part.text) > 0 ||
    ["functionCall", "executableCode", "codeExecutionResult", "inlineData"].some((key) => key in part);
}

/**
 * Searches are paid for one by one, and no count has them. A chunk has all queries so far, and the
 * same query counts once. Grounding in maps is paid for by the prompt.
 */
function searchesOf(known: UsageReading["serverToolUse"], candidates: readonly Data[]): UsageReading["serverToolUse"] {
  const grounding = candidates.map(({ groundingMetadata }) => groundingMetadata).filter(isRecord);
  if (grounding.length === 0) return known;
  const hasMaps = grounding.some(({ groundingChunks }) =>
    listOf(groundingChunks).some((chunk) => isRecord(chunk) && "maps" in chunk)
  );
  const found = {
    google_search_queries: queriesIn(grounding.map(({ webSearchQueries }) => webSearchQueries)),
    google_image_search_queries: queriesIn(grounding.map(({ imageSearchQueries }) => imageSearchQueries)),
    google_maps_prompts: hasMaps ? 1 : 0,
  };
  const named = Object.entries(found).filter(([, count]) => count > 0);
  return { ...known, ...Object.fromEntries(named.map(([name, count]) => [name, Math.max(count, known[name] ?? 0)])) };
}

/** Empty queries are not billed. */
function queriesIn(lists: readonly unknown[]): number {
  return new Set(lists.flatMap(listOf).filter((query) => typeof query === "string" && query !== "")).size;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function lengthOf(value: unknown): number {
  return typeof value === "string" ? value.length : 0;
}
