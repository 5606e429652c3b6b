import { hourStart } from "../../domain/calendar.ts";
import type { Trust, UsageRow } from "../../domain/usage.ts";
import { iterationsJson, serverToolUseJson, wholeMs } from "../column_values.ts";
import { countsOf } from "../counts.ts";
import { integer, integerOrNull, type Row, text } from "../readings.ts";
import type { Ask } from "./connection.ts";

/**
 * Writes closed rows and moves the totals by what was really inserted or changed. Belongs into a transaction of the caller's.
 * Whoever else writes them does so in the same order of tables, and of keys within each: so two that meet never wait for each other.
 */
export async function writeRows(ask: Ask, given: readonly UsageRow[]): Promise<void> {
  const rows = strongest(given);
  if (rows.size === 0) return;
  const sent = [...rows.values()].map(sentOf);
  const inserted = new Set((await ask(INSERT, [sent])).map(keyOf));
  // In the order in which they were given: the first row of an unknown trace makes it.
  const moves = [...rows].filter(([key]) => inserted.has(key)).map(([, row]) => moveOf(row));
  if (inserted.size < rows.size) {
    // What was there already: mostly the same again.
    const met = sent.filter((row) => !inserted.has(keyOf(row)));
    const weaker = await ask(LOCK_WEAKER, [
      met.map(({ workspace_id, created_at, id, revision }) => ({ workspace_id, created_at, id, revision })),
    ]);
    const keys = new Set(weaker.map(keyOf));
    if (keys.size > 0) await ask(REPLACE, [met.filter((row) => keys.has(keyOf(row)))]);
    for (const old of weaker) {
      const row = rows.get(keyOf(old))!;
      moves.push(moveBack(row, old), moveOf(row));
    }
  }
  if (moves.length === 0) return;
  await ask(MOVE_TRACES, [moves]);
  await ask(MOVE_HOURS, [moves]);
}

/** Of the rows with one key, the first with the highest revision. */
function strongest(rows: readonly UsageRow[]): ReadonlyMap<string, UsageRow> {
  const found = new Map<string, UsageRow>();
  for (const row of rows) {
    const key = keyOf(keyColumns(row));
    const other = found.get(key);
    if (other === undefined || other.revision < row.revision) found.set(key, row);
  }
  return found;
}

function keyOf(row: Row): string {
  return JSON.stringify([row.workspace_id, Number(row.created_at), row.id]);
}

function keyColumns({ call }: UsageRow) {
  return { workspace_id: call.workspaceId, created_at: call.createdAt, id: call.id };
}

/** What a row adds to the totals, or takes from them. */
function moveOf(row: UsageRow) {
  const { call, closing } = row;
  return {
    ...placeOf(row),
    model: closing.reading.servedModel ?? call.requestedModel,
    ...countsOf(closing, 1),
  };
}

/** `old`: what the row was counted as. */
function moveBack(row: UsageRow, old: Row): ReturnType<typeof moveOf> {
  return {
    ...placeOf(row),
    model: text(old, "model"),
    ...countsOf({
      trust: text(old, "trust") as Trust,
      cost: integerOrNull(old, "cost"),
      reading: {
        inputTokens: integer(old, "input_tokens"),
        outputTokens: integer(old, "output_tokens"),
        cacheCreationInputTokens: integer(old, "cache_creation_input_tokens"),
        cacheReadInputTokens: integer(old, "cache_read_input_tokens"),
      },
    }, -1),
  };
}

function placeOf({ call }: UsageRow) {
  return {
    workspace_id: call.workspaceId,
    trace_id: call.traceId,
    sandbox_id: call.sandboxId,
    created_at: call.createdAt,
    hour: hourStart(call.createdAt),
    provider: call.provider,
    kind: call.kind,
  };
}

function sentOf(row: UsageRow) {
  const { call, closing, revision } = row;
  const { reading } = closing;
  return {
    ...keyColumns(row),
    revision,
    instance_id: call.instanceId,
    sandbox_id: call.sandboxId,
    trace_id: call.traceId,
    kind: call.kind,
    provider: call.provider,
    requested_model: call.requestedModel,
    served_model: reading.servedModel,
    message_id: reading.messageId,
    upstream_request_id: closing.upstreamRequestId,
    ending: closing.ending,
    trust: closing.trust,
    status: closing.status,
    error_type: reading.errorType,
    stop_reason: reading.stopReason,
    streaming: call.streaming,
    duration_ms: wholeMs(closing.duration),
    ttft_ms: wholeMs(closing.ttft),
    input_tokens: reading.inputTokens,
    output_tokens: reading.outputTokens,
    cache_creation_input_tokens: reading.cacheCreationInputTokens,
    cache_read_input_tokens: reading.cacheReadInputTokens,
    cache_creation_5m_tokens: reading.cacheCreation5mTokens,
    cache_creation_1h_tokens: reading.cacheCreation1hTokens,
    thinking_tokens: reading.thinkingTokens,
    server_tool_use: serverToolUseJson(reading),
    service_tier: reading.serviceTier,
    inference_geo: reading.inferenceGeo,
    speed: reading.speed,
    iterations: iterationsJson(reading),
    max_tokens: call.maxTokens,
    request_bytes: call.requestBytes,
    messages_hash: call.messagesHash,
    agent_id: call.agentId,
    parent_agent_id: call.parentAgentId,
    agent_type: call.agentType,
    request_class: call.requestClass,
    prompt_id: call.promptId,
    client: call.client,
    token_id: call.tokenId,
    credential_id: call.credentialId,
    batch_id: call.batchId,
    custom_id: call.customId,
    cost: closing.cost,
    price_version: closing.priceVersion,
  };
}

/** What was sent, as rows of the table; columns that were not sent are NULL. */
const SENT = `json_populate_recordset(NULL::usage, $1) AS sent`;

const COLUMNS = `
  id, revision, instance_id, workspace_id, sandbox_id, trace_id, kind, provider, requested_model, served_model, message_id,
  upstream_request_id, ending, trust, status, error_type, stop_reason, streaming, created_at, duration_ms, ttft_ms,
  input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens, cache_creation_5m_tokens,
  cache_creation_1h_tokens, thinking_tokens, server_tool_use, service_tier, inference_geo, speed, iterations, max_tokens,
  request_bytes, messages_hash, agent_id, parent_agent_id, agent_type, request_class, prompt_id, client, token_id, credential_id,
  batch_id, custom_id, cost, price_version`;

const INSERT = `
  INSERT INTO usage (${COLUMNS})
  SELECT ${COLUMNS}
  FROM ${SENT}
  ORDER BY workspace_id, created_at, id
  ON CONFLICT DO NOTHING
  RETURNING workspace_id, created_at, id`;

const LOCK_WEAKER = `
  SELECT
    usage.workspace_id,
    usage.created_at,
    usage.id,
    coalesce(usage.served_model, usage.requested_model) AS model,
    usage.input_tokens,
    usage.output_tokens,
    usage.cache_creation_input_tokens,
    usage.cache_read_input_tokens,
    usage.trust,
    usage.cost
  FROM ${SENT}
  JOIN usage USING (workspace_id, created_at, id)
  WHERE usage.revision < sent.revision
  ORDER BY usage.workspace_id, usage.created_at, usage.id
  FOR UPDATE OF usage`;

const REPLACE = `
  UPDATE usage SET
    revision = sent.revision,
    served_model = sent.served_model,
    message_id = sent.message_id,
    upstream_request_id = sent.upstream_request_id,
    ending = sent.ending,
    trust = sent.trust,
    status = sent.status,
    error_type = sent.error_type,
    stop_reason = sent.stop_reason,
    duration_ms = sent.duration_ms,
    ttft_ms = sent.ttft_ms,
    input_tokens = sent.input_tokens,
    output_tokens = sent.output_tokens,
    cache_creation_input_tokens = sent.cache_creation_input_tokens,
    cache_read_input_tokens = sent.cache_read_input_tokens,
    cache_creation_5m_tokens = sent.cache_creation_5m_tokens,
    cache_creation_1h_tokens = sent.cache_creation_1h_tokens,
    thinking_tokens = sent.thinking_tokens,
    server_tool_use = sent.server_tool_use,
    service_tier = sent.service_tier,
    inference_geo = sent.inference_geo,
    speed = sent.speed,
    iterations = sent.iterations,
    cost = sent.cost,
    price_version = sent.price_version
  FROM ${SENT}
  WHERE usage.workspace_id = sent.workspace_id AND usage.created_at = sent.created_at AND usage.id = sent.id`;

const MOVES = `
  ROWS FROM (json_to_recordset($1) AS (
    workspace_id TEXT COLLATE "C", trace_id TEXT COLLATE "C", sandbox_id TEXT COLLATE "C", created_at BIGINT, hour BIGINT,
    provider TEXT COLLATE "C", model TEXT COLLATE "C", kind TEXT COLLATE "C", request_count BIGINT, input_tokens BIGINT,
    output_tokens BIGINT, cache_creation_input_tokens BIGINT, cache_read_input_tokens BIGINT, cost BIGINT, estimated_cost BIGINT,
    estimated_count BIGINT, unknown_count BIGINT, unpriced_count BIGINT
  )) WITH ORDINALITY`;

/** Makes a trace that is not there; of one that is, only the totals move. */
const MOVE_TRACES = `
  INSERT INTO traces (
    workspace_id, id, sandbox_id, source, created_at, updated_at, request_count, total_input_tokens, total_output_tokens,
    total_cache_creation_input_tokens, total_cache_read_input_tokens, cost, estimated_cost, estimated_count, unknown_count,
    unpriced_count
  )
  SELECT
    workspace_id,
    trace_id,
    (array_agg(sandbox_id ORDER BY ordinality))[1],
    'auto',
    (array_agg(created_at ORDER BY ordinality))[1],
    (array_agg(created_at ORDER BY ordinality))[1],
    sum(request_count),
    sum(input_tokens),
    sum(output_tokens),
    sum(cache_creation_input_tokens),
    sum(cache_read_input_tokens),
    sum(cost),
    sum(estimated_cost),
    sum(estimated_count),
    sum(unknown_count),
    sum(unpriced_count)
  FROM ${MOVES}
  GROUP BY workspace_id, trace_id
  ORDER BY workspace_id, trace_id
  ON CONFLICT (workspace_id, id) DO UPDATE SET
    request_count = traces.request_count + excluded.request_count,
    total_input_tokens = traces.total_input_tokens + excluded.total_input_tokens,
    total_output_tokens = traces.total_output_tokens + excluded.total_output_tokens,
    total_cache_creation_input_tokens = traces.total_cache_creation_input_tokens + excluded.total_cache_creation_input_tokens,
    total_cache_read_input_tokens = traces.total_cache_read_input_tokens + excluded.total_cache_read_input_tokens,
    cost = traces.cost + excluded.cost,
    estimated_cost = traces.estimated_cost + excluded.estimated_cost,
    estimated_count = traces.estimated_count + excluded.estimated_count,
    unknown_count = traces.unknown_count + excluded.unknown_count,
    unpriced_count = traces.unpriced_count + excluded.unpriced_count`;

const MOVE_HOURS = `
  INSERT INTO usage_hours (
    workspace_id, hour, sandbox_id, provider, model, kind,
    request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
    cost, estimated_cost, estimated_count, unknown_count, unpriced_count
  )
  SELECT
    workspace_id,
    hour,
    sandbox_id,
    provider,
    model,
    kind,
    sum(request_count),
    sum(input_tokens),
    sum(output_tokens),
    sum(cache_creation_input_tokens),
    sum(cache_read_input_tokens),
    sum(cost),
    sum(estimated_cost),
    sum(estimated_count),
    sum(unknown_count),
    sum(unpriced_count)
  FROM ${MOVES}
  GROUP BY workspace_id, hour, sandbox_id, provider, model, kind
  ORDER BY workspace_id, hour, sandbox_id, provider, model, kind
  ON CONFLICT (workspace_id, hour, sandbox_id, provider, model, kind) DO UPDATE SET
    request_count = usage_hours.request_count + excluded.request_count,
    input_tokens = usage_hours.input_tokens + excluded.input_tokens,
    output_tokens = usage_hours.output_tokens + excluded.output_tokens,
    cache_creation_input_tokens = usage_hours.cache_creation_input_tokens + excluded.cache_creation_input_tokens,
    cache_read_input_tokens = usage_hours.cache_read_input_tokens + excluded.cache_read_input_tokens,
    cost = usage_hours.cost + excluded.cost,
    estimated_cost = usage_hours.estimated_cost + excluded.estimated_cost,
    estimated_count = usage_hours.estimated_count + excluded.estimated_count,
    unknown_count = usage_hours.unknown_count + excluded.unknown_count,
    unpriced_count = usage_hours.unpriced_count + excluded.unpriced_count`;
