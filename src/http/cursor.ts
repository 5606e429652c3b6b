import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { z } from "zod";
import type { Position } from "../domain/query.ts";

/** Where a list goes on. */
export interface Cursor {
  readonly after: Position;
  /** When its first page was asked for, milliseconds since the epoch. */
  readonly asOf: number;
}

/** Characters of SHA-256 in hex: enough to tell a cursor from another question's, and from one that was cut or mistyped. */
const CHECK_LENGTH = 16;

const written = z.tuple([z.int(), z.array(z.string()).min(2), z.string()]);

/** The cursor as text. `question`: what was asked, as far as the pages of one list have it in common. */
export function cursorText({ after, asOf }: Cursor, question: string): string {
  return Buffer.from(JSON.stringify([asOf, after, checkOf({ after, asOf }, question)])).toString("base64url");
}

/** Null where the text is no cursor, or one of another question. */
export function readCursor(text: string, question: string): Cursor | null {
  const read = written.safeParse(parsed(text));
  if (!read.success) return null;
  const [asOf, after, check] = read.data;
  const cursor = { after, asOf };
  // Exactly as it was given: base64 has other spellings of the same.
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
