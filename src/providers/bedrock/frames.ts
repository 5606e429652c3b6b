import type { Frame } from "../../domain/frame.ts";
import type { Part } from "../../domain/provider.ts";
import { parsedRecord } from "../untrusted_json.ts";

/** A byte order mark within a text is a part of it. */
export const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * A message of the stream as the event that it carries: a chunk has one of Anthropic's in base64.
 * Exceptions and errors become the event of an error of that type. Null for all others, and for
 * what cannot be read. Never throws.
 */
export function partOf({ headers, bytes, from, to }: Frame): Part | null {
  const payload = () => parsedRecord(decoder.decode(bytes.subarray(from, to)));
  switch (headers.get(":message-type")) {
    case "event":
      return headers.get(":event-type") === "chunk" ? chunkOf(payload()?.bytes) : null;
    case "exception":
      return errorOf(headers.get(":exception-type"), payload()?.message);
    case "error":
      return errorOf(headers.get(":error-code"), headers.get(":error-message"));
    default:
      return null;
  }
}

function chunkOf(base64: unknown): Part | null {
  if (typeof base64 !== "string") return null;
  try {
    return { event: "", data: decoder.decode(Uint8Array.fromBase64(base64)) };
  } catch {
    return null;
  }
}

function errorOf(type: string | undefined, message: unknown): Part {
  return { event: "error", data: JSON.stringify({ type: "error", error: { type, message } }) };
}
