import { type Change, insertAudit } from "../audit_sql.ts";
import type { Ask } from "./connection.ts";
import { answer } from "./queries.ts";

/** Lock by which administrative changes take turns: any number that no one else uses. */
const CHANGING = 7_242_013_001;

/** In a transaction. The lock makes `before` true even if several replicas change the same row. */
export async function changed<Before, After>(ask: Ask, asked: Change<Before, After>): Promise<After> {
  await ask("SELECT pg_advisory_xact_lock($1)", [CHANGING]);
  const before = asked.before === null ? null : await answer(ask, asked.before);
  for (const statement of asked.first ?? []) await answer(ask, { ...statement, read: () => {} });
  const after = await answer(ask, asked.change);
  const entry = asked.entry(before, after);
  if (entry !== null) await answer(ask, insertAudit(entry));
  return after;
}
