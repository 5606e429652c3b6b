import type { ImportedUsage } from "../../domain/imported_rows.ts";
import type { Trace } from "../../domain/trace.ts";
import { flag, integer, text, textOrNull, traceOf } from "../row_decoders.ts";
import { openPool } from "./pool.ts";

/** The database of the Go program (agentserver's internal/llmproxy), in pages by id. */
export interface GoProgram {
  /** Rejects if the tables are not the Go program's, naming what is missing. */
  readonly check: () => Promise<void>;
  /** At most `limit` after that id; null for the first page. */
  readonly traces: (after: string | null, limit: number) => Promise<readonly Trace[]>;
  readonly usage: (after: string | null, limit: number) => Promise<readonly ImportedUsage[]>;
  readonly close: () => Promise<void>;
}

const CONNECTING = { max: 1, connectSeconds: 10, idleSeconds: 60 };
const SECONDS = 120;

const PLAIN = ["id", "trace_id", "sandbox_id", "workspace_id", "provider", "model", "message_id", "streaming"];
const COUNTS = ["input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
/** Earlier versions said duration_ms, and did not measure the time to the first token. */
const NEEDED = {
  usage: [...PLAIN, ...COUNTS, "duration or duration_ms", "created_at"],
  traces: ["id", "sandbox_id", "workspace_id", "source", "created_at", "updated_at"],
} as const;

/** Throws if the URL or its root certificate cannot be read. Connects at the first question. */
export function openGoProgram(url: string): GoProgram {
  const pool = openPool(url, CONNECTING);
  let usage: string | null = null;

  function ask(sql: string, values: readonly (string | number | null)[]) {
    return pool.run({ access: "read latest", seconds: SECONDS, ask: (ask) => ask(sql, values) });
  }

  async function columnsOf(table: keyof typeof NEEDED): Promise<ReadonlySet<string>> {
    const found = new Set((await ask(COLUMNS_OF, [table])).map((row) => text(row, "name")));
    if (found.size === 0) throw new Error(`Cannot import: there is no table ${table} in that database`);
    const missing = NEEDED[table].filter((names) => !names.split(" or ").some((name) => found.has(name)));
    if (missing.length === 0) return found;
    throw new Error(`Cannot import: the table ${table} is not the Go program's, it has no column ${missing.join(", ")}`);
  }

  async function checkedUsageSql(): Promise<string> {
    if (usage !== null) return usage;
    const columns = await columnsOf("usage");
    await columnsOf("traces");
    return usage = usageSql(columns);
  }

  return {
    check: async () => void await checkedUsageSql(),
    traces: async (after, limit) => (await ask(TRACES, [after, limit])).map(traceOf),
    usage: async (after, limit) => (await ask(await checkedUsageSql(), [after, limit])).map(importedUsageOf),
    close: () => pool.close(),
  };
}

function importedUsageOf(row: Readonly<Record<string, unknown>>): ImportedUsage {
  return {
    id: text(row, "id"),
    traceId: textOrNull(row, "trace_id"),
    sandboxId: text(row, "sandbox_id"),
    workspaceId: text(row, "workspace_id"),
    provider: text(row, "provider"),
    model: text(row, "model"),
    messageId: textOrNull(row, "message_id"),
    inputTokens: integer(row, "input_tokens"),
    outputTokens: integer(row, "output_tokens"),
    cacheCreationInputTokens: integer(row, "cache_creation_input_tokens"),
    cacheReadInputTokens: integer(row, "cache_read_input_tokens"),
    streaming: flag(row, "streaming"),
    duration: integer(row, "duration"),
    ttft: integer(row, "ttft"),
    createdAt: integer(row, "created_at"),
  };
}

const COLUMNS_OF = `
  SELECT attname::text AS name
  FROM pg_attribute
  WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`;

function milliseconds(column: string): string {
  return `floor(extract(epoch FROM ${column}) * 1000)::bigint`;
}

const TRACES = `
  SELECT
    id,
    sandbox_id,
    workspace_id,
    source,
    ${milliseconds("created_at")} AS created_at,
    ${milliseconds("updated_at")} AS updated_at
  FROM traces
  WHERE $1::text IS NULL OR id > $1
  ORDER BY id
  LIMIT $2`;

function usageSql(columns: ReadonlySet<string>): string {
  const [duration, ttft] = [["duration", "duration_ms"], ["ttft", "ttft_ms"]].map((names) =>
    names.find((name) => columns.has(name))
  );
  return `
    SELECT
      ${PLAIN.join(", ")},
      ${COUNTS.map((column) => `${column}::bigint AS ${column}`).join(", ")},
      ${duration}::bigint AS duration,
      ${ttft ?? "0"}::bigint AS ttft,
      ${milliseconds("created_at")} AS created_at
    FROM usage
    WHERE $1::text IS NULL OR id > $1
    ORDER BY id
    LIMIT $2`;
}
