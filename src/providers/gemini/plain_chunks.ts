import type { UsageReading } from "../../domain/reading.ts";
import { textOf } from "../untrusted_json.ts";
import { lengthOf, MAX_TEXT_LENGTH, STRING_CONTENT } from "../plain_deltas.ts";
import { type Counts, countsOf, foldCounts, readingCounts } from "./usage.ts";

const COUNT = String.raw`: ?([1-9]\d{0,8})`;
const OF_TEXT = String.raw`: ?\[\{"modality": ?"TEXT","tokenCount": ?\d{1,9}\}\]`;

/**
 * A chunk of one text or thought as the API spells it, which nearly all events are. It matches the
 * event to its last character. Only the space behind a colon may be missing.
 */
const PLAIN_CHUNK = new RegExp(
  String.raw`data: \{"candidates": ?\[\{"content": ?\{"parts": ?\[\{"text": ?` +
    String.raw`"(${STRING_CONTENT})"(?:,"thought": ?true)?\}\],` +
    String.raw`"role": ?"model"\}(?:,"index": ?0)?\}\],"usageMetadata": ?\{"promptTokenCount"${COUNT}` +
    String.raw`(?:,"candidatesTokenCount"${COUNT})?,"totalTokenCount"${COUNT}(?:,"cachedContentTokenCount"${COUNT})?` +
    String.raw`(?:,"promptTokensDetails"${OF_TEXT})?(?:,"cacheTokensDetails"${OF_TEXT})?` +
    String.raw`(?:,"thoughtsTokenCount"${COUNT})?(?:,"serviceTier": ?"([\w-]+)")?\},` +
    String.raw`"modelVersion": ?"([\w.-]+)","responseId": ?"([\w-]+)"\}(?:\r\n\r\n|\n\n)`,
  "y",
);
/** Its groups. */
const [CONTENT, PROMPT, CANDIDATES, TOTAL, CACHED, THOUGHTS, TIER, MODEL, ID] = [1, 2, 3, 4, 5, 6, 7, 8, 9];

/** `AnswerDialect.parseDeltas` for plain chunks. */
export function parseDeltas(reading: UsageReading, text: string, from: number): { reading: UsageReading; to: number } {
  if (text.length > MAX_TEXT_LENGTH) return { reading, to: from };
  let last = chunkAt(text, from);
  if (last === null) return { reading, to: from };
  let counts = countsOf(reading);
  let tier = last[TIER];
  let characters = lengthOf(last[CONTENT]!);
  let to = PLAIN_CHUNK.lastIndex;
  // A search behind the text's end costs as much as another one.
  while (to < text.length) {
    const repeated = repetitionsOf(last, text, to);
    characters += repeated.characters;
    if (repeated.last !== null) {
      last = chunkAt(text, repeated.last)!;
      to = PLAIN_CHUNK.lastIndex;
    }
    const next = to < text.length ? chunkAt(text, to) : null;
    if (next === null) break;
    if (!replaces(next, last)) counts = foldChunk(counts, last);
    characters += lengthOf(next[CONTENT]!);
    tier = next[TIER] ?? tier;
    last = next;
    to = PLAIN_CHUNK.lastIndex;
  }
  const contentCharacters = reading.contentCharacters + characters;
  const isWhole = reading.isWhole && characters === 0;
  const { inputTokens, cacheReadInputTokens, outputTokens, thinkingTokens } = readingCounts(foldChunk(counts, last));
  const namesOutput = last[CANDIDATES] !== undefined || last[THOUGHTS] !== undefined;
  return {
    reading: {
      // One spread: V8 copies a second one field by field.
      ...reading,
      inputTokens,
      cacheReadInputTokens,
      outputTokens,
      thinkingTokens,
      hasContent: true,
      contentCharacters,
      hasInput: true,
      hasFinalOutput: isWhole && (namesOutput || contentCharacters === 0),
      isWhole,
      serviceTier: kept(tier, reading.serviceTier),
      servedModel: kept(last[MODEL], reading.servedModel),
      messageId: kept(last[ID], reading.messageId),
    },
    to,
  };
}

function chunkAt(text: string, at: number): RegExpExecArray | null {
  PLAIN_CHUNK.lastIndex = at;
  return PLAIN_CHUNK.exec(text);
}

/** A chunk in front of its text, and of the two counts that grow, and behind them. */
const PARTS = new RegExp(
  String.raw`^(data: .*?"text": ?")${STRING_CONTENT}("(?:,"thought": ?true)?\}\],"role".*?"candidatesTokenCount": ?)\d+` +
    String.raw`(,"totalTokenCount": ?)\d+(,.*)$`,
  "s",
);
const ZERO = 0x30;
/** Of a `COUNT`. */
const MAX_DIGITS = 9;
/** Without escapes. */
const SIMPLE_CONTENT = new RegExp(String.raw`[^"\\\u0000-\u001f]*(?=")`, "y");

/**
 * The chunks that repeat the one before them, except their text and two counts, so that the counts
 * of each replace those of the one before. To compare them costs half of what it costs to take them
 * apart. `last` is where the last of them begins; null if not one does.
 */
function repetitionsOf(
  chunk: RegExpExecArray,
  text: string,
  from: number,
): { readonly characters: number; readonly last: number | null } {
  const parts = chunk[CANDIDATES] === undefined ? null : PARTS.exec(chunk[0]);
  let characters = 0;
  let last = null;
  if (parts === null) return { characters, last };
  const [, head, middle, total, tail] = parts as unknown as readonly [string, string, string, string, string];
  for (let at = from; at < text.length;) {
    const content = endOf(head, text, at);
    SIMPLE_CONTENT.lastIndex = content;
    if (content < 0 || !SIMPLE_CONTENT.test(text)) break;
    const end = SIMPLE_CONTENT.lastIndex;
    const next = endOf(tail, text, endOfCount(text, endOf(total, text, endOfCount(text, endOf(middle, text, end)))));
    if (next < 0) break;
    characters += end - content;
    last = at;
    at = next;
  }
  return { characters, last };
}

/** Behind a part; -1 if it is not there. `startsWith` takes two thirds longer for each event. */
function endOf(part: string, text: string, at: number): number {
  return at >= 0 && text.slice(at, at + part.length) === part ? at + part.length : -1;
}

/** Behind a count as `COUNT` has it; -1 if it is not there. */
function endOfCount(text: string, at: number): number {
  if (at < 0 || text.charCodeAt(at) === ZERO) return -1;
  let end = at;
  for (let code = text.charCodeAt(end); code >= ZERO && code < ZERO + 10; code = text.charCodeAt(++end));
  return end > at && end <= at + MAX_DIGITS ? end : -1;
}

/** Whether the counts of a chunk replace all that the one before it named. */
function replaces(next: RegExpExecArray, last: RegExpExecArray): boolean {
  return next[CANDIDATES] !== undefined && next[PROMPT] === last[PROMPT] &&
    (last[CACHED] === undefined || next[CACHED] !== undefined) &&
    (last[THOUGHTS] === undefined || next[THOUGHTS] !== undefined);
}

function foldChunk(known: Counts, chunk: RegExpExecArray): Counts {
  return foldCounts(known, {
    prompt: Number(chunk[PROMPT]),
    toolUse: 0,
    candidates: Number(chunk[CANDIDATES] ?? 0),
    total: Number(chunk[TOTAL]),
    cached: Number(chunk[CACHED] ?? 0),
    thoughts: Number(chunk[THOUGHTS] ?? 0),
  });
}

/** As `textOf`, which nearly always returns what is known. */
function kept(named: string | undefined, known: string | null): string | null {
  return named === undefined || named === known ? known : textOf(named);
}
