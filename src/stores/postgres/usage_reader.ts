import type { UsageReader } from "../../domain/usage_record.ts";
import { recordCount, recordsOn } from "../records_sql.ts";
import type { Question } from "../usage_sql.ts";
import { openPool } from "./pool.ts";
import { answer } from "./queries.ts";

const CONNECTING = { max: 1, connectSeconds: 5, idleSeconds: 60 };
/** A page takes milliseconds on an idle server. */
const SECONDS = 60;

/** Throws as `openPool` does. Connects when it is first used. */
export function openUsageReader(url: string): UsageReader {
  const pool = openPool(url, CONNECTING);
  const put = <T>(question: Question<T>) =>
    pool.run({ access: "read latest", seconds: SECONDS, ask: (ask) => answer(ask, question) });
  return {
    read: (page) => put(recordsOn(page)),
    count: (filter) => put(recordCount(filter)),
    close: () => pool.close(),
  };
}
