/**
 * Measures what an answer costs besides its bytes: reading a copy of it, and everything done at the
 * call's end but the ledger. No sockets.
 *
 *     deno run -A bench/answer_bench.ts
 *
 * Prints the best of several rounds: what the code itself costs shows in the quietest one.
 */
import { AnswerReader } from "../src/call/answer_reader.ts";
import type { Deps } from "../src/call/deps.ts";
import { OpenRow } from "../src/call/record.ts";
import { type OpenCall, UNSAID } from "../src/domain/usage.ts";
import { PRICES } from "../src/pricing/prices.ts";
import { priceOf } from "../src/pricing/price_of.ts";
import { messages } from "../src/providers/anthropic/messages.ts";
import { BILLINGS } from "../src/providers/billings.ts";
import { newLogger } from "../src/telemetry/log.ts";
import { newMetrics } from "../src/telemetry/metrics.ts";
import { NO_ESTIMATES } from "../src/domain/limits.ts";
import { newObserve } from "../src/telemetry/observe.ts";
import { scriptOf } from "./answers.ts";

const ROUNDS = 15;
const ROUND_MS = 200;

const SSE = new Response(null, { headers: { "content-type": "text/event-stream" } });
const JSON_ANSWER = new Response(null, { headers: { "content-type": "application/json" } });

const stream = scriptOf({ kind: "stream", events: 300 });
const paced = stream.events.map(({ start, end }) => stream.body.subarray(start, end));
const unary = scriptOf({ kind: "unary" }).body;

const CALL: OpenCall = {
  id: "ar-01KAXXJ8N2D4E6F8G0H2J4K6M8",
  instanceId: "bench",
  workspaceId: "w-17",
  sandboxId: "sb-170",
  traceId: "at-7f9c24e8-3b12-4fef-91e0-000000000017",
  kind: "message",
  provider: "anthropic",
  requestedModel: "claude-opus-4-5-20251101",
  streaming: false,
  createdAt: Date.now(),
  maxTokens: 32_000,
  requestBytes: 9_700,
  ...UNSAID,
  tokenId: "lt-01KAXXJ8N2D4E6F8G0H2J4K6M8",
  agentId: "agent-01",
  client: "claude-cli/2.1.0 (external, cli)",
  credentialId: "api_key-0a1b2c3d",
};

const ASKED = { model: "", isStreamed: false, maxTokens: null, userId: null, speed: null, inferenceGeo: null };

await measure("a stream of 300 events in one chunk, each event", 300, () => read(SSE, [stream.body]));
await measure("a stream of 300 events in a chunk of its own each, each event", 300, () => read(SSE, paced));
await measure("a JSON answer of 600 bytes, whole", 1, () => read(JSON_ANSWER, [unary]));
const reader = await read(JSON_ANSWER, [unary]);
const { row, metrics } = openRow();
await measure("the end of a call without its ledger", 1, () => row.close("completed", reader.reading));
metrics.end();

async function read(answer: Response, chunks: readonly Uint8Array[]): Promise<AnswerReader> {
  const reader = new AnswerReader(answer, { dialect: messages.answer, asked: { ...ASKED, isStreamed: answer === SSE } });
  for (const chunk of chunks) {
    const wait = reader.push(chunk);
    if (wait !== undefined) await wait;
  }
  if (reader.outcome === null) await reader.end();
  reader.close();
  return reader;
}

async function measure(what: string, units: number, work: () => Promise<unknown>): Promise<void> {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const from = performance.now();
    let count = 0;
    for (; performance.now() - from < ROUND_MS; count++) await work();
    best = Math.min(best, (performance.now() - from) / count);
  }
  console.log(`${(best * 1000 / units).toFixed(2).padStart(8)} us  ${what}`);
}

function openRow() {
  const gauges = new Proxy({}, { get: () => () => 0, ownKeys: () => [] }) as Parameters<typeof newMetrics>[0]["gauges"];
  const elapsed = () => performance.now();
  const metrics = newMetrics({
    gauges,
    credentialsOut: () => new Map(),
    outages: () => new Map(),
    rooms: () => new Map(),
    version: "0",
    elapsed,
  });
  let written = 0;
  const secret = "a-credential-of-the-operator-0123456789";
  const logger = newLogger("info", { write: (line) => written += line.length, now: Date.now, secrets: () => [secret] });
  const ledger: Partial<Deps["ledger"]> = { close: () => Promise.resolve() };
  const deps: Partial<Deps> = {
    ledger: ledger as Deps["ledger"],
    priceOf: priceOf(PRICES, BILLINGS),
    observe: newObserve({ logger, metrics, telemetry: null, elapsed }),
    now: Date.now,
    elapsed,
    estimates: NO_ESTIMATES,
  };
  const row = new OpenRow(CALL, {
    ...{ dialect: messages, asked: ASKED },
    ...{ hold: null, isRecorded: true, hidesModel: false, clientIp: null, startedAt: 0 },
    ...{ upstreamUrl: "https://upstream.invalid", span: null },
    deps: deps as Deps,
  });
  row.answered(200, "req_011CQmJ1q2W3e4R5t6Y7u8I9");
  return { row, metrics };
}
