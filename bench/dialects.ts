/** What the benches say in each dialect: requests, answers, and where they go. */
import { Buffer } from "node:buffer";
import { EventStreamCodec } from "@smithy/core/event-streams";

/** One step of an agent's conversation. */
export type Step =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "call"; readonly id: string; readonly path: string }
  | { readonly kind: "result"; readonly id: string; readonly text: string };

export interface Question {
  readonly isStreamed: boolean;
  readonly system: string;
  /** As `stepOf` made them. */
  readonly steps: readonly unknown[];
}

export interface BenchDialect {
  readonly title: string;
  readonly target: (isStreamed: boolean) => string;
  /** Of a request, besides those that all requests have. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tokenHeader: readonly [name: string, prefix: string];
  /** A step as the body has it. */
  readonly stepOf: (step: Step) => object;
  readonly bodyOf: (question: Question) => object;
  /** Of a stream. */
  readonly contentType: string;
  /** The answer that is not streamed. */
  readonly answer: object;
  /** A whole stream of so many events, each with one text of about the same length. */
  readonly events: (count: number) => readonly (string | Uint8Array)[];
}

/** Digits of a time stamp in a text: microseconds since the epoch. */
export const STAMP_DIGITS = 16;
export const NO_STAMP = "0".repeat(STAMP_DIGITS);
/** Every answer says that it used these tokens, so that the bench can check the records. */
export const USED = { input: 412, output: 290 };

const CLAUDE = "claude-opus-4-5-20251101";
const GPT = "gpt-6.2-sol";
const GEMINI = "gemini-3.8-flash";
const REGION = "us-east-1";
const LOCATION = "us-east5";
const TEXT = "The function is renamed in four files and all tests pass. ".repeat(4);
const MAX_TOKENS = 1024;
const KEY = "bench-key-of-nobody";

/** `LLMPROXY_UPSTREAMS_FILE`: an upstream for each dialect besides Anthropic's. */
export function upstreamsAt(baseUrl: string): readonly object[] {
  const keyed = (name: string) => ({ baseUrl, credentials: [{ name, key: KEY }] });
  const aws = { accessKeyId: "AKIABENCHBENCHBENCH0", secretAccessKey: KEY };
  return [
    { name: "openai", dialect: "openai", ...keyed("openai-key") },
    { name: "bedrock", dialect: "bedrock", models: ["us.*"], region: REGION, ...keyed("bedrock-key") },
    {
      ...{ name: "bedrock-signed", dialect: "bedrock", models: ["eu.*"], region: REGION, baseUrl },
      credentials: [{ name: "bedrock-keys", aws }],
    },
    { name: "vertex", dialect: "vertex", project: "bench", locations: [LOCATION], ...keyed("vertex-key") },
    { name: "gemini", dialect: "gemini", ...keyed("gemini-key") },
  ];
}

const anthropic: BenchDialect = {
  title: "Anthropic Messages",
  target: () => "/v1/messages?beta=true",
  headers: { "anthropic-version": "2023-06-01" },
  tokenHeader: ["x-api-key", ""],
  stepOf: messageOf,
  bodyOf: ({ isStreamed, ...question }) => ({
    model: CLAUDE,
    max_tokens: MAX_TOKENS,
    stream: isStreamed,
    ...messagesOf(question),
  }),
  contentType: "text/event-stream; charset=utf-8",
  answer: messageAnswer(CLAUDE),
  events: (count) => messageEvents(count).map(named),
};

function onBedrock(title: string, geo: string): BenchDialect {
  const model = `${geo}.anthropic.${CLAUDE}-v1:0`;
  return {
    ...anthropic,
    title,
    target: (isStreamed) => `/model/${model}/invoke${isStreamed ? "-with-response-stream" : ""}`,
    headers: {},
    tokenHeader: ["authorization", "Bearer "],
    bodyOf: (question) => ({ anthropic_version: "bedrock-2023-05-31", max_tokens: MAX_TOKENS, ...messagesOf(question) }),
    contentType: "application/vnd.amazon.eventstream",
    events: (count) => messageEvents(count).map((data, index) => framed(data, index)),
  };
}

const responses: BenchDialect = {
  title: "OpenAI Responses",
  target: () => "/v1/responses",
  headers: {},
  tokenHeader: ["authorization", "Bearer "],
  stepOf: (step) =>
    step.kind === "call"
      ? { type: "function_call", call_id: step.id, name: "read", arguments: JSON.stringify({ path: step.path }) }
      : step.kind === "result"
      ? { type: "function_call_output", call_id: step.id, output: step.text }
      : { type: "message", role: "user", content: [{ type: "input_text", text: step.text }] },
  // As coding agents ask: the upstream keeps nothing.
  bodyOf: ({ isStreamed, system, steps }) => ({
    ...{ model: GPT, max_output_tokens: MAX_TOKENS, stream: isStreamed, store: false, instructions: system },
    ...{ input: steps, prompt_cache_key: "user_bench" },
  }),
  contentType: "text/event-stream; charset=utf-8",
  answer: responseOf("completed", [{
    ...{ id: "msg_0a1b2c3d4e5f60718293a4b5c6d7e8f9", type: "message", status: "completed", role: "assistant" },
    content: [{ type: "output_text", annotations: [], logprobs: [], text: TEXT }],
  }]),
  events: (count) => responseEvents(count).map(named),
};

const chat: BenchDialect = {
  title: "OpenAI Chat Completions",
  target: () => "/v1/chat/completions",
  headers: {},
  tokenHeader: ["authorization", "Bearer "],
  stepOf: (step) => {
    if (step.kind === "text") return { role: "user", content: step.text };
    if (step.kind === "result") return { role: "tool", tool_call_id: step.id, content: step.text };
    const call = { name: "read", arguments: JSON.stringify({ path: step.path }) };
    return { role: "assistant", tool_calls: [{ id: step.id, type: "function", function: call }] };
  },
  bodyOf: ({ isStreamed, system, steps }) => ({
    ...{ model: GPT, max_completion_tokens: MAX_TOKENS, stream: isStreamed },
    ...(isStreamed ? { stream_options: { include_usage: true } } : {}),
    ...{ messages: [{ role: "system", content: system }, ...steps], prompt_cache_key: "user_bench" },
  }),
  contentType: "text/event-stream; charset=utf-8",
  answer: {
    ...chatHead("chat.completion"),
    choices: [{ index: 0, message: { role: "assistant", content: TEXT }, logprobs: null, finish_reason: "stop" }],
    usage: { prompt_tokens: USED.input, completion_tokens: USED.output, total_tokens: USED.input + USED.output },
  },
  events: chatEvents,
};

const vertex: BenchDialect = {
  ...anthropic,
  title: "Claude on Vertex AI",
  target: (isStreamed) =>
    `/v1/projects/bench/locations/${LOCATION}/publishers/anthropic/models/claude-opus-4-5@20251101:` +
    (isStreamed ? "streamRawPredict" : "rawPredict"),
  headers: {},
  tokenHeader: ["authorization", "Bearer "],
  bodyOf: ({ isStreamed, ...question }) => ({
    ...{ anthropic_version: "vertex-2023-10-16", max_tokens: MAX_TOKENS, stream: isStreamed },
    ...messagesOf(question),
  }),
};

const gemini: BenchDialect = {
  title: "Gemini",
  target: (isStreamed) => `/v1beta/models/${GEMINI}:${isStreamed ? "streamGenerateContent?alt=sse" : "generateContent"}`,
  headers: {},
  tokenHeader: ["x-goog-api-key", ""],
  stepOf: (step) => {
    if (step.kind === "text") return { role: "user", parts: [{ text: step.text }] };
    if (step.kind === "call") return { role: "model", parts: [{ functionCall: { name: "read", args: { path: step.path } } }] };
    return { role: "user", parts: [{ functionResponse: { name: "read", response: { output: step.text } } }] };
  },
  bodyOf: ({ system, steps }) => ({
    ...{ systemInstruction: { parts: [{ text: system }] }, contents: steps },
    generationConfig: { maxOutputTokens: MAX_TOKENS },
  }),
  contentType: "text/event-stream",
  answer: geminiChunk(TEXT, { output: USED.output, isLast: true }),
  events: (count) => geminiChunks(count).map((chunk) => `data: ${chunk}\r\n\r\n`),
};

export const DIALECTS = {
  anthropic,
  responses,
  chat,
  bedrock: onBedrock("Claude by InvokeModel, with an API key", "us"),
  "bedrock-signed": onBedrock("Claude by InvokeModel, signed", "eu"),
  vertex,
  gemini,
} as const satisfies Readonly<Record<string, BenchDialect>>;

export type DialectName = keyof typeof DIALECTS;

function wordOf(index: number): string {
  return `${NO_STAMP} word ${String(index).padStart(5, "0")} of it`;
}

function words<T>(count: number, one: (text: string, index: number) => T): readonly T[] {
  return Array.from({ length: count }, (_, index) => one(wordOf(index), index));
}

function named(data: { readonly type: string }): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}

function messageOf(step: Step): object {
  if (step.kind === "text") return { role: "user", content: step.text };
  const content = step.kind === "call"
    ? { type: "tool_use", id: step.id, name: "read", input: { path: step.path } }
    : { type: "tool_result", tool_use_id: step.id, content: step.text };
  return { role: step.kind === "call" ? "assistant" : "user", content: [content] };
}

function messagesOf({ system, steps }: Pick<Question, "system" | "steps">) {
  return { system, messages: steps, metadata: { user_id: "user_bench" } };
}

function claudeUsage(output: number) {
  return {
    input_tokens: USED.input,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 2048,
    cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
    output_tokens: output,
    service_tier: "standard",
  };
}

function messageAnswer(model: string) {
  return {
    ...{ id: "msg_01XFDUDYJgAACzvnptvVoYEL", type: "message", role: "assistant", model },
    content: [{ type: "text", text: TEXT }],
    stop_reason: "end_turn",
    stop_sequence: null,
    usage: claudeUsage(USED.output),
  };
}

function messageEvents(count: number): readonly { readonly type: string }[] {
  const message = { ...messageAnswer(CLAUDE), content: [], stop_reason: null, usage: claudeUsage(1) };
  const head = [
    { type: "message_start", message },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
  ];
  const tail = [
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: claudeUsage(USED.output) },
    { type: "message_stop" },
  ];
  const deltas = words(count - head.length - tail.length, (text) => ({
    ...{ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } },
  }));
  return [...head, ...deltas, ...tail];
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();
const codec = new EventStreamCodec(
  (bytes) => typeof bytes === "string" ? bytes : decoder.decode(bytes),
  (text) => encoder.encode(text),
);
/** AWS pads each event with a beginning of these. */
const PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/** https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html */
function framed(data: { readonly type: string }, index: number): Uint8Array {
  const metrics = { inputTokenCount: USED.input, outputTokenCount: USED.output, invocationLatency: 900, firstByteLatency: 90 };
  const event = data.type === "message_stop" ? { ...data, "amazon-bedrock-invocationMetrics": metrics } : data;
  const bytes = Buffer.from(JSON.stringify(event)).toString("base64");
  const string = (value: string) => ({ type: "string", value } as const);
  return codec.encode({
    headers: {
      ":event-type": string("chunk"),
      ":content-type": string("application/json"),
      ":message-type": string("event"),
    },
    body: encoder.encode(JSON.stringify({ bytes, p: PADDING.slice(0, 1 + index * 7 % PADDING.length) })),
  });
}

function responseOf(status: string, output: readonly object[]) {
  const isWhole = status === "completed";
  const usage = {
    ...{ input_tokens: USED.input, input_tokens_details: { cached_tokens: 0 }, output_tokens: USED.output },
    ...{ output_tokens_details: { reasoning_tokens: 0 }, total_tokens: USED.input + USED.output },
  };
  return {
    ...{ id: "resp_0a1b2c3d4e5f60718293a4b5c6d7e8f9", object: "response", created_at: 1_795_900_000, status },
    ...{ model: GPT, output, service_tier: "default", store: false, usage: isWhole ? usage : null },
  };
}

function responseEvents(count: number): readonly { readonly type: string }[] {
  const item_id = "msg_0a1b2c3d4e5f60718293a4b5c6d7e8f9";
  const deltas = words(count - 3, (delta, index) => ({
    ...{ type: "response.output_text.delta", content_index: 0, delta, item_id, logprobs: [] },
    ...{ obfuscation: "k3Jd0aPq", output_index: 1, sequence_number: index + 2 },
  }));
  return [
    { type: "response.created", response: responseOf("in_progress", []), sequence_number: 0 },
    { type: "response.in_progress", response: responseOf("in_progress", []), sequence_number: 1 },
    ...deltas,
    { type: "response.completed", response: responseOf("completed", []), sequence_number: count - 1 },
  ].map((event) => event as { readonly type: string });
}

function chatHead(object: string) {
  return {
    ...{ id: "chatcmpl-CkZ0a1b2c3d4e5f60718293a4b5", object, created: 1_795_900_000, model: GPT },
    ...{ service_tier: "default", system_fingerprint: "fp_0a1b2c3d4e" },
  };
}

function chatEvents(count: number): readonly string[] {
  const head = chatHead("chat.completion.chunk");
  const choice = (delta: object, finish_reason: string | null = null) => [{ index: 0, delta, logprobs: null, finish_reason }];
  const usage = { prompt_tokens: USED.input, completion_tokens: USED.output, total_tokens: USED.input + USED.output };
  const chunks = [
    { ...head, choices: choice({ role: "assistant", content: "" }), usage: null, obfuscation: "a8" },
    ...words(count - 4, (content) => ({ ...head, choices: choice({ content }), usage: null, obfuscation: "k3Jd0aPq" })),
    { ...head, choices: choice({}, "stop"), usage: null, obfuscation: "k3" },
    { ...head, choices: [], usage, obfuscation: "" },
  ];
  return [...chunks.map((data) => `data: ${JSON.stringify(data)}\n\n`), "data: [DONE]\n\n"];
}

/** As Gemini's server spells JSON in events: with a space behind each colon. Each has the usage. */
export function geminiChunks(count: number): readonly string[] {
  return words(count, (text, index) => {
    const chunk = geminiChunk(text, { output: index + 1, isLast: index === count - 1 });
    return JSON.stringify(chunk).replaceAll('":', '": ');
  });
}

function geminiChunk(text: string, { output, isLast }: { readonly output: number; readonly isLast: boolean }) {
  return {
    candidates: [{ content: { parts: [{ text }], role: "model" }, ...(isLast ? { finishReason: "STOP" } : {}), index: 0 }],
    usageMetadata: {
      ...{ promptTokenCount: USED.input, candidatesTokenCount: output, totalTokenCount: USED.input + output + 30 },
      ...{ promptTokensDetails: [{ modality: "TEXT", tokenCount: USED.input }], thoughtsTokenCount: 30 },
    },
    modelVersion: GEMINI,
    responseId: "nOYpaZ2xJt6ZkdUPk7OysAE",
  };
}
