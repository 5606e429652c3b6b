import { DatabaseUnavailable } from "../../domain/unavailable.ts";

interface State {
  /** Primary result codes (https://sqlite.org/rescode.html). */
  readonly codes: readonly number[];
  /** SQLite's own words: an error of `DatabaseSync.exec` carries no code. */
  readonly says: RegExp;
  readonly words: string;
}

/** Why the file cannot be used, whatever is asked of it. */
const STATES: readonly State[] = [
  { codes: [5, 6], says: /is locked/, words: "The database file is locked: another program holds it" },
  { codes: [13], says: /disk is full/, words: "The volume of the data directory is full: make room on it" },
  { codes: [10], says: /disk I\/O error/, words: "The database file cannot be read or written: its disk reports an error" },
  {
    codes: [14],
    says: /unable to open database/,
    words: "The database file cannot be opened: check that the data directory is there and that the proxy's user may use it",
  },
  {
    codes: [3, 8],
    says: /readonly database|access permission denied/,
    words: "The database file cannot be written: check the rights on the data directory, and whether its volume is read-only",
  },
  { codes: [11, 26], says: /malformed|not a database/, words: "The database file is damaged: restore a backup" },
  { codes: [7], says: /out of memory/, words: "The database has no memory left" },
];

/** The error as one that says that the file cannot be used, and why; null if it is about something else, such as a bug. */
export function unavailableOf(error: unknown): DatabaseUnavailable | null {
  if (error instanceof DatabaseUnavailable) return error;
  if (!(error instanceof Error) || !("code" in error) || error.code !== "ERR_SQLITE_ERROR") return null;
  const code = "errcode" in error && typeof error.errcode === "number" ? error.errcode & 0xff : null;
  const state = STATES.find(({ codes, says }) => code === null ? says.test(error.message) : codes.includes(code));
  return state === undefined ? null : new DatabaseUnavailable(state.words, { cause: error });
}
