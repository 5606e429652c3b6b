/**
 * What an answer is, whatever its label says. `array`: of JSON. `frames`: of AWS's binary event
 * stream. `other`: such as the page of a captive gateway.
 */
export type AnswerForm = "events" | "json" | "array" | "frames" | "other";

export interface FormClues {
  /** The answer's `content-type`; null if it has none. */
  readonly label: string | null;
  /** The request asked for a stream. */
  readonly isStreamAsked: boolean;
  /** `head` is the whole answer: no more bytes come. */
  readonly isAll: boolean;
}

/** Looks no further into an answer. Behind so much white space the label decides. */
export const MAX_HEAD_BYTES = 4096;

/**
 * Tells what an answer is from its first decoded bytes. Null: it needs more bytes.
 *
 * The one rule, in this order:
 * 1. Of a binary event stream, which has no text to tell it by, the label decides. After a byte
 *    order mark and white space, `{` begins JSON and `[` an array of it. A line that begins with a
 *    field of an event stream (`event`, `data`, `id`, `retry`, or the `:` of a comment) begins
 *    events.
 * 2. If the first bytes are different, the label decides. If that says nothing, it is `other`.
 * 3. If only white space came, the label decides. If that says nothing, the request does.
 *
 * Labels come last because gateways get them wrong, and clients expect what they asked for.
 */
export function formOf(head: Uint8Array, clues: FormClues): AnswerForm | null {
  const isAll = clues.isAll || head.length >= MAX_HEAD_BYTES;
  if (isFrames(clues.label)) return "frames";
  const text = beginningOf(head);
  if (text.startsWith("{")) return "json";
  if (text.startsWith("[")) return "array";
  if (EVENT_FIELD.test(text)) return "events";
  const saysNothing = text === "" || BEGINNINGS.some((beginning) => beginning.startsWith(text));
  if (saysNothing && !isAll) return null;
  return formOfLabel(clues.label) ?? (saysNothing ? formAsked(clues) : "other");
}

/** The characters that decide, one for each byte: behind a byte order mark and white space. */
function beginningOf(head: Uint8Array): string {
  let from = BYTE_ORDER_MARK.every((byte, at) => head[at] === byte) ? BYTE_ORDER_MARK.length : 0;
  while (from < MAX_HEAD_BYTES && WHITE_SPACE.includes(head[from] ?? 0)) from++;
  return String.fromCharCode(...head.subarray(from, Math.min(from + LONGEST_BEGINNING, MAX_HEAD_BYTES)));
}

const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];
const WHITE_SPACE = [0x20, 0x09, 0x0d, 0x0a];
/** `event:` */
const LONGEST_BEGINNING = 6;
const EVENT_FIELD = /^(?:event|data|id|retry)?[:\r\n]/;
/** Any start of these may still become a field, or the byte order mark. */
const BEGINNINGS = ["event", "data", "id", "retry", "\xef\xbb\xbf"];

function isFrames(label: string | null): boolean {
  return label !== null && /^\s*application\/vnd\.amazon\.eventstream\s*(?:;|$)/i.test(label);
}

/** Null for no label, and for one that servers give to content they do not know. */
function formOfLabel(label: string | null): AnswerForm | null {
  const type = (label ?? "").split(";")[0]!.trim().toLowerCase();
  if (type === "text/event-stream") return "events";
  if (/[/+]json$/.test(type)) return "json";
  return ["", "text/plain", "application/octet-stream", "binary/octet-stream"].includes(type) ? null : "other";
}

function formAsked({ isStreamAsked }: FormClues): AnswerForm {
  return isStreamAsked ? "events" : "json";
}
