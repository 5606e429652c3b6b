import { EMPTY_READING } from "../domain/reading.ts";
import type { Accuracy, Outcome, UsageRow } from "../domain/usage.ts";
import { flag, integer, integerOrNull, type Row, text, textOrNull, unpricedUsesOf } from "./row_decoders.ts";

/** A closed row, whole. Of the reading, what says how far it had come is not kept: only what was found stands in a row. */
export function usageRowOf(row: Row): UsageRow {
  return {
    revision: integer(row, "revision"),
    call: {
      id: text(row, "id"),
      instanceId: text(row, "instance_id"),
      workspaceId: text(row, "workspace_id"),
      sandboxId: text(row, "sandbox_id"),
      traceId: text(row, "trace_id"),
      // The column holds what `kind`, `Outcome` and `Accuracy` name: only rows of ours are ever written.
      kind: text(row, "kind") as UsageRow["call"]["kind"],
      provider: text(row, "provider"),
      requestedModel: text(row, "requested_model"),
      streaming: flag(row, "streaming"),
      createdAt: integer(row, "created_at"),
      maxTokens: integerOrNull(row, "max_tokens"),
      requestBytes: integer(row, "request_bytes"),
      messagesHash: textOrNull(row, "messages_hash"),
      agentId: textOrNull(row, "agent_id"),
      parentAgentId: textOrNull(row, "parent_agent_id"),
      agentType: textOrNull(row, "agent_type"),
      requestClass: textOrNull(row, "request_class"),
      promptId: textOrNull(row, "prompt_id"),
      client: textOrNull(row, "client"),
      tokenId: textOrNull(row, "token_id"),
      credentialId: textOrNull(row, "credential_id"),
      batchId: textOrNull(row, "batch_id"),
      customId: textOrNull(row, "custom_id"),
    },
    closing: {
      outcome: text(row, "outcome") as Outcome,
      accuracy: text(row, "accuracy") as Accuracy,
      status: integerOrNull(row, "status"),
      upstreamRequestId: textOrNull(row, "upstream_request_id"),
      duration: integerOrNull(row, "duration_ms"),
      ttft: integerOrNull(row, "ttft_ms"),
      cost: integerOrNull(row, "cost"),
      priceVersion: textOrNull(row, "price_version"),
      unpricedUses: unpricedUsesOf(row),
      reading: {
        ...EMPTY_READING,
        messageId: textOrNull(row, "message_id"),
        servedModel: textOrNull(row, "served_model"),
        stopReason: textOrNull(row, "stop_reason"),
        refusalCategory: textOrNull(row, "refusal_category"),
        inputTokens: integer(row, "input_tokens"),
        outputTokens: integer(row, "output_tokens"),
        cacheCreationInputTokens: integer(row, "cache_creation_input_tokens"),
        cacheReadInputTokens: integer(row, "cache_read_input_tokens"),
        cacheCreation5mTokens: integer(row, "cache_creation_5m_tokens"),
        cacheCreation1hTokens: integer(row, "cache_creation_1h_tokens"),
        thinkingTokens: integer(row, "thinking_tokens"),
        serverToolUse: JSON.parse(textOrNull(row, "server_tool_use") ?? "{}"),
        serviceTier: textOrNull(row, "service_tier"),
        inferenceGeo: textOrNull(row, "inference_geo"),
        speed: textOrNull(row, "speed"),
        iterations: JSON.parse(textOrNull(row, "iterations") ?? "[]"),
        errorType: textOrNull(row, "error_type"),
      },
    },
  };
}
