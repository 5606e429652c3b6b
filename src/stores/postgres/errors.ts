/**
 * What is about the database's state, its configuration or the way to it, by class of SQLSTATE
 * (https://www.postgresql.org/docs/current/errcodes-appendix.html): connections, unfinished transactions, a database that is
 * read-only, passwords, names that are not there, deadlocks, a schema that is another one, resources, operators, the system.
 * Everything else that the server says is about what it was sent.
 */
const STATE_CLASSES = ["08", "25", "28", "3D", "40", "42", "53", "55", "57", "58", "F0", "XX"];

const CHECK_VIOLATION = "23514";

/** Whether the server refuses what it was sent for its own sake, so that sending it again never helps. */
export function isOwnFault(error: unknown): boolean {
  if (!(error instanceof Error) || error.name !== "PostgresError") return false;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  // A check that has no name is that of the partitions: a month's is not there.
  if (code === CHECK_VIOLATION && !("constraint_name" in error && error.constraint_name)) return false;
  return /^[0-9A-Z]{5}$/.test(code) && !STATE_CLASSES.includes(code.slice(0, 2));
}
