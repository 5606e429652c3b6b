/** What a fake Anthropic API says: events, messages, errors. Data only, no sockets. */

/** The wire's usage object, as far as the fakes fill it. */
export interface FakeUsage {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cache_creation_input_tokens: number;
  readonly cache_read_input_tokens: number;
  readonly cache_creation: { readonly ephemeral_5m_input_tokens: number; readonly ephemeral_1h_input_tokens: number };
  readonly service_tier: "standard";
}

export interface FakeMessage {
  readonly id: string;
  readonly model: string;
  readonly usage: FakeUsage;
  /** How many text deltas a stream of it has. */
  readonly deltas: number;
}

const ERROR_TYPES: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  408: "timeout_error",
  413: "request_too_large",
  429: "rate_limit_error",
  500: "api_error",
  502: "api_error",
  503: "api_error",
  504: "timeout_error",
  529: "overloaded_error",
};

/**
 * The usage that is answered to a first user text, so that a test can say what the row must hold.
 * No count is another's.
 */
export function usageOf(text: string): FakeUsage {
  const length = text.length;
  return {
    input_tokens: length,
    output_tokens: 10_000 + length,
    cache_creation_input_tokens: 20_000 + 2 * length,
    cache_read_input_tokens: 30_000 + length,
    cache_creation: { ephemeral_5m_input_tokens: 15_000 + length, ephemeral_1h_input_tokens: 5_000 + length },
    service_tier: "standard",
  };
}

/**
 * The first text that a user says in the body of a Messages or count_tokens request; empty
 * if there is no such text.
 */
export function firstUserText(body: unknown): string {
  const messages = (body as { messages?: { role: string; content: unknown }[] } | null)?.messages;
  const content = Array.isArray(messages) ? messages.find((message) => message?.role === "user")?.content : undefined;
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return String(content.find((block) => block?.type === "text")?.text ?? "");
}

/** One event as it is on the wire. */
export function sse(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

/**
 * The events of a streamed message, one string each: a start, a ping, the deltas, an end with the
 * final usage.
 */
export function messageEvents({ id, model, usage, deltas }: FakeMessage): string[] {
  const texts = Array.from({ length: deltas }, (_, n) => `word-${n} `);
  const { output_tokens, ...start } = usage;
  return [
    sse("message_start", {
      type: "message_start",
      message: {
        id,
        type: "message",
        role: "assistant",
        model,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { ...start, output_tokens: 1 },
      },
    }),
    sse("content_block_start", { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }),
    sse("ping", { type: "ping" }),
    ...texts.map((text) =>
      sse("content_block_delta", { type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })
    ),
    sse("content_block_stop", { type: "content_block_stop", index: 0 }),
    sse("message_delta", {
      type: "message_delta",
      delta: { stop_reason: "end_turn", stop_sequence: null },
      usage: { output_tokens },
    }),
    sse("message_stop", { type: "message_stop" }),
  ];
}

/** The same message, not streamed. */
export function messageBody({ id, model, usage, deltas }: FakeMessage): Readonly<Record<string, unknown>> {
  const text = Array.from({ length: deltas }, (_, n) => `word-${n} `).join("");
  return {
    id,
    type: "message",
    role: "assistant",
    model,
    content: [{ type: "text", text }],
    stop_reason: "end_turn",
    stop_sequence: null,
    usage,
  };
}

/** An error body of that status (https://docs.anthropic.com/en/api/errors). */
export function errorBody(status: number, { message, requestId }: { readonly message: string; readonly requestId: string }) {
  return { type: "error", error: { type: ERROR_TYPES[status] ?? "api_error", message }, request_id: requestId };
}
