import { DatabaseUnavailable } from "../../domain/unavailable.ts";

/**
 * Classes of SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html) that are
 * about the database's state, its configuration or the connection. All others are about what was
 * sent.
 */
const STATE_CLASSES = ["08", "25", "28", "3D", "40", "42", "53", "55", "57", "58", "F0", "XX"];

const CHECK_VIOLATION = "23514";

/** The server refuses what it was sent, so sending it again never helps. */
export function isOwnFault(error: unknown): boolean {
  const code = stateOf(error) ?? "";
  // The only check without a name is that of the partitions: the one of a month is missing.
  if (code === CHECK_VIOLATION && !(error as { readonly constraint_name?: string }).constraint_name) return false;
  return /^[0-9A-Z]{5}$/.test(code) && !STATE_CLASSES.includes(code.slice(0, 2));
}

/** SQLSTATE of a write to a standby or to a read-only server. */
export const READ_ONLY = "25006";
/** SQLSTATE of a statement that exceeded `statement_timeout`, or was cancelled. */
export const QUERY_CANCELED = "57014";
const LACKS_RIGHT = "42501";

const LOGIN = "PostgreSQL refuses the login: check the user and the password in its URL, and the server's pg_hba.conf";
const ENDING = "PostgreSQL is shutting down, or an administrator has ended the connection";
const BUSY = "PostgreSQL is busy: others hold what is needed";

/** Why the server cannot be used, by SQLSTATE or its class, and what an operator has to change. */
const WORDS_OF_STATES: Readonly<Record<string, string>> = {
  "08": "PostgreSQL, or a pooler before it, has ended the connection",
  [READ_ONLY]: "PostgreSQL takes no writes: the server is a standby, or was made read-only. " +
    "If its URL names several hosts, target_session_attrs=read-write finds the one that takes writes",
  "28": LOGIN,
  "3D": "PostgreSQL has no database of the name that stands in its URL: create it, or correct the URL",
  "3F": "PostgreSQL has no schema in which the role may create tables: the role needs USAGE and CREATE on the schema",
  "40": BUSY,
  "53100": "The disk of PostgreSQL is full",
  "53200": "PostgreSQL is out of memory",
  "53300": "PostgreSQL takes no more connections: raise its max_connections, or run fewer clients",
  "53": "PostgreSQL lacks resources",
  "55P03": BUSY,
  [QUERY_CANCELED]: "PostgreSQL did not answer in time",
  "57P03": "PostgreSQL is starting up or recovering",
  "57P04": "The database of PostgreSQL was dropped",
  "57": ENDING,
  "58": "PostgreSQL cannot read or write its files",
  "XX001": "PostgreSQL says that its data is damaged",
  "XX002": "PostgreSQL says that an index of it is damaged",
};

/** Errors of the protocol that postgres.js itself finds. */
const LOGIN_CODES = ["AUTH_TYPE_NOT_IMPLEMENTED", "SASL_SIGNATURE_MISMATCH"];
const LOST_CODES = /^(CONNECTION_|E[A-Z]{3,}$|ERR_STREAM|ERR_SOCKET)/;

/** A TLS connection could not be established. */
export class TlsFailed extends Error {
  override readonly name = "TlsFailed";
}

/**
 * The error as one that says why PostgreSQL cannot be used; null if it is about a different thing,
 * such as a bug. While connecting, every failure is about the server, the network or the URL.
 */
export function unavailableOf(error: unknown, doing: "connecting" | "asking"): DatabaseUnavailable | null {
  if (error instanceof DatabaseUnavailable) return error;
  const words = wordsOfState(error) ?? wordsOfConnection(error, doing);
  return words === null ? null : new DatabaseUnavailable(words, { cause: error });
}

function wordsOfState(error: unknown): string | null {
  const code = stateOf(error);
  if (code === null) return null;
  // The server's own words name the table or schema, and nothing secret.
  if (code === LACKS_RIGHT) return `PostgreSQL refuses a right that the role needs (${rightOf((error as Error).message)})`;
  return WORDS_OF_STATES[code] ?? WORDS_OF_STATES[code.slice(0, 2)] ?? null;
}

/** Which right is missing, by the words of SQLSTATE 42501. They may be in another language. */
const RIGHTS: readonly (readonly [RegExp, string])[] = [
  [/denied for database/, "CONNECT on the database"],
  [/denied for schema/, "USAGE and CREATE on the schema"],
  [/must be owner/, "the role has to own llmproxy's tables"],
  [
    /denied for (table|relation|view)/,
    "the role has to own llmproxy's tables, or to hold SELECT, INSERT, UPDATE and DELETE on them",
  ],
];

function rightOf(message: string): string {
  const needed = RIGHTS.find(([words]) => words.test(message))?.[1];
  return needed === undefined ? message : `${message}: ${needed}`;
}

function wordsOfConnection(error: unknown, doing: "connecting" | "asking"): string | null {
  if (error instanceof TlsFailed) {
    return "PostgreSQL cannot be reached by TLS: check sslmode and sslrootcert in its URL, and the server's certificate";
  }
  const code = codeOf(error);
  if (LOGIN_CODES.includes(code)) return LOGIN;
  if (doing === "connecting") {
    const known = LOST_CODES.test(code) ? ` (${code})` : "";
    return stateOf(error) === null
      ? `PostgreSQL cannot be reached${known}: is it running, and are host and port in its URL right?`
      : "PostgreSQL refuses the connection; the log says why";
  }
  return LOST_CODES.test(code) ? `The connection to PostgreSQL was lost (${code})` : null;
}

/** The SQLSTATE of the server's error; null if it is not the server's. */
export function stateOf(error: unknown): string | null {
  return error instanceof Error && error.name === "PostgresError" ? codeOf(error) : null;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}
