import type { Closing, OpenCall } from "../../domain/usage.ts";
import type { UsageReading } from "../../domain/reading.ts";

/** What OpenTelemetry takes as the value of an attribute; undefined: there is no such attribute. */
type Value = string | number | boolean | readonly string[] | undefined;

/** The billed route is a conversation of messages. */
export const OPERATION = "chat";
const NANO = 1e9;

/**
 * A call as the semantic conventions for clients of generative AI describe it, and what only
 * llmproxy knows. They are not stable yet, so the package has no stable names for them.
 * https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-spans.md
 */
export function spanAttributes(call: OpenCall, closing: Closing): Readonly<Record<string, Value>> {
  const { reading } = closing;
  return {
    "gen_ai.operation.name": OPERATION,
    "gen_ai.provider.name": call.provider,
    "gen_ai.request.model": unlessEmpty(call.requestedModel),
    "gen_ai.request.stream": call.streaming,
    "gen_ai.request.max_tokens": call.maxTokens ?? undefined,
    "gen_ai.response.model": unlessEmpty(reading.servedModel),
    "gen_ai.response.id": unlessEmpty(reading.messageId),
    "gen_ai.response.finish_reasons": reading.stopReason === null ? undefined : [reading.stopReason],
    "gen_ai.response.time_to_first_chunk": secondsToFirstChunk(call, closing) ?? undefined,
    "gen_ai.conversation.id": unlessEmpty(call.traceId),
    "gen_ai.agent.id": unlessEmpty(call.agentId),
    "gen_ai.agent.name": unlessEmpty(call.agentType),
    ...usageAttributes(closing),
    "http.response.status_code": closing.status ?? undefined,
    "error.type": errorTypeOf(closing) ?? undefined,
    "llmproxy.request_id": call.id,
    "llmproxy.workspace_id": call.workspaceId,
    "llmproxy.sandbox_id": call.sandboxId,
    "llmproxy.client": unlessEmpty(call.client),
    "llmproxy.upstream": unlessEmpty(call.upstream),
    "llmproxy.upstream_request_id": unlessEmpty(closing.upstreamRequestId),
    "llmproxy.outcome": closing.outcome,
    "llmproxy.accuracy": closing.accuracy,
    "llmproxy.cost_usd": closing.cost === null ? undefined : closing.cost / NANO,
  };
}

/** Tokens of a call, or null if nothing is known of them or it used none. */
export function tokensOf({ accuracy, reading }: Closing): { readonly input: number; readonly output: number } | null {
  const tokens = { input: inputOf(reading), output: reading.outputTokens };
  return accuracy === "unknown" || tokens.input + tokens.output === 0 ? null : tokens;
}

/** The conventions time the first chunk of streams only. */
export function secondsToFirstChunk(call: OpenCall, { ttft }: Closing): number | null {
  return call.streaming && ttft !== null ? ttft / 1000 : null;
}

/** A client that leaves is no error. Null: there was none. */
export function errorTypeOf({ outcome, status, reading: { errorType } }: Closing): string | null {
  if (outcome === "completed" || outcome === "client_left") return null;
  return errorType ?? (outcome === "upstream_error" && status !== null ? String(status) : outcome);
}

/** Those of the cache are input, too; the upstream does not count them as such. */
function inputOf({ inputTokens, cacheCreationInputTokens, cacheReadInputTokens }: UsageReading): number {
  return inputTokens + cacheCreationInputTokens + cacheReadInputTokens;
}

function usageAttributes(closing: Closing): Readonly<Record<string, Value>> {
  const tokens = tokensOf(closing);
  if (tokens === null) return {};
  const { cacheCreationInputTokens, cacheReadInputTokens, thinkingTokens } = closing.reading;
  return {
    "gen_ai.usage.input_tokens": tokens.input,
    "gen_ai.usage.output_tokens": tokens.output,
    "gen_ai.usage.cache_creation.input_tokens": cacheCreationInputTokens,
    "gen_ai.usage.cache_read.input_tokens": cacheReadInputTokens,
    "gen_ai.usage.reasoning.output_tokens": thinkingTokens > 0 ? thinkingTokens : undefined,
  };
}

/** Where a call went. */
export function serverAttributes(upstreamUrl: string): Readonly<Record<string, string | number>> {
  const { protocol, hostname, port } = new URL(upstreamUrl);
  const byDefault = protocol === "https:" ? 443 : 80;
  return { "server.address": hostname.replace(/^\[|\]$/g, ""), "server.port": port === "" ? byDefault : Number(port) };
}

function unlessEmpty(text: string | null): string | undefined {
  return text === null || text === "" ? undefined : text;
}
