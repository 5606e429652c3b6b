import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { RefusalCount } from "../../domain/ledger.ts";
import { EMPTY_READING, type Reading } from "../../domain/reading.ts";
import type { Trace } from "../../domain/trace.ts";
import { type Closing, type OpenCall, REVISION, type UsageRow } from "../../domain/usage.ts";

/**
 * Every write of usage and traces, for the ledger and the store alike. Each method belongs into a transaction of the
 * caller's: a trace's totals move with its rows or not at all.
 */
export class Rows {
  readonly #insertOpen: StatementSync;
  readonly #find: StatementSync;
  readonly #close: StatementSync;
  readonly #addToTrace: StatementSync;
  readonly #insertTrace: StatementSync;
  readonly #touchTrace: StatementSync;
  readonly #addRefusals: StatementSync;
  readonly #leftOpen: StatementSync;
  readonly #countOpen: StatementSync;
  readonly #pad: StatementSync;
  readonly #unpad: StatementSync;

  constructor(db: DatabaseSync) {
    this.#insertOpen = db.prepare(INSERT_OPEN);
    this.#find = db.prepare(FIND);
    this.#close = db.prepare(CLOSE);
    this.#addToTrace = db.prepare(ADD_TO_TRACE);
    this.#insertTrace = db.prepare(INSERT_TRACE);
    this.#touchTrace = db.prepare(TOUCH_TRACE);
    this.#addRefusals = db.prepare(ADD_REFUSALS);
    this.#leftOpen = db.prepare(LEFT_OPEN);
    this.#countOpen = db.prepare("SELECT count(*) AS open FROM usage WHERE revision = 0");
    this.#pad = db.prepare("INSERT INTO ledger_probe (padding) VALUES (zeroblob(65536))");
    this.#unpad = db.prepare("DELETE FROM ledger_probe");
  }

  /** Throws where the row is there already. */
  insertOpen(call: OpenCall): void {
    this.#insertOpen.run(
      call.id,
      REVISION.open,
      call.instanceId,
      call.workspaceId,
      call.sandboxId,
      call.traceId,
      call.kind,
      call.provider,
      call.requestedModel,
      call.streaming ? 1 : 0,
      call.createdAt,
      call.maxTokens,
      call.requestBytes,
      call.messagesHash,
      call.agentId,
      call.parentAgentId,
      call.agentType,
      call.requestClass,
      call.promptId,
      call.client,
      call.tokenId,
      call.credentialId,
    );
  }

  /**
   * Writes a closed row over what is there, where that has a lower revision, and moves its trace's totals by the
   * difference; a missing row and a missing trace are made. Gives back by how much the number of open rows changed.
   */
  applyClosed(row: UsageRow): number {
    const { call, closing, revision } = row;
    const old = this.#find.get(call.workspaceId, call.createdAt, call.id);
    if (old !== undefined && Number(old.revision) >= revision) return 0;
    if (old === undefined) this.insertOpen(call);
    this.#closeRow(call, closing, revision);
    const wasOpen = old === undefined || old.revision === REVISION.open;
    this.#moveTotals(call, {
      requests: wasOpen ? 1 : 0,
      inputTokens: closing.reading.inputTokens - Number(old?.input_tokens ?? 0),
      outputTokens: closing.reading.outputTokens - Number(old?.output_tokens ?? 0),
    });
    return old?.revision === REVISION.open ? -1 : 0;
  }

  /** Closes as `unknown` at most `most` rows that other runs than `instanceId` left open. Gives back how many. */
  sweepSome(instanceId: string, most: number): number {
    const leftOpen = this.#leftOpen.all(instanceId, most);
    for (const row of leftOpen) {
      const key = {
        id: String(row.id),
        workspaceId: String(row.workspace_id),
        sandboxId: String(row.sandbox_id),
        traceId: String(row.trace_id),
        createdAt: Number(row.created_at),
      };
      this.#closeRow(key, SWEPT, REVISION.swept);
      this.#moveTotals(key, { requests: 1, inputTokens: 0, outputTokens: 0 });
    }
    return leftOpen.length;
  }

  /** Inserts the trace, or moves the one that is there on to `updatedAt`, never back. */
  joinTrace(trace: Trace): void {
    this.#touchTrace.run(trace.workspaceId, trace.id, trace.sandboxId, trace.source, trace.createdAt, trace.updatedAt);
  }

  /** Inserts the trace; one that is there stays as it is. */
  insertTrace(trace: Trace): void {
    this.#insertTrace.run(trace.workspaceId, trace.id, trace.sandboxId, trace.source, trace.createdAt, trace.updatedAt);
  }

  addRefusals(counts: readonly RefusalCount[]): void {
    for (const { workspaceId, sandboxId, fault, minute, count } of counts) {
      this.#addRefusals.run(workspaceId, sandboxId, fault, minute, count);
    }
  }

  countOpen(): number {
    return Number(this.#countOpen.get()?.open);
  }

  /** A write that needs new pages, as real ones do, and leaves nothing behind. */
  probe(): void {
    this.#pad.run();
    this.#unpad.run();
  }

  #closeRow(key: RowKey, closing: Closing, revision: number): void {
    const reading = closing.reading;
    this.#close.run(
      revision,
      reading.servedModel,
      reading.messageId,
      closing.upstreamRequestId,
      closing.ending,
      closing.trust,
      closing.status,
      reading.errorType,
      reading.stopReason,
      whole(closing.duration),
      whole(closing.ttft),
      reading.inputTokens,
      reading.outputTokens,
      reading.cacheCreationInputTokens,
      reading.cacheReadInputTokens,
      reading.cacheCreation5mTokens,
      reading.cacheCreation1hTokens,
      reading.thinkingTokens,
      serverToolUse(reading),
      reading.serviceTier,
      reading.inferenceGeo,
      reading.speed,
      reading.iterations.length === 0 ? null : JSON.stringify(reading.iterations),
      key.workspaceId,
      key.createdAt,
      key.id,
    );
  }

  #moveTotals(row: RowKey & RowTrace, by: Difference): void {
    const { workspaceId, traceId } = row;
    const isKnown = () => this.#addToTrace.run(by.requests, by.inputTokens, by.outputTokens, workspaceId, traceId).changes !== 0;
    if (isKnown()) return;
    this.#insertTrace.run(workspaceId, traceId, row.sandboxId, "auto", row.createdAt, row.createdAt);
    isKnown();
  }
}

type RowKey = Pick<OpenCall, "id" | "workspaceId" | "createdAt">;
type RowTrace = Pick<OpenCall, "sandboxId" | "traceId">;

interface Difference {
  readonly requests: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

const SWEPT: Closing = {
  ending: "unknown",
  trust: "unknown",
  status: null,
  upstreamRequestId: null,
  duration: null,
  ttft: null,
  reading: EMPTY_READING,
};

function whole(milliseconds: number | null): number | null {
  return milliseconds === null ? null : Math.round(milliseconds);
}

function serverToolUse(reading: Reading): string | null {
  const counts = JSON.stringify(reading.serverToolUse);
  return counts === "{}" ? null : counts;
}

const INSERT_OPEN = `
  INSERT INTO usage (
    id, revision, instance_id, workspace_id, sandbox_id, trace_id, kind, provider, requested_model, trust, streaming,
    created_at, max_tokens, request_bytes, messages_hash, agent_id, parent_agent_id, agent_type, request_class,
    prompt_id, client, token_id, credential_id
  ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'unknown', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;

const FIND = `
  SELECT revision, input_tokens, output_tokens
  FROM usage
  WHERE workspace_id = ? AND created_at = ? AND id = ?`;

const CLOSE = `
  UPDATE usage SET
    revision = ?,
    served_model = ?,
    message_id = ?,
    upstream_request_id = ?,
    ending = ?,
    trust = ?,
    status = ?,
    error_type = ?,
    stop_reason = ?,
    duration_ms = ?,
    ttft_ms = ?,
    input_tokens = ?,
    output_tokens = ?,
    cache_creation_input_tokens = ?,
    cache_read_input_tokens = ?,
    cache_creation_5m_tokens = ?,
    cache_creation_1h_tokens = ?,
    thinking_tokens = ?,
    server_tool_use = ?,
    service_tier = ?,
    inference_geo = ?,
    speed = ?,
    iterations = ?
  WHERE workspace_id = ? AND created_at = ? AND id = ?`;

const ADD_TO_TRACE = `
  UPDATE traces SET
    request_count = request_count + ?,
    total_input_tokens = total_input_tokens + ?,
    total_output_tokens = total_output_tokens + ?
  WHERE workspace_id = ? AND id = ?`;

const INSERT_TRACE = `
  INSERT INTO traces (workspace_id, id, sandbox_id, source, created_at, updated_at)
  VALUES (?, ?, ?, ?, ?, ?)
  ON CONFLICT DO NOTHING`;

const TOUCH_TRACE = `
  INSERT INTO traces (workspace_id, id, sandbox_id, source, created_at, updated_at)
  VALUES (?, ?, ?, ?, ?, ?)
  ON CONFLICT (workspace_id, id) DO UPDATE SET updated_at = excluded.updated_at
  WHERE excluded.updated_at > updated_at`;

const ADD_REFUSALS = `
  INSERT INTO refusals (workspace_id, sandbox_id, fault, minute, count)
  VALUES (?, ?, ?, ?, ?)
  ON CONFLICT (workspace_id, sandbox_id, minute, fault) DO UPDATE SET count = count + excluded.count`;

const LEFT_OPEN = `
  SELECT id, workspace_id, sandbox_id, trace_id, created_at
  FROM usage
  WHERE revision = 0 AND instance_id <> ?
  LIMIT ?`;
