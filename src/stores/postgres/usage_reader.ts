import type { RecordPage, UsageFilter, UsageReader } from "../../domain/usage_record.ts";
import { usageRecordOf } from "../usage_row.ts";
import { openPool } from "./pool.ts";

const CONNECTING = { max: 1, connectSeconds: 5, idleSeconds: 60 };
/** A page is read in milliseconds, where the server has nothing else to do. */
const SECONDS = 60;

/** Throws as `openPool` does. Connects when it is first asked. */
export function openUsageReader(url: string): UsageReader {
  const pool = openPool(url, CONNECTING);
  const ask = (sql: string, values: readonly (string | number | null)[]) =>
    pool.run({ access: "read latest", seconds: SECONDS, ask: (ask) => ask(sql, values) });
  return {
    read: async (page) => (await ask(PAGE, [...valuesOf(page), ...behind(page)])).map(usageRecordOf),
    count: async (filter) => Number((await ask(COUNT, valuesOf(filter)))[0]?.rows),
    close: () => pool.close(),
  };
}

function valuesOf({ since, until, workspaceId, sandboxId }: UsageFilter) {
  return [workspaceId, sandboxId, since, until];
}

function behind({ after, limit }: RecordPage) {
  return [after?.createdAt ?? null, after?.id ?? null, after?.workspaceId ?? null, limit];
}

const NARROWED = `
  FROM usage
  WHERE ($1::text IS NULL OR workspace_id = $1) AND ($2::text IS NULL OR sandbox_id = $2)
    AND ($3::bigint IS NULL OR created_at >= $3) AND ($4::bigint IS NULL OR created_at < $4)`;

/** The lone `created_at` is what an index and the partitions go by; the key behind it says the rest. */
const PAGE = `
  SELECT * ${NARROWED}
    AND ($5::bigint IS NULL OR created_at >= $5)
    AND ($5::bigint IS NULL OR (created_at, id, workspace_id) > ($5, $6::text, $7::text))
  ORDER BY created_at, id, workspace_id
  LIMIT $8`;

const COUNT = `SELECT count(*) AS rows ${NARROWED}`;
