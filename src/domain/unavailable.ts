/**
 * A database cannot be used at the moment, or not as it is set up: nothing is wrong with what it was asked.
 * `message` is for those who ask the admin API: it says what is the matter and what to do, and holds no host, user, password
 * or SQL. The database's own words are in `cause`, which is logged.
 */
export class DatabaseUnavailable extends Error {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = "DatabaseUnavailable";
  }
}

/** By its name: it may come from a Worker. */
export function isUnavailable(error: unknown): error is Error {
  return error instanceof DatabaseUnavailable || (error instanceof Error && error.name === "DatabaseUnavailable");
}

/** An error as a message between threads carries it. */
export interface CarriedError {
  readonly name: string;
  readonly message: string;
  /** The message of its cause; null if it has none. */
  readonly cause: string | null;
}

export function carriedError(error: unknown): CarriedError {
  const { name, message, cause } = error instanceof Error ? error : new Error(String(error));
  return { name, message, cause: cause instanceof Error ? cause.message : null };
}

export function arrivedError({ name, message, cause }: CarriedError): Error {
  const error = cause === null ? new Error(message) : new Error(message, { cause: new Error(cause) });
  error.name = name;
  return error;
}

/** What an error says, with what its cause says: for the log and the command line, not for the admin API. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { message, cause } = error;
  return isUnavailable(error) && cause instanceof Error ? `${message} (${cause.message})` : message;
}
