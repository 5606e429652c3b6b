import { Buffer } from "node:buffer";

/** What an answer is, whatever its label says. `other`: such as the page of a captive gateway. */
export type AnswerForm = "events" | "json" | "other";

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
 * 1. After a byte order mark and white space, `{` begins JSON. A line that begins with a field of
 *    an event stream (`event`, `data`, `id`, `retry`, or the `:` of a comment) begins events.
 * 2. If the first bytes are different, the label decides. If that says nothing, it is `other`.
 * 3. If only white space came, the label decides. If that says nothing, the request does.
 *
 * Labels come last because gateways get them wrong, and clients expect what they asked for.
 */
export function formOf(head: Uint8Array, clues: FormClues): AnswerForm | null {
  const isAll = clues.isAll || head.length >= MAX_HEAD_BYTES;
  const text = latin1Of(head).replace(BYTE_ORDER_MARK, "").replace(WHITE_SPACE, "");
  if (text.startsWith("{")) return "json";
  if (EVENT_FIELD.test(text)) return "events";
  const saysNothing = text === "" || BEGINNINGS.some((beginning) => beginning.startsWith(text));
  if (saysNothing && !isAll) return null;
  return formOfLabel(clues.label) ?? (saysNothing ? formAsked(clues) : "other");
}

/** One character for each byte. */
function latin1Of(head: Uint8Array): string {
  return Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, MAX_HEAD_BYTES)).toString("latin1");
}

/** Its three bytes are three characters here. */
const BYTE_ORDER_MARK = /^\xef\xbb\xbf/;
const WHITE_SPACE = /^[ \t\r\n]+/;
const EVENT_FIELD = /^(?:event|data|id|retry)?[:\r\n]/;
/** Any start of these may still become a field, or the byte order mark. */
const BEGINNINGS = ["event", "data", "id", "retry", "\xef\xbb\xbf"];

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
