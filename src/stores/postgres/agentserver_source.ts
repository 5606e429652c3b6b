import type { ImportedUsage } from "../../domain/imported_rows.ts";
import type { Trace } from "../../domain/trace.ts";
import { flag, integer, text, textOrNull, traceOf } from "../row_decoders.ts";
import { openPool } from "./pool.ts";

/** The database of the Go program (package internal/llmproxy of agentserver), read page by page, in order of the ids. */
export interface GoProgram {
  /** Rejects, naming what is missing, where the tables are not the Go program's. */
  readonly check: () => Promise<void>;
  /** At most `limit` behind that id; null for the first page. */
  readonly traces: (after: string | null, limit: number) => Promise<readonly Trace[]>;
  readonly usage: (after: string | null, limit: number) => Promise<readonly ImportedUsage[]>;
  readonly close: () => Promise<void>;
}

const CONNECTING = { max: 1, connectSeconds: 10, idleSeconds: 60 };
const SECONDS = 120;

/** Of several names the first that is there; where the last is null, none need be. */
const USAGE_COLUMNS = {
  id: ["id"],
  trace_id: ["trace_id"],
  sandbox_id: ["sandbox_id"],
  workspace_id: ["workspace_id"],
  provider: ["provider"],
  model: ["model"],
  message_id: ["message_id"],
  input_tokens: ["input_tokens"],
  output_tokens: ["output_tokens"],
  cache_creation_input_tokens: ["cache_creation_input_tokens"],
  cache_read_input_tokens: ["cache_read_input_tokens"],
  streaming: ["streaming"],
  // Earlier versions of it said duration_ms, and measured no time to the first token.
  duration: ["duration", "duration_ms"],
  ttft: ["ttft", "ttft_ms", null],
  created_at: ["created_at"],
} as const satisfies Columns;
const TRACE_COLUMNS = {
  id: ["id"],
  sandbox_id: ["sandbox_id"],
  workspace_id: ["workspace_id"],
  source: ["source"],
  created_at: ["created_at"],
  updated_at: ["updated_at"],
} as const satisfies Columns;

type Columns = Readonly<Record<string, readonly (string | null)[]>>;
type Names = Readonly<Record<string, string | null>>;

/** Throws where the URL, or the root certificate that it names, cannot be read. Connects when it is first asked. */
export function openGoProgram(url: string): GoProgram {
  const pool = openPool(url, CONNECTING);
  let names: { readonly usage: Names; readonly traces: Names } | null = null;

  function ask(sql: string, values: readonly (string | number | null)[]) {
    return pool.run({ access: "read latest", seconds: SECONDS, ask: (ask) => ask(sql, values) });
  }

  async function columnsOf(table: string, columns: Columns): Promise<Names> {
    const there = new Set((await ask(COLUMNS_OF, [table])).map((row) => text(row, "name")));
    if (there.size === 0) throw new Error(`Cannot import: there is no table ${table} in that database`);
    const missing = Object.values(columns).filter((known) => !known.some((name) => name === null || there.has(name)));
    if (missing.length > 0) {
      const words = missing.map((known) => known.join(" or ")).join(", ");
      throw new Error(`Cannot import: the table ${table} is not the Go program's, it has no column ${words}`);
    }
    return Object.fromEntries(
      Object.entries(columns).map((
        [name, known],
      ) => [name, known.find((column) => column !== null && there.has(column)) ?? null]),
    );
  }

  async function known() {
    names ??= { usage: await columnsOf("usage", USAGE_COLUMNS), traces: await columnsOf("traces", TRACE_COLUMNS) };
    return names;
  }

  return {
    check: async () => void await known(),
    traces: async (after, limit) => (await ask(TRACES, [after, limit])).map(traceOf),
    usage: async (after, limit) => (await ask(usageSql((await known()).usage), [after, limit])).map(importedUsageOf),
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

function usageSql({ duration, ttft }: Names): string {
  return `
    SELECT
      id,
      trace_id,
      sandbox_id,
      workspace_id,
      provider,
      model,
      message_id,
      input_tokens::bigint                AS input_tokens,
      output_tokens::bigint               AS output_tokens,
      cache_creation_input_tokens::bigint AS cache_creation_input_tokens,
      cache_read_input_tokens::bigint     AS cache_read_input_tokens,
      streaming,
      ${duration}::bigint                 AS duration,
      ${ttft ?? "0"}::bigint              AS ttft,
      ${milliseconds("created_at")}       AS created_at
    FROM usage
    WHERE $1::text IS NULL OR id > $1
    ORDER BY id
    LIMIT $2`;
}
