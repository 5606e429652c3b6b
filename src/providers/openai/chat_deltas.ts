import type { UsageReading } from "../../domain/reading.ts";
import { lengthOf, MAX_TEXT_LENGTH, STRING_CONTENT } from "../plain_deltas.ts";

const NAME = String.raw`"([^"\\\u0000-\u001f]{1,200})"`;
const COUNT = String.raw`(?:0|[1-9]\d*)`;

/** What stands in front of every chunk's choices: the same in all chunks of an answer. */
const HEAD = new RegExp(
  String.raw`data: \{"id":${NAME},"object":"chat\.completion\.chunk","created":${COUNT},"model":${NAME},` +
    String.raw`(?:"service_tier":(?:null|${NAME}),)?(?:"system_fingerprint":(?:null|"[\w-]*"),)?"choices":`,
  "y",
);

/** One choice that adds text and does not end, to the end of its event. */
const PLAIN_CHOICE = new RegExp(
  String.raw`\[\{"index":${COUNT},"delta":\{"content":"(${STRING_CONTENT})"\}(?:,"logprobs":null)?,"finish_reason":null\}\]` +
    String.raw`(?:,"usage":null)?(?:,"obfuscation":"[^"\\\u0000-\u001f]*")?\}\n\n`,
  "y",
);

/**
 * Takes chunks of text up to the first of any other spelling, which `parseStreamEvent` reads. That
 * one has read the names in front of the first chunk, and these chunks repeat them.
 */
export function parseChatDeltas(
  reading: UsageReading,
  text: string,
  from: number,
): { readonly reading: UsageReading; readonly to: number } {
  if (text.length > MAX_TEXT_LENGTH) return { reading, to: from };
  const head = headAt(text, from, reading);
  if (head === null) return { reading, to: from };
  let characters = 0;
  let to = from;
  while (to < text.length && text.slice(to, to + head.length) === head) {
    PLAIN_CHOICE.lastIndex = to + head.length;
    const found = PLAIN_CHOICE.exec(text);
    if (found === null) break;
    characters += lengthOf(found[1]!);
    to = PLAIN_CHOICE.lastIndex;
  }
  if (characters === 0) return { reading, to };
  return { reading: { ...reading, hasContent: true, contentCharacters: reading.contentCharacters + characters }, to };
}

/** Null if no chunk begins there, or if it names something that the reading does not know. */
function headAt(text: string, from: number, reading: UsageReading): string | null {
  const known = HEADS.get(reading.messageId ?? "");
  if (known !== undefined && isOf(known, reading) && text.slice(from, from + known.text.length) === known.text) return known.text;
  HEAD.lastIndex = from;
  const found = HEAD.exec(text);
  if (found === null) return null;
  const [head, messageId, servedModel, tier] = found as unknown as readonly [string, string, string, string | undefined];
  const read: Head = { text: head, messageId, servedModel, serviceTier: tier ?? reading.serviceTier };
  if (!isOf(read, reading)) return null;
  if (HEADS.size >= MAX_HEADS) HEADS.clear();
  HEADS.set(messageId, read);
  return head;
}

interface Head extends Pick<UsageReading, "messageId" | "servedModel" | "serviceTier"> {
  readonly text: string;
}

/** Heads of running answers by id. If one is missing, reading it costs 0.3 us. */
const HEADS = new Map<string, Head>();
const MAX_HEADS = 1_000;

function isOf(head: Head, reading: UsageReading): boolean {
  return head.messageId === reading.messageId && head.servedModel === reading.servedModel &&
    head.serviceTier === reading.serviceTier;
}
