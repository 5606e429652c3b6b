import type { Frame, Part } from "../../domain/provider.ts";
import { DELTA_DATA } from "../anthropic/answer.ts";
import { parsedRecord } from "../untrusted_json.ts";
import { lengthOf, MAX_TEXT_LENGTH } from "../plain_deltas.ts";

/** A byte order mark within a text is a part of it. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * A message of the stream as the event that it carries: a chunk has one of Anthropic's in base64.
 * Exceptions and errors become the event of an error of that type. Null for all others, and for
 * what cannot be read. Never throws.
 */
export function partOf({ headers, payload }: Frame): Part | null {
  switch (headers.get(":message-type")) {
    case "event":
      return headers.get(":event-type") === "chunk" ? chunkOf(payload) : null;
    case "exception":
      return errorOf(headers.get(":exception-type"), parsedRecord(decoded(payload))?.message);
    case "error":
      return errorOf(headers.get(":error-code"), headers.get(":error-message"));
    default:
      return null;
  }
}

const BEGINNING = '{"bytes":"';
/** AWS pads the JSON with a key of random length. */
const END = /"(?:,"p":"[A-Za-z0-9]*")?\}$/y;
const PLAIN_DELTA = new RegExp(`^${DELTA_DATA}$`);
const BEYOND_ASCII = /[\x80-\xff]/;

/** `AnswerDialect.contentOf` for deltas in the one spelling that AWS has for chunks. */
export function contentOf({ headers, payload }: Frame): number | null {
  if (payload.slice(0, BEGINNING.length) !== BEGINNING || payload.length > MAX_TEXT_LENGTH) return null;
  if (headers.get(":event-type") !== "chunk" || headers.get(":message-type") !== "event") return null;
  const end = payload.indexOf('"', BEGINNING.length);
  END.lastIndex = end;
  if (end < 0 || !END.test(payload)) return null;
  const content = PLAIN_DELTA.exec(binaryOf(payload.slice(BEGINNING.length, end)))?.[1];
  if (content === undefined) return null;
  return lengthOf(BEYOND_ASCII.test(content) ? decoded(content) : content);
}

/** Empty if it is no base64, or has white space: no string of JSON has a line break. */
function binaryOf(base64: string): string {
  const padding = base64.endsWith("==") ? 2 : base64.endsWith("=") ? 1 : 0;
  try {
    const binary = atob(base64);
    return binary.length === base64.length / 4 * 3 - padding ? binary : "";
  } catch {
    return "";
  }
}

function chunkOf(payload: string): Part | null {
  const bytes = parsedRecord(decoded(payload))?.bytes;
  if (typeof bytes !== "string") return null;
  try {
    return { event: "", data: decoder.decode(Uint8Array.fromBase64(bytes)) };
  } catch {
    return null;
  }
}

/** `binary` has a character for each byte. */
function decoded(binary: string): string {
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return decoder.decode(bytes);
}

function errorOf(type: string | undefined, message: unknown): Part {
  return { event: "error", data: JSON.stringify({ type: "error", error: { type, message } }) };
}
