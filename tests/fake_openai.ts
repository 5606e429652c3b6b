/**
 * OpenAI's API as a script for the fake upstream: Responses and Chat Completions, as the types of
 * its SDK 7.59.0 have them.
 */
import { type Answer, json, type Script, type SeenCall } from "./fake_answers.ts";
import { sse } from "./fake_messages.ts";
import { type Middle, type ModelScript, streamedAs, type Turn, UPSTREAM_ERROR, wordsOf } from "./scripted_turns.ts";

/** What each response is said to have used. Cache reads and writes are part of the input. */
export const RESPONSES_USAGE = {
  input_tokens: 41_003,
  input_tokens_details: { cached_tokens: 36_000, cache_write_tokens: 4_096 },
  output_tokens: 207,
  output_tokens_details: { reasoning_tokens: 64 },
  total_tokens: 41_210,
};

/** The same counts under the names of Chat Completions. */
export const CHAT_USAGE = {
  prompt_tokens: 41_003,
  completion_tokens: 207,
  total_tokens: 41_210,
  prompt_tokens_details: { cached_tokens: 36_000, cache_write_tokens: 4_096, audio_tokens: 0 },
  completion_tokens_details: {
    reasoning_tokens: 64,
    audio_tokens: 0,
    accepted_prediction_tokens: 0,
    rejected_prediction_tokens: 0,
  },
};

interface Asked {
  readonly model: string;
  readonly stream?: boolean;
  readonly background?: boolean;
  readonly store?: boolean;
  readonly instructions?: string;
  readonly tools?: readonly unknown[];
  readonly service_tier?: string;
  readonly prompt_cache_key?: string;
  readonly stream_options?: { readonly include_usage?: boolean };
}

type Json = Readonly<Record<string, unknown>>;

export interface OpenaiScript extends ModelScript {
  /** The tier that answers say was served. */
  readonly tier?: string;
}

/** Answers each call of both APIs. A background response stays at this model, by its id. */
export function openaiModel(script: OpenaiScript): (call: SeenCall) => Script {
  const kept = new Map<string, Json>();
  return (call) => {
    const path = call.target.split("?")[0]!;
    const instead = script.instead?.(call) ?? null;
    if (instead !== null) return instead;
    if (call.header("upgrade") !== null) return openaiError(426, { message: "no WebSocket here", code: "upgrade_required" });
    if (call.method === "POST" && path.endsWith("/responses")) return withHeaders(call, responseTo(call, { script, kept }));
    if (call.method === "POST" && path.endsWith("/responses/compact")) return withHeaders(call, json(compacted(call)));
    if (call.method === "POST" && path.endsWith("/responses/input_tokens")) {
      return withHeaders(call, json({ object: "response.input_tokens", input_tokens: RESPONSES_USAGE.input_tokens }));
    }
    if (call.method === "POST" && path.endsWith("/chat/completions")) return withHeaders(call, completionTo(call, script));
    const response = kept.get(/\/responses\/(resp_[^/]+)$/.exec(path)?.[1] ?? "");
    if (call.method === "GET" && response !== undefined) return withHeaders(call, json(response));
    return openaiError(404, { message: `Invalid URL (${call.method} ${path})`, code: null });
  };
}

/** An error of OpenAI's as its clients expect it. */
export function openaiError(status: number, { message, code, headers = {} }: {
  readonly message: string;
  readonly code: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}): Answer {
  const type = status === 429 ? "tokens" : status >= 500 ? "server_error" : "invalid_request_error";
  return {
    status,
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ error: { message, type, param: null, code } }, null, 2),
  };
}

function withHeaders(call: SeenCall, answer: Answer): Answer {
  const headers = {
    "x-request-id": call.requestId,
    "openai-processing-ms": "412",
    "openai-version": "2020-10-01",
    "openai-organization": "org-of-the-operator",
    "openai-project": "proj_of_the_operator",
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-reset-requests": "6ms",
    ...answer.headers,
  };
  return { ...answer, headers };
}

function responseTo(
  call: SeenCall,
  { script, kept }: { readonly script: OpenaiScript; readonly kept: Map<string, Json> },
): Answer {
  const asked = call.json() as Asked;
  const output = outputItem(script.turn(call), call);
  const response = {
    id: `resp_${call.messageId}`,
    object: "response",
    created_at: 1_795_900_000,
    model: asked.model,
    background: asked.background ?? false,
    error: null,
    incomplete_details: null,
    instructions: asked.instructions ?? null,
    tools: asked.tools ?? [],
    prompt_cache_key: asked.prompt_cache_key ?? null,
    store: asked.store ?? true,
  };
  const whole = {
    ...response,
    status: "completed",
    service_tier: script.tier ?? "default",
    output: [output],
    usage: RESPONSES_USAGE,
  };
  const running = { ...response, service_tier: asked.service_tier ?? "auto", output: [], usage: null };
  if (asked.background === true && asked.stream !== true) {
    kept.set(response.id, whole);
    return json({ ...running, status: "queued" });
  }
  if (asked.stream !== true) return json(whole);
  const events = responseEvents({ running: { ...running, status: "in_progress" }, whole, output });
  const error = { type: "error", sequence_number: events.length, code: "server_error", message: UPSTREAM_ERROR, param: null };
  return stream(events, { middle: script.middle?.(call) ?? null, error: sse("error", error) });
}

/** `/responses/compact` names neither a model nor a status. */
function compacted(call: SeenCall): Json {
  const output = [{ id: `cmp_${call.messageId}`, type: "compaction", encrypted_content: "gAAAA" }];
  return {
    id: `resp_${call.messageId}`,
    object: "response.compaction",
    created_at: 1_795_900_000,
    output,
    usage: RESPONSES_USAGE,
  };
}

function outputItem(turn: Turn, call: SeenCall) {
  if ("tool" in turn) {
    return {
      id: `fc_${call.messageId}`,
      type: "function_call",
      status: "completed",
      call_id: `call_${call.messageId}`,
      name: turn.tool,
      ...turn.namespace === undefined ? {} : { namespace: turn.namespace },
      arguments: JSON.stringify(turn.input),
    } as const;
  }
  const content = [{ type: "output_text", text: turn.text, annotations: [], logprobs: [] }] as const;
  return { id: `msg_${call.messageId}`, type: "message", role: "assistant", status: "completed", content } as const;
}

/** The first two and the last event each hold the whole response, with instructions and tools. */
function responseEvents({ running, whole, output }: {
  readonly running: Json;
  readonly whole: Json;
  readonly output: ReturnType<typeof outputItem>;
}): string[] {
  const at = { output_index: 0, item_id: output.id };
  const events: Json[] = [
    { type: "response.created", response: running },
    { type: "response.in_progress", response: running },
  ];
  if (output.type === "function_call") {
    events.push(
      added({ ...output, status: "in_progress", arguments: "" }),
      ...wordsOf(output.arguments).map((delta) => ({
        type: "response.function_call_arguments.delta",
        ...at,
        delta,
        obfuscation: "x7Kd0",
      })),
      { type: "response.function_call_arguments.done", ...at, arguments: output.arguments },
    );
  } else {
    const [part] = output.content;
    const empty = { ...part, text: "" };
    events.push(
      added({ ...output, status: "in_progress", content: [] }),
      { type: "response.content_part.added", ...at, content_index: 0, part: empty },
      ...wordsOf(part.text).map((delta) => ({
        type: "response.output_text.delta",
        ...at,
        content_index: 0,
        delta,
        logprobs: [],
        obfuscation: "Qm3",
      })),
      { type: "response.output_text.done", ...at, content_index: 0, text: part.text, logprobs: [] },
      { type: "response.content_part.done", ...at, content_index: 0, part },
    );
  }
  events.push(
    { type: "response.output_item.done", output_index: 0, item: output },
    { type: "response.completed", response: whole },
  );
  return events.map(({ type, ...rest }, sequence_number) => sse(String(type), { type, sequence_number, ...rest }));
}

function added(item: Json): Json {
  return { type: "response.output_item.added", output_index: 0, item };
}

function completionTo(call: SeenCall, script: OpenaiScript): Answer {
  const asked = call.json() as Asked;
  const turn = script.turn(call);
  const base = {
    id: `chatcmpl-${call.messageId}`,
    object: asked.stream === true ? "chat.completion.chunk" : "chat.completion",
    created: 1_795_900_000,
    model: asked.model,
    service_tier: script.tier ?? "default",
    system_fingerprint: "fp_fake",
  };
  const finish_reason = "tool" in turn ? "tool_calls" : "stop";
  const message = "tool" in turn
    ? { role: "assistant", content: null, refusal: null, tool_calls: [toolCall(turn, call)] }
    : { role: "assistant", content: turn.text, refusal: null };
  if (asked.stream !== true) {
    const choices = [{ index: 0, message, logprobs: null, finish_reason }];
    return json({ ...base, choices, usage: CHAT_USAGE });
  }
  const deltas: Json[] = "tool" in turn
    ? [{ role: "assistant", content: null, tool_calls: [{ index: 0, ...toolCall(turn, call) }] }]
    : [{ role: "assistant", content: "", refusal: null }, ...wordsOf(turn.text).map((content) => ({ content }))];
  const isCounted = asked.stream_options?.include_usage === true;
  // If usage is asked for, every chunk has the key, and one more chunk has no choice.
  const usage = isCounted ? { usage: null } : {};
  const chunks: Json[] = [
    ...deltas.map((delta) => ({ choices: [{ index: 0, delta, logprobs: null, finish_reason: null }], ...usage })),
    { choices: [{ index: 0, delta: {}, logprobs: null, finish_reason }], ...usage },
    ...isCounted ? [{ choices: [], usage: CHAT_USAGE }] : [],
  ];
  const lines = chunks.map((chunk) => `data: ${JSON.stringify({ ...base, ...chunk, obfuscation: "p0" })}\n\n`);
  const error = { error: { message: UPSTREAM_ERROR, type: "server_error", param: null, code: null } };
  const ends = { middle: script.middle?.(call) ?? null, error: `data: ${JSON.stringify(error)}\n\n` };
  return stream([...lines, "data: [DONE]\n\n"], ends);
}

function toolCall(turn: Extract<Turn, { tool: string }>, call: SeenCall) {
  const named = { name: turn.tool, arguments: JSON.stringify(turn.input) };
  return { id: `call_${call.messageId}`, type: "function", function: named };
}

function stream(events: readonly string[], ends: { readonly middle: Middle; readonly error: string }): Answer {
  return {
    headers: { "content-type": "text/event-stream; charset=utf-8" },
    framing: "chunked",
    ...streamedAs(events, ends),
  };
}
