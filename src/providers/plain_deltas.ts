import type { UsageReading } from "../domain/reading.ts";

/** A regular expression for what a string of JSON holds between its quotes. */
export const STRING_CONTENT = String.raw`[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[\da-fA-F]{4})[^"\\\u0000-\u001f]*)*`;

/** Longer texts could overflow the stack of V8's regular expressions. The network's are shorter. */
export const MAX_TEXT_LENGTH = 256 * 1024;

/**
 * `AnswerDialect.parseDeltas` for events that a sticky expression knows to their last character:
 * its first group is the content that they add. Each counts as content, also without text.
 */
export function parsePlainDeltas(
  plain: RegExp,
  reading: UsageReading,
  { text, from }: { readonly text: string; readonly from: number },
): { readonly reading: UsageReading; readonly to: number } {
  if (text.length > MAX_TEXT_LENGTH) return { reading, to: from };
  let characters = 0;
  let to = from;
  // A failed search costs a third of a good one, and most texts are one event.
  while (to < text.length) {
    plain.lastIndex = to;
    const found = plain.exec(text);
    if (found === null) break;
    characters += lengthOf(found[1]!);
    to = plain.lastIndex;
  }
  if (to === from) return { reading, to };
  return { reading: { ...reading, hasContent: true, contentCharacters: reading.contentCharacters + characters }, to };
}

/** Of a string of JSON, as it stands between its quotes. */
export function lengthOf(content: string): number {
  return content.includes("\\") ? JSON.parse(`"${content}"`).length : content.length;
}
