import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { z } from "zod";
import type { Position } from "../domain/query.ts";

/** The place where the next page begins. */
export interface Cursor {
  readonly after: Position;
  /** The time of the request for the first page, milliseconds since the epoch. */
  readonly asOf: number;
}

/** Hex digits of SHA-256: they tell a cursor from that of another query and from a mistyped one. */
const CHECK_LENGTH = 16;

const written = z.tuple([z.int(), z.array(z.string()).min(2), z.string()]);

/** The cursor as text. `question`: the part of the query that all pages of a list share. */
export function cursorText({ after, asOf }: Cursor, question: string): string {
  return Buffer.from(JSON.stringify([asOf, after, checkOf({ after, asOf }, question)])).toString("base64url");
}

/** Null if the text is no cursor, or that of another query. */
export function readCursor(text: string, question: string): Cursor | null {
  const read = written.safeParse(parsed(text));
  if (!read.success) return null;
  const [asOf, after, check] = read.data;
  const cursor = { after, asOf };
  // base64 has other spellings of the same bytes.
  return check === checkOf(cursor, question) && text === cursorText(cursor, question) ? cursor : null;
}

function checkOf({ after, asOf }: Cursor, question: string): string {
  return createHash("sha256").update(JSON.stringify([question, asOf, after])).digest("hex").slice(0, CHECK_LENGTH);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, "base64url").toString());
  } catch {
    return null;
  }
}
