import { NO_LINK } from "../../domain/retry.ts";
import type { UsageRow } from "../../domain/usage.ts";
import { countsJson, iterationsJson, serverToolUseJson, wholeMs } from "../column_values.ts";
import { countedOf, countsOf } from "../counts.ts";
import { integerOrNull, type Row, text } from "../row_decoders.ts";
import { linkOf } from "../retries.ts";
import type { Ask } from "./connection.ts";
import { relink } from "./retries.ts";
import { lockTraces, type Move, moveOf, moveTotals } from "./totals.ts";
import { rowKeyOf } from "./row_key.ts";

/**
 * Writes closed rows and moves the totals by what was really inserted or changed. Belongs into a transaction of the caller's.
 * Whoever else writes them does so in the same order of tables (traces, usage, hours), and of keys within each: so two that meet
 * never wait for each other.
 */
export async function writeRows(ask: Ask, given: readonly UsageRow[]): Promise<void> {
  const rows = strongest(given);
  if (rows.size === 0) return;
  await lockTraces(ask, [...rows.values()].map(({ call }) => call));
  const sent = [...rows.values()].map(sentOf);
  const inserted = insertedOf(rows, await ask(INSERT, [sent, sent.length]));
  // In the order in which they were given: the first row of an unknown trace makes it.
  const moves = [...rows].filter(([key]) => inserted.has(key)).map(([, row]) => moveIn(row));
  const ended = [...inserted];
  if (inserted.size < rows.size) {
    // What was there already: mostly the same again.
    const met = sent.filter((row) => !inserted.has(rowKeyOf(row)));
    const weaker = await ask(LOCK_WEAKER, [
      met.map(({ workspace_id, created_at, id, revision }) => ({ workspace_id, created_at, id, revision })),
    ]);
    const keys = new Set(weaker.map(rowKeyOf));
    if (keys.size > 0) await ask(REPLACE, [met.filter((row) => keys.has(rowKeyOf(row)))]);
    for (const old of weaker) {
      const row = rows.get(rowKeyOf(old))!;
      moves.push(moveBack(row, old), moveIn(row, linkOf(old)));
      if (endedOtherwise(row, old)) ended.push(rowKeyOf(old));
    }
  }
  moves.push(...await relink(ask, ended.map((key) => rows.get(key)!.call)));
  await moveTotals(ask, moves);
}

/** Mostly all: then the answer does not name them. */
function insertedOf(rows: ReadonlyMap<string, UsageRow>, [answer]: readonly Row[]): ReadonlySet<string> {
  const keys = answer?.keys as readonly (readonly [workspaceId: string, createdAt: number, id: string])[] | null;
  return new Set(keys === null ? rows.keys() : keys.map((key) => JSON.stringify(key)));
}

function endedOtherwise({ closing }: UsageRow, old: Row): boolean {
  return text(old, "outcome") !== closing.outcome || integerOrNull(old, "duration_ms") !== wholeMs(closing.duration);
}

/** Of the rows with one key, the first with the highest revision. */
function strongest(rows: readonly UsageRow[]): ReadonlyMap<string, UsageRow> {
  const found = new Map<string, UsageRow>();
  for (const row of rows) {
    const key = rowKeyOf(keyColumns(row));
    const other = found.get(key);
    if (other === undefined || other.revision < row.revision) found.set(key, row);
  }
  return found;
}

function keyColumns({ call }: UsageRow) {
  return { workspace_id: call.workspaceId, created_at: call.createdAt, id: call.id };
}

function moveIn({ call, closing }: UsageRow, link = NO_LINK): Move {
  return moveOf({ ...call, model: closing.reading.servedModel ?? call.requestedModel }, countsOf({ ...closing, link }, 1));
}

/** `old`: what the row was counted as. */
function moveBack({ call }: UsageRow, old: Row): Move {
  return moveOf({ ...call, model: text(old, "model") }, countsOf(countedOf(old), -1));
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
    outcome: closing.outcome,
    accuracy: closing.accuracy,
    status: closing.status,
    error_type: reading.errorType,
    stop_reason: reading.stopReason,
    refusal_category: reading.refusalCategory,
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
    unpriced_uses: countsJson(closing.unpricedUses),
  };
}

/** What was sent, as rows of the table; columns that were not sent are NULL. */
const SENT = `json_populate_recordset(NULL::usage, $1) AS sent`;

const COLUMNS = `
  id, revision, instance_id, workspace_id, sandbox_id, trace_id, kind, provider, requested_model, served_model, message_id,
  upstream_request_id, outcome, accuracy, status, error_type, stop_reason, streaming, created_at, duration_ms, ttft_ms,
  input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens, cache_creation_5m_tokens,
  cache_creation_1h_tokens, thinking_tokens, server_tool_use, service_tier, inference_geo, speed, iterations, max_tokens,
  request_bytes, messages_hash, agent_id, parent_agent_id, agent_type, request_class, prompt_id, client, token_id, credential_id,
  batch_id, custom_id, cost, price_version, refusal_category, unpriced_uses`;

/** Names what it inserted only where that is not all of the `$2` rows: reading the names takes as long as sending the rows. */
const INSERT = `
  WITH inserted AS (
    INSERT INTO usage (${COLUMNS})
    SELECT ${COLUMNS}
    FROM ${SENT}
    ORDER BY workspace_id, created_at, id
    ON CONFLICT DO NOTHING
    RETURNING workspace_id, created_at, id
  )
  SELECT
    CASE WHEN count(*) < $2 THEN coalesce(json_agg(json_build_array(workspace_id, created_at, id)), '[]') END AS keys
  FROM inserted`;

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
    usage.accuracy,
    usage.cost,
    usage.unpriced_uses,
    usage.outcome,
    usage.duration_ms,
    usage.retry_of,
    usage.asked_again
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
    outcome = sent.outcome,
    accuracy = sent.accuracy,
    status = sent.status,
    error_type = sent.error_type,
    stop_reason = sent.stop_reason,
    refusal_category = sent.refusal_category,
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
    price_version = sent.price_version,
    unpriced_uses = sent.unpriced_uses
  FROM ${SENT}
  WHERE usage.workspace_id = sent.workspace_id AND usage.created_at = sent.created_at AND usage.id = sent.id`;
