import type { Frame, Part } from "../../domain/provider.ts";
import { parsedRecord } from "../anthropic/usage.ts";

const decoder = new TextDecoder();

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
      return errorOf(headers.get(":exception-type"), parsedRecord(decoder.decode(payload))?.message);
    case "error":
      return errorOf(headers.get(":error-code"), headers.get(":error-message"));
    default:
      return null;
  }
}

/** AWS pads the JSON with a key of random length. */
function chunkOf(payload: Uint8Array): Part | null {
  const bytes = parsedRecord(decoder.decode(payload))?.bytes;
  if (typeof bytes !== "string") return null;
  try {
    return { event: "", data: decoder.decode(Uint8Array.fromBase64(bytes)) };
  } catch {
    return null;
  }
}

function errorOf(type: string | undefined, message: unknown): Part {
  return { event: "error", data: JSON.stringify({ type: "error", error: { type, message } }) };
}
