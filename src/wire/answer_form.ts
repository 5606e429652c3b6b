/**
 * What an answer is, whatever its label says. `other` is neither, such as the page of a captive
 * gateway.
 */
export type AnswerForm = "events" | "json" | "other";

export interface FormClues {
  /** The answer's `content-type`; null if it has none. */
  readonly label: string | null;
  /** The request asked for a stream. */
  readonly isStreamAsked: boolean;
  /** `head` is the whole answer: no more bytes come. */
  readonly isAll: boolean;
}

/** No more of an answer is looked at. Behind so much white space the label decides. */
export const MAX_HEAD_BYTES = 4096;

/**
 * Tells what an answer is from its first bytes, decoded. Null: more bytes are needed to say it.
 *
 * The one rule, in this order:
 * 1. Behind a byte order mark and white space, `{` begins JSON. A line that begins with a field of
 *    an event stream (`event`, `data`, `id`, `retry`, or the `:` of a comment) begins events.
 * 2. If the first bytes are something else, the label decides. A label that says nothing leaves
 *    `other`.
 * 3. If nothing but white space came, the label decides, and if that says nothing, what was asked
 *    for.
 *
 * Labels come last because gateways get them wrong, and clients go by what they asked for.
 */
export function formOf(head: Uint8Array, clues: FormClues): AnswerForm | null {
  const isAll = clues.isAll || head.length >= MAX_HEAD_BYTES;
  const text = String.fromCharCode(...head.subarray(0, MAX_HEAD_BYTES)).replace(BYTE_ORDER_MARK, "").replace(WHITE_SPACE, "");
  if (text.startsWith("{")) return "json";
  if (EVENT_FIELD.test(text)) return "events";
  const saysNothing = text === "" || BEGINNINGS.some((beginning) => beginning.startsWith(text));
  if (saysNothing && !isAll) return null;
  return formOfLabel(clues.label) ?? (saysNothing ? formAsked(clues) : "other");
}

/** As three bytes, each of them one character here. */
const BYTE_ORDER_MARK = /^\xef\xbb\xbf/;
const WHITE_SPACE = /^[ \t\r\n]+/;
const EVENT_FIELD = /^(?:event|data|id|retry)?[:\r\n]/;
/** What may still become a field, or the byte order mark. */
const BEGINNINGS = ["event", "data", "id", "retry", "\xef\xbb\xbf"];

/**
 * Null for a label that says nothing: none, or one that servers give to whatever they do not know.
 */
function formOfLabel(label: string | null): AnswerForm | null {
  const type = (label ?? "").split(";")[0]!.trim().toLowerCase();
  if (type === "text/event-stream") return "events";
  if (/[/+]json$/.test(type)) return "json";
  return ["", "text/plain", "application/octet-stream", "binary/octet-stream"].includes(type) ? null : "other";
}

function formAsked({ isStreamAsked }: FormClues): AnswerForm {
  return isStreamAsked ? "events" : "json";
}
