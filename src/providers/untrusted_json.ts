/** What upstreams and clients wrote: anything may stand in any place. */
import { MAX_COUNT } from "../domain/reading.ts";
import { cutClientString } from "../domain/text.ts";

/** The value if it is a whole number from 0 to `MAX_COUNT`, otherwise null. */
export function countOf(value: unknown): number | null {
  // abs: JSON has a negative zero.
  return Number.isInteger(value) && value as number >= 0 && value as number <= MAX_COUNT ? Math.abs(value as number) : null;
}

/** The value, cut, if it is a string and not empty; otherwise null. */
export function textOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? cutClientString(value) : null;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The text's JSON object, otherwise null. Skips a byte order mark, as `Response.json()` does. */
export function parsedRecord(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}
