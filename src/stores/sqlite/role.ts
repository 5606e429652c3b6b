import type { DatabaseSync } from "node:sqlite";
import { retryOf } from "../retries.ts";
import { integer, type Row } from "../row_decoders.ts";
import { added, countedRow, placeOf } from "../totals.ts";
import { usageRowOf } from "../usage_row.ts";
import { inTransaction, openConnection, readingBigInts } from "./connection.ts";
import { Retries } from "./retries.ts";
import { Totals } from "./totals.ts";

/** The only database, which answers queries, or the spool of a shared one, which does not. */
export type Role = "database" | "spool";

/** Indexes for queries only. They are a third of the cost of a write, so a spool drops them. */
const QUERY_INDEXES = ["usage_by_sandbox", "usage_by_trace"];

/** Rows that one transaction counts: about 10 ms. */
const COUNTED_AT_ONCE = 200;

/**
 * Sets the file's role, before anything else opens it. A spool becomes the only database by
 * counting its uncounted rows. Returns their number. The schema must be up to date. Throws SQLite's
 * error; then the next start continues.
 */
export function takeRole(path: string, role: Role): number {
  const db = openConnection(path, { synchronous: "full", busyTimeoutMs: 5_000, autoCheckpointPages: 1_000, cacheKib: 8_000 });
  try {
    if (db.prepare("SELECT role FROM spool").get()?.role === role) return 0;
    if (role === "database") return becomeDatabase(db);
    inTransaction(db, () => becomeSpool(db));
    return 0;
  } finally {
    db.close();
  }
}

function becomeSpool(db: DatabaseSync): void {
  for (const name of QUERY_INDEXES) {
    db.prepare("INSERT OR REPLACE INTO absent_indexes (name, sql) SELECT name, sql FROM sqlite_schema WHERE name = ?").run(name);
    db.exec(`DROP INDEX IF EXISTS ${name}`);
  }
  db.exec("UPDATE spool SET role = 'spool', is_handed_over = 0");
}

function becomeDatabase(db: DatabaseSync): number {
  const countSome = counterOn(db);
  let counted = 0;
  for (let some = COUNTED_AT_ONCE; some === COUNTED_AT_ONCE; counted += some) some = inTransaction(db, countSome);
  inTransaction(db, () => {
    for (const { sql } of db.prepare("SELECT sql FROM absent_indexes").all()) db.exec(String(sql));
    db.exec("DELETE FROM absent_indexes; UPDATE spool SET role = 'database'");
  });
  return counted;
}

/** Adds the next uncounted rows to the totals and links them. Returns their number. */
function counterOn(db: DatabaseSync): () => number {
  const uncounted = readingBigInts(db, UNCOUNTED);
  const setCounted = db.prepare("UPDATE usage SET counted = 1, attempt = messages_hash IS NOT NULL WHERE rowid = ?");
  const totals = new Totals(db);
  const retries = new Retries(db, totals);

  function count(row: Row): void {
    const { call, closing } = usageRowOf(row);
    const place = placeOf(call, closing);
    setCounted.run(row.number as bigint);
    totals.apply(added(place, countedRow(row)));
    if (call.messagesHash === null) return;
    retries.relink({ ...place, ...closing, retry: retryOf(row) }, call.messagesHash);
  }

  let after = 0;
  return () => {
    const rows = uncounted.all(after, COUNTED_AT_ONCE);
    rows.forEach(count);
    after = rows.length === 0 ? after : integer(rows.at(-1)!, "number");
    return rows.length;
  };
}

const UNCOUNTED = `
  SELECT *, rowid AS number
  FROM usage
  WHERE rowid > ? AND counted = 0
  ORDER BY rowid
  LIMIT ?`;
