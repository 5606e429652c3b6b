import type { UsageReader } from "../../domain/usage_record.ts";
import { recordCount, recordsOn } from "../records_sql.ts";
import { openConnection } from "./connection.ts";
import { Queries } from "./queries.ts";

/** `cacheKib`: each page is read once. */
const CONNECTION = { synchronous: "normal", busyTimeoutMs: 5_000, autoCheckpointPages: 0, cacheKib: 4_000 } as const;

/** On a connection of its own. Blocks its thread: a page of 1,000 rows takes some 10 ms. */
export function openUsageReader(path: string): UsageReader {
  const db = openConnection(path, CONNECTION);
  const queries = new Queries(db);
  return {
    read: (page) => Promise.try(() => queries.answer(recordsOn(page))),
    count: (filter) => Promise.try(() => queries.answer(recordCount(filter))),
    close: () => Promise.try(() => db.close()),
  };
}
