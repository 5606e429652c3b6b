/**
 * A database cannot be used at the moment or as it is configured; the question itself is fine.
 * `message` goes to users of the admin API: it says what to do, and holds no host, user, password
 * or SQL. `cause` has the database's own words, for the log.
 */
export class DatabaseUnavailable extends Error {
  override name = "DatabaseUnavailable";
}

/** By its name, because it may come from a Worker. */
export function isUnavailable(error: unknown): error is Error {
  return error instanceof DatabaseUnavailable || (error instanceof Error && error.name === "DatabaseUnavailable");
}

/** An error in a message between threads. */
export interface CarriedError {
  readonly name: string;
  readonly message: string;
  /** The message of its cause. */
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

/** The messages of an error and its cause: for the log and the command line only. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { message, cause } = error;
  return isUnavailable(error) && cause instanceof Error ? `${message} (${cause.message})` : message;
}
