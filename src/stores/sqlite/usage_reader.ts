import type { DatabaseSync } from "node:sqlite";
import type { RecordPage, UsageFilter, UsageReader, UsageRecord } from "../../domain/usage_record.ts";
import { usageRecordOf } from "../usage_row.ts";
import { openConnection } from "./connection.ts";

const BUSY_TIMEOUT_MS = 5_000;
/** Each page is read once. */
const CACHE_KIB = 4_000;

/** Reads on a connection of its own and blocks its thread meanwhile, a page of 1,000 rows for some 10 ms. */
export function openUsageReader(path: string): UsageReader {
  const db = openConnection(path, {
    synchronous: "normal",
    busyTimeoutMs: BUSY_TIMEOUT_MS,
    autoCheckpointPages: 0,
    cacheKib: CACHE_KIB,
  });
  return {
    read: (page) => Promise.try(() => read(db, page)),
    count: (filter) => Promise.try(() => count(db, filter)),
    close: () => Promise.try(() => db.close()),
  };
}

function read(db: DatabaseSync, { after, limit, ...filter }: RecordPage): readonly UsageRecord[] {
  const { and, values } = narrow({ ...filter, since: Math.max(after?.createdAt ?? 0, filter.since ?? 0) });
  const behind = after === null ? [] : [after.createdAt, after.id, after.workspaceId];
  const statement = db.prepare(
    `SELECT *
     FROM usage
     WHERE revision > 0 ${and} ${after === null ? "" : "AND (created_at, id, workspace_id) > (?, ?, ?)"}
     ORDER BY created_at, id, workspace_id
     LIMIT ?`,
  );
  statement.setReadBigInts(true);
  return statement.all(...values, ...behind, limit).map(usageRecordOf);
}

function count(db: DatabaseSync, filter: UsageFilter): number {
  const { and, values } = narrow(filter);
  return Number(db.prepare(`SELECT count(*) AS rows FROM usage WHERE revision > 0 ${and}`).get(...values)?.rows);
}

/** Each is there or not, so that every combination can use its own index. */
function narrow({ since, until, workspaceId, sandboxId }: UsageFilter) {
  const filters = [
    { sql: "AND workspace_id = ?", value: workspaceId },
    { sql: "AND sandbox_id = ?", value: sandboxId },
    { sql: "AND created_at >= ?", value: since },
    { sql: "AND created_at < ?", value: until },
  ].filter((filter) => filter.value !== null);
  return { and: filters.map(({ sql }) => sql).join(" "), values: filters.map(({ value }) => value) };
}
