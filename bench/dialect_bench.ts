/**
 * Compares what an event of a streamed answer costs in each dialect: reading a copy of it. No
 * sockets. The first is the measure for the others.
 *
 *     deno run -A bench/dialect_bench.ts
 *
 * The dialects take turns, and the best of several rounds counts: what the code itself costs shows
 * in the quietest one.
 */
import { Buffer } from "node:buffer";
import { AnswerReader } from "../src/call/answer_reader.ts";
import type { AnswerDialect, BodyFacts } from "../src/domain/provider.ts";
import { messages } from "../src/providers/anthropic/messages.ts";
import { invoke } from "../src/providers/bedrock/invoke.ts";
import { generateContent } from "../src/providers/gemini/routes.ts";
import { chatCompletions } from "../src/providers/openai/chat.ts";
import { responses } from "../src/providers/openai/responses.ts";
import { rawPredict } from "../src/providers/vertex/messages.ts";
import { type DialectName, DIALECTS, geminiChunks } from "./dialects.ts";

const ROUNDS = 30;
const ROUND_MS = 100;
const EVENTS = 600;

const ASKED: BodyFacts = { model: "m", isStreamed: true, maxTokens: null, userId: null, speed: null, inferenceGeo: null };

interface Contender {
  readonly name: string;
  readonly dialect: AnswerDialect;
  readonly contentType: string;
  readonly events: readonly (string | Uint8Array)[];
}

const CONTENDERS: readonly Contender[] = [
  contender("anthropic", messages.answer),
  contender("responses", responses.answer),
  contender("chat", chatCompletions.answer),
  contender("bedrock", invoke.answer),
  contender("vertex", rawPredict.answer),
  contender("gemini", generateContent.answer),
  { name: "Gemini, one JSON array", dialect: generateContent.answer, contentType: "application/json", events: elements() },
];

for (const isPaced of [false, true]) {
  const loads = CONTENDERS.map(({ name, dialect, contentType, events }) => {
    const pieces = events.map((event) => new Uint8Array(Buffer.from(event as string)));
    const bytes = isPaced ? pieces : [new Uint8Array(Buffer.concat(pieces))];
    const answer = new Response(null, { headers: { "content-type": contentType } });
    const size = Math.round(bytes.reduce((sum, { length }) => sum + length, 0) / EVENTS);
    return { name: `${name}, of ${size} bytes`, work: () => read(answer, { dialect, chunks: bytes }), best: Infinity };
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

function contender(name: DialectName, dialect: AnswerDialect): Contender {
  const { title, contentType, events } = DIALECTS[name];
  return { name: title, dialect, contentType, events: events(EVENTS) };
}

async function timeOf(work: () => Promise<void>): Promise<number> {
  const from = performance.now();
  let count = 0;
  for (; performance.now() - from < ROUND_MS; count++) await work();
  return (performance.now() - from) / count;
}

async function read(
  answer: Response,
  { dialect, chunks }: { readonly dialect: AnswerDialect; readonly chunks: readonly Uint8Array[] },
): Promise<void> {
  const reader = new AnswerReader(answer, { dialect, asked: ASKED });
  for (const chunk of chunks) {
    const wait = reader.push(chunk);
    if (wait !== undefined) await wait;
  }
  if (reader.outcome === null) await reader.end();
  if (reader.outcome !== "completed") throw new Error(`The answer ended as ${reader.outcome}`);
  reader.close();
}

/** One JSON array, indented as Gemini's server does without `alt=sse`. */
function elements(): readonly string[] {
  return geminiChunks(EVENTS).map((chunk, index) => {
    const element = JSON.stringify(JSON.parse(chunk), null, 2);
    return `${index === 0 ? "[" : ",\r\n"}${element}\n${index === EVENTS - 1 ? "]\n" : ""}`;
  });
}
