import type { DatabaseSync, StatementSync } from "node:sqlite";
import { EMPTY_READING } from "../../domain/reading.ts";
import { type Link, NO_LINK } from "../../domain/retry.ts";
import { type Closing, NO_COST, type OpenCall, REVISION, type UsageRow } from "../../domain/usage.ts";
import { linkOf } from "../retries.ts";
import { countsJson, iterationsJson, serverToolUseJson, wholeMs } from "../column_values.ts";
import { readingBigInts } from "./connection.ts";
import type { Outbox } from "./outbox.ts";
import { countedOf } from "../counts.ts";
import { flag, integerOrNull } from "../row_decoders.ts";
import type { InflightPrompts } from "./inflight_prompts.ts";
import { Retries } from "./retries.ts";
import { type CountedCall, Totals } from "./totals.ts";

/**
 * Every write of usage rows, for the ledger and the store alike. Each method belongs into a transaction of the caller's:
 * totals, or the outbox, move with the rows or not at all. What is shipped is counted and linked where it arrives.
 */
export class Rows {
  readonly #totals: Totals;
  /** Null where another database counts and links. */
  readonly #retries: Retries | null;
  readonly #outbox: Outbox | null;
  readonly #underWay: InflightPrompts | null;
  readonly #insertOpen: StatementSync;
  readonly #counted: StatementSync;
  readonly #close: StatementSync;
  readonly #unlink: StatementSync;
  readonly #leftOpen: StatementSync;
  readonly #countOpen: StatementSync;

  /**
   * `outbox`: where what changes is noted for shipping; null where nothing is shipped. `underWay`: the questions of all calls that
   * have a row and are yet to end; null where that is not known.
   */
  constructor(
    db: DatabaseSync,
    { outbox, underWay }: { readonly outbox: Outbox | null; readonly underWay: InflightPrompts | null },
  ) {
    this.#underWay = underWay;
    this.#totals = new Totals(db);
    this.#retries = outbox === null ? new Retries(db, this.#totals) : null;
    this.#outbox = outbox;
    this.#insertOpen = db.prepare(INSERT_OPEN);
    this.#counted = readingBigInts(db, COUNTED);
    this.#close = db.prepare(CLOSE);
    this.#unlink = db.prepare(UNLINK);
    this.#leftOpen = db.prepare(LEFT_OPEN);
    this.#countOpen = db.prepare("SELECT count(*) AS open FROM usage WHERE revision = 0");
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
      call.batchId,
      call.customId,
    );
  }

  /**
   * Writes a closed row over what is there, where that has a lower revision, and moves the totals by the difference; a
   * missing row and a missing trace are made. Gives back by how much the number of open rows changed.
   */
  applyClosed(row: UsageRow): number {
    const { call, closing, revision } = row;
    const counted = { ...call, model: closing.reading.servedModel ?? call.requestedModel };
    const isAttempt = this.#isAttempt(counted, closing);
    // Nearly always it is open.
    if (this.#closeRow(call, closing, { from: REVISION.open, to: revision, isAttempt })) {
      this.#count(counted, closing, { isAttempt });
      return -1;
    }
    const old = this.#counted.get(call.workspaceId, call.createdAt, call.id);
    if (old === undefined) {
      this.insertOpen(call);
      this.#closeRow(call, closing, { from: REVISION.open, to: revision, isAttempt });
      this.#count(counted, closing, { isAttempt });
      return 0;
    }
    if (Number(old.revision) >= revision) return 0;
    const link = linkOf(old);
    if (flag(old, "counted")) this.#totals.uncount({ ...call, model: String(old.model) }, countedOf(old));
    this.#closeRow(call, closing, { from: Number(old.revision), to: revision, isAttempt: isAttempt || flag(old, "attempt") });
    if (this.#retries === null) {
      this.#unlink.run(call.workspaceId, call.createdAt, call.id);
      return 0;
    }
    this.#totals.count(counted, { ...closing, link });
    if (old.outcome !== closing.outcome || integerOrNull(old, "duration_ms") !== wholeMs(closing.duration)) {
      this.#relink(counted, closing, link);
    }
    return 0;
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
        provider: String(row.provider),
        kind: String(row.kind),
        model: String(row.requested_model),
        messagesHash: row.messages_hash === null ? null : String(row.messages_hash),
      };
      const isAttempt = this.#isAttempt(key, SWEPT);
      this.#closeRow(key, SWEPT, { from: REVISION.open, to: REVISION.swept, isAttempt });
      this.#count(key, SWEPT, { isAttempt });
    }
    return leftOpen.length;
  }

  countOpen(): number {
    return Number(this.#countOpen.get()?.open);
  }

  /** The row is new in the totals. */
  #count(call: LinkedCall, closing: Closing, { isAttempt }: { readonly isAttempt: boolean }): void {
    if (this.#retries === null) return;
    this.#totals.count(call, { ...closing, link: NO_LINK });
    if (isAttempt) this.#relink(call, closing, NO_LINK);
  }

  /**
   * Whether the row may get links, now or when another one ends: nearly no call that completes. An attempt before which none
   * failed and while which none is under way needs no link ever: who fails later than it begins anew.
   */
  #isAttempt(call: LinkedCall, { outcome }: Closing): boolean {
    if (this.#retries === null || call.messagesHash === null) return false;
    if (outcome !== "completed" || this.#underWay === null || this.#underWay.isAskedByOthers(call)) return true;
    return this.#retries.areKnown(call, call.messagesHash);
  }

  #relink(call: LinkedCall, { outcome, duration, cost }: Closing, link: Link): void {
    if (call.messagesHash === null) return;
    this.#retries?.relink({ ...call, outcome, duration: wholeMs(duration), cost, link }, call.messagesHash);
  }

  /** False where there is no row at the revision `from`; then nothing was written. */
  #closeRow(
    key: RowKey,
    closing: Closing,
    { from, to, isAttempt }: { readonly from: number; readonly to: number; readonly isAttempt: boolean },
  ): boolean {
    const reading = closing.reading;
    const { changes } = this.#close.run(
      to,
      this.#retries === null ? 0 : 1,
      isAttempt ? 1 : 0,
      reading.servedModel,
      reading.messageId,
      closing.upstreamRequestId,
      closing.outcome,
      closing.accuracy,
      closing.status,
      reading.errorType,
      reading.stopReason,
      reading.refusalCategory,
      wholeMs(closing.duration),
      wholeMs(closing.ttft),
      reading.inputTokens,
      reading.outputTokens,
      reading.cacheCreationInputTokens,
      reading.cacheReadInputTokens,
      reading.cacheCreation5mTokens,
      reading.cacheCreation1hTokens,
      reading.thinkingTokens,
      serverToolUseJson(reading),
      reading.serviceTier,
      reading.inferenceGeo,
      reading.speed,
      iterationsJson(reading),
      closing.cost,
      closing.priceVersion,
      countsJson(closing.unpricedUses),
      key.workspaceId,
      key.createdAt,
      key.id,
      from,
    );
    if (changes === 0) return false;
    this.#outbox?.addRow(key);
    return true;
  }
}

type RowKey = Pick<OpenCall, "id" | "workspaceId" | "createdAt">;
type LinkedCall = CountedCall & Pick<OpenCall, "id" | "messagesHash">;

const SWEPT: Closing = {
  outcome: "unknown",
  accuracy: "unknown",
  status: null,
  upstreamRequestId: null,
  duration: null,
  ttft: null,
  reading: EMPTY_READING,
  ...NO_COST,
};

const INSERT_OPEN = `
  INSERT INTO usage (
    id, revision, instance_id, workspace_id, sandbox_id, trace_id, kind, provider, requested_model, accuracy, streaming,
    created_at, max_tokens, request_bytes, messages_hash, agent_id, parent_agent_id, agent_type, request_class,
    prompt_id, client, token_id, credential_id, batch_id, custom_id
  ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'unknown', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;

const COUNTED = `
  SELECT
    revision,
    counted,
    attempt,
    coalesce(served_model, requested_model) AS model,
    input_tokens,
    output_tokens,
    cache_creation_input_tokens,
    cache_read_input_tokens,
    accuracy,
    cost,
    unpriced_uses,
    outcome,
    duration_ms,
    retry_of,
    asked_again
  FROM usage
  WHERE workspace_id = ? AND created_at = ? AND id = ?`;

const CLOSE = `
  UPDATE usage SET
    revision = ?,
    counted = ?,
    attempt = ?,
    served_model = ?,
    message_id = ?,
    upstream_request_id = ?,
    outcome = ?,
    accuracy = ?,
    status = ?,
    error_type = ?,
    stop_reason = ?,
    refusal_category = ?,
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
    iterations = ?,
    cost = ?,
    price_version = ?,
    unpriced_uses = ?
  WHERE workspace_id = ? AND created_at = ? AND id = ? AND revision = ?`;

/** A row that is not counted takes no part in links. */
const UNLINK = `
  UPDATE usage SET retry_of = NULL, asked_again = 0, attempt = 0
  WHERE workspace_id = ? AND created_at = ? AND id = ?`;

const LEFT_OPEN = `
  SELECT id, workspace_id, sandbox_id, trace_id, created_at, provider, kind, requested_model, messages_hash
  FROM usage
  WHERE revision = 0 AND instance_id <> ?
  LIMIT ?`;
