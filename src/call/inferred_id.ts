import { hashedDigits } from "../wire/hashed_digits.ts";

/** What the calls of a run that names no session have in common. */
export interface Run {
  readonly workspaceId: string;
  readonly sandboxId: string;
  readonly client: string | null;
  /** SHA-256 of the first message. */
  readonly firstMessage: string;
}

/** Another way to make ids gets another one, so that old and new ones never meet. */
const LABEL = "llmproxy inferred session 1";
/** No ULID begins so before the year 10889, and so no id of a new trace. */
const PREFIX = "at-ZZ";
const HASHED_DIGITS = 24;

/**
 * The trace of a run that begins in that slot of time: `at-` and 26 base32 digits, the last 24 of
 * which are a hash of all that tells the run from others. Every replica makes the same one without
 * asking anybody.
 */
export function inferredIdOf({ workspaceId, sandboxId, client, firstMessage }: Run, slot: number): string {
  return PREFIX + hashedDigits([LABEL, workspaceId, sandboxId, client, firstMessage, slot], HASHED_DIGITS);
}

/**
 * Whether the id is one that `inferredIdOf` can make. A client that names one is not heard, so it
 * can join no such run.
 */
export function isInferredId(id: string): boolean {
  return INFERRED.test(id);
}

const INFERRED = /^at-ZZ[0-9A-HJKMNP-TV-Z]{24}$/;
