import { DatabaseUnavailable } from "../../domain/unavailable.ts";

/** What may be wrong, by primary result code (https://sqlite.org/rescode.html). */
const BUSY = [5];
const DAMAGE = [11, 26];
/** TOOBIG, CONSTRAINT, MISMATCH, RANGE. */
const OWN_FAULT = [18, 19, 20, 25];

/** Another connection holds the lock, so trying again helps. */
export function isBusy(error: unknown): boolean {
  return BUSY.includes(codeOf(error) ?? 0);
}

/** The file is not what it should be. */
export function isDamage(error: unknown): boolean {
  return DAMAGE.includes(codeOf(error) ?? 0);
}

/** The statement itself is refused: trying again never helps, and others are not affected. */
export function isOwnFault(error: unknown): boolean {
  const code = codeOf(error);
  return code === null || OWN_FAULT.includes(code);
}

/** Why the file cannot be used. SQLite's words identify an error without a code. */
const STATES: readonly (readonly [codes: readonly number[], says: RegExp, words: string])[] = [
  [[5, 6], /is locked/, "The database file is locked: another program holds it"],
  [[13], /disk is full/, "The volume of the data directory is full: make room on it"],
  [[10], /disk I\/O error/, "The database file cannot be read or written: its disk reports an error"],
  [
    [14],
    /unable to open database/,
    "The database file cannot be opened: check that the data directory is there and that the proxy's user may use it",
  ],
  [
    [3, 8],
    /readonly database|access permission denied/,
    "The database file cannot be written: check the rights on the data directory, and whether its volume is read-only",
  ],
  [DAMAGE, /malformed|not a database/, "The database file is damaged: restore a backup"],
  [[7], /out of memory/, "The database has no memory left"],
];

/** Why the file cannot be used; null if the error is about something different, such as a bug. */
export function unavailableOf(error: unknown): DatabaseUnavailable | null {
  if (error instanceof DatabaseUnavailable) return error;
  const code = codeOf(error);
  if (code === null) return null;
  const { message } = error as Error;
  const state = STATES.find(([codes, says]) => code === 0 ? says.test(message) : codes.includes(code));
  return state === undefined ? null : new DatabaseUnavailable(state[2], { cause: error });
}

/** Null if the error is not SQLite's; 0 if it has no code, like those of `DatabaseSync.exec`. */
function codeOf(error: unknown): number | null {
  if (!(error instanceof Error) || !("code" in error) || error.code !== "ERR_SQLITE_ERROR") return null;
  return "errcode" in error && typeof error.errcode === "number" ? error.errcode & 0xff : 0;
}
