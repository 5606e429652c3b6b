import type { DatabaseSync } from "node:sqlite";
import { type Change, insertAudit } from "../audit_sql.ts";
import { inTransaction } from "./connection.ts";
import type { Queries } from "./queries.ts";

/** The transaction has the only write lock, so no other change comes between. */
export function changed<Before, After>(db: DatabaseSync, queries: Queries, asked: Change<Before, After>): After {
  return inTransaction(db, () => {
    const before = asked.before === null ? null : queries.answer(asked.before);
    for (const statement of asked.first ?? []) queries.answer({ ...statement, read: () => {} });
    const after = queries.answer(asked.change);
    const entry = asked.entry(before, after);
    if (entry !== null) queries.answer(insertAudit(entry));
    return after;
  });
}
