/**
 * Compares what an event of a streamed answer costs in each dialect: reading a copy of it. No
 * sockets. The first is the measure for the others.
 *
 *     deno run -A bench/dialect_bench.ts
 *
 * The dialects take turns, and the best of several rounds counts: what the code itself costs shows
 * in the quietest one.
 */
import { AnswerReader } from "../src/call/answer_reader.ts";
import type { AnswerDialect, BodyFacts } from "../src/domain/provider.ts";
import { messages } from "../src/providers/anthropic/messages.ts";
import { generateContent } from "../src/providers/gemini/routes.ts";
import { chatCompletions } from "../src/providers/openai/chat.ts";
import { responses } from "../src/providers/openai/responses.ts";

const ROUNDS = 30;
const ROUND_MS = 100;
const EVENTS = 600;

const ASKED: BodyFacts = { model: "m", isStreamed: true, maxTokens: null, userId: null, speed: null, inferenceGeo: null };
const SSE = new Response(null, { headers: { "content-type": "text/event-stream" } });

interface Contender {
  readonly name: string;
  readonly dialect: AnswerDialect;
  readonly events: readonly string[];
}

const CONTENDERS: readonly Contender[] = [
  { name: "Anthropic Messages", dialect: messages.answer, events: messageEvents() },
  { name: "OpenAI Responses", dialect: responses.answer, events: responseEvents() },
  { name: "OpenAI Chat Completions", dialect: chatCompletions.answer, events: chatEvents() },
  { name: "Gemini", dialect: generateContent.answer, events: chunks().map((chunk) => `data: ${chunk}\r\n\r\n`) },
  { name: "Gemini, one JSON array", dialect: generateContent.answer, events: elements() },
];

for (const isPaced of [false, true]) {
  const loads = CONTENDERS.map(({ name, dialect, events }) => {
    const bytes = isPaced ? events.map((text) => new TextEncoder().encode(text)) : [new TextEncoder().encode(events.join(""))];
    const size = Math.round(bytes.reduce((sum, { length }) => sum + length, 0) / EVENTS);
    return { name: `${name}, of ${size} bytes`, work: () => read(dialect, bytes), best: Infinity };
  });
  for (let round = 0; round < ROUNDS; round++) {
    for (const load of loads) load.best = Math.min(load.best, await timeOf(load.work));
  }
  console.log(isPaced ? "a chunk for each event" : "all events in one chunk");
  for (const { name, best } of loads) {
    const each = (best * 1000 / EVENTS).toFixed(3).padStart(8);
    console.log(`${each} us an event  ${(best / loads[0]!.best).toFixed(2)}  ${name}`);
  }
}

async function timeOf(work: () => Promise<void>): Promise<number> {
  const from = performance.now();
  let count = 0;
  for (; performance.now() - from < ROUND_MS; count++) await work();
  return (performance.now() - from) / count;
}

async function read(dialect: AnswerDialect, chunks: readonly Uint8Array[]): Promise<void> {
  const reader = new AnswerReader(SSE, { dialect, asked: ASKED });
  for (const chunk of chunks) {
    const wait = reader.push(chunk);
    if (wait !== undefined) await wait;
  }
  if (reader.outcome === null) await reader.end();
  if (reader.outcome !== "completed") throw new Error(`The answer ended as ${reader.outcome}`);
  reader.close();
}

function wordOf(index: number): string {
  return `${"0".repeat(16)} word ${String(index).padStart(5, "0")} of it`;
}

function deltas<T>(edges: number, one: (index: number) => T): readonly T[] {
  return Array.from({ length: EVENTS - edges }, (_, index) => one(index));
}

function named(data: { readonly type: string }): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}

function messageEvents(): readonly string[] {
  const usage = { input_tokens: 412, output_tokens: 290 };
  const message = { id: "msg_01XFDUDYJgAACzvnptvVoYEL", type: "message", model: "claude-opus-4-5-20251101", usage };
  return [
    { type: "message_start", message },
    ...deltas(3, (index) => ({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: wordOf(index) } })),
    { type: "message_delta", delta: { stop_reason: "end_turn" }, usage },
    { type: "message_stop" },
  ].map(named);
}

function responseEvents(): readonly string[] {
  const response = { id: "resp_0a1b2c3d4e5f60718293a4b5c6d7e8f9", object: "response", model: "gpt-6.2-sol", store: false };
  const usage = { input_tokens: 412, output_tokens: 290 };
  const item_id = "msg_0a1b2c3d4e5f60718293a4b5c6d7e8f9";
  return [
    { type: "response.created", response: { ...response, status: "in_progress", usage: null }, sequence_number: 0 },
    { type: "response.in_progress", response: { ...response, status: "in_progress", usage: null }, sequence_number: 1 },
    ...deltas(3, (index) => ({
      type: "response.output_text.delta",
      content_index: 0,
      delta: wordOf(index),
      item_id,
      logprobs: [],
      obfuscation: "k3Jd0aPq",
      output_index: 1,
      sequence_number: index + 2,
    })),
    { type: "response.completed", response: { ...response, status: "completed", usage }, sequence_number: EVENTS - 1 },
  ].map(named);
}

function chatEvents(): readonly string[] {
  const head = {
    id: "chatcmpl-CkZ0a1b2c3d4e5f60718293a4b5",
    object: "chat.completion.chunk",
    created: 1_795_900_000,
    model: "gpt-6.2-sol",
    service_tier: "default",
    system_fingerprint: "fp_0a1b2c3d4e",
  };
  const choice = (delta: object, finish_reason: string | null = null) => [{ index: 0, delta, logprobs: null, finish_reason }];
  const chunks = [
    { ...head, choices: choice({ role: "assistant", content: "" }), usage: null, obfuscation: "a8" },
    ...deltas(4, (index) => ({ ...head, choices: choice({ content: wordOf(index) }), usage: null, obfuscation: "k3Jd0aPq" })),
    { ...head, choices: choice({}, "stop"), usage: null, obfuscation: "k3" },
    { ...head, choices: [], usage: { prompt_tokens: 412, completion_tokens: 290, total_tokens: 702 }, obfuscation: "" },
  ];
  return [...chunks.map((data) => `data: ${JSON.stringify(data)}\n\n`), "data: [DONE]\n\n"];
}

/** As Gemini's server spells JSON in events: with a space behind each colon. Each has the usage. */
function chunks(): readonly string[] {
  return deltas(0, (index) => {
    const chunk = {
      candidates: [{
        content: { parts: [{ text: wordOf(index) }], role: "model" },
        ...(index === EVENTS - 1 ? { finishReason: "STOP" } : {}),
        index: 0,
      }],
      usageMetadata: {
        promptTokenCount: 412,
        candidatesTokenCount: index + 1,
        totalTokenCount: 443 + index,
        promptTokensDetails: [{ modality: "TEXT", tokenCount: 412 }],
        thoughtsTokenCount: 30,
      },
      modelVersion: "gemini-3.8-flash",
      responseId: "nOYpaZ2xJt6ZkdUPk7OysAE",
    };
    return JSON.stringify(chunk).replaceAll('":', '": ');
  });
}

function elements(): readonly string[] {
  return chunks().map((chunk, index) => {
    const element = JSON.stringify(JSON.parse(chunk), null, 2);
    return `${index === 0 ? "[" : ",\r\n"}${element}\n${index === EVENTS - 1 ? "]\n" : ""}`;
  });
}
