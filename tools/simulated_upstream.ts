/**
 * Development code: an upstream for `task dev` and `task demo`, whose answers say that they are
 * simulated.
 */

export interface SimulatedUpstream {
  readonly url: string;
  close(): Promise<void>;
}

interface Ask {
  readonly model: string;
  readonly isStreamed: boolean;
  readonly usage: ReturnType<typeof usageOf>;
}

const TEXT = "This answer is simulated: no ANTHROPIC_API_KEY is set, so llmproxy talks to a stand-in on this machine. " +
  "Everything else is real: your token was checked, the call was metered, and its usage row is on disk. " +
  "Set ANTHROPIC_API_KEY and start again to reach the Anthropic API.";
/** With their spaces, as they are streamed. */
const WORDS = TEXT.match(/\S+\s*/g)!;
const WORD_MS = 25;
const MODELS = ["claude-opus-4-8", "claude-sonnet-4-6", "claude-haiku-4-5"];
/** Roughly, in English and code. */
const BYTES_A_TOKEN = 4;

export interface SimulatedOptions {
  /** Of loopback; 0: a free one. */
  readonly port?: number;
  /** Between two words of a stream. */
  readonly wordMs?: number;
}

/** `close` waits for running streams. */
export function startSimulatedUpstream({ port = 0, wordMs = WORD_MS }: SimulatedOptions = {}): Promise<SimulatedUpstream> {
  const listening = Promise.withResolvers<SimulatedUpstream>();
  const server = Deno.serve({
    port,
    hostname: "127.0.0.1",
    onListen: (address) => listening.resolve({ url: `http://127.0.0.1:${address.port}`, close: () => server.shutdown() }),
  }, (request) => answer(request, wordMs));
  return listening.promise;
}

async function answer(request: Request, wordMs: number): Promise<Response> {
  const { pathname } = new URL(request.url);
  const requestId = `req_simulated_${shortId()}`;
  const headers = { "request-id": requestId };
  const route = `${request.method} ${pathname}`;
  if (route === "GET /v1/models") return Response.json(models(), { headers });
  if (route !== "POST /v1/messages" && route !== "POST /v1/messages/count_tokens") {
    return Response.json(error("not_found_error", requestId), { status: 404, headers });
  }
  const ask = await read(request);
  if (ask === null) return Response.json(error("invalid_request_error", requestId), { status: 400, headers });
  if (pathname.endsWith("/count_tokens")) return Response.json({ input_tokens: promptTokens(ask.usage) }, { headers });
  if (!ask.isStreamed) return Response.json(message(ask), { headers });
  return new Response(stream(ask, wordMs), { headers: { ...headers, "content-type": "text/event-stream; charset=utf-8" } });
}

async function read(request: Request): Promise<Ask | null> {
  const text = await request.text();
  try {
    const body = JSON.parse(text);
    if (!Array.isArray(body.messages)) return null;
    const usage = usageOf(text, { isFirstTurn: body.messages.length <= 1 });
    return { model: String(body.model), isStreamed: body.stream === true, usage };
  } catch {
    return null;
  }
}

/** A prompt with breakpoints writes to the cache in its first turn, and reads it later. */
function usageOf(body: string, { isFirstTurn }: { readonly isFirstTurn: boolean }) {
  const tokens = Math.ceil(body.length / BYTES_A_TOKEN);
  const cached = body.includes('"cache_control"') ? Math.floor(tokens * 0.9) : 0;
  const written = isFirstTurn ? cached : 0;
  return {
    input_tokens: tokens - cached,
    cache_creation_input_tokens: written,
    cache_read_input_tokens: cached - written,
    cache_creation: { ephemeral_5m_input_tokens: written, ephemeral_1h_input_tokens: 0 },
    output_tokens: Math.ceil(TEXT.length / BYTES_A_TOKEN),
    service_tier: "standard",
  };
}

function promptTokens(usage: Ask["usage"]): number {
  return usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens;
}

function message({ model, usage }: Ask) {
  return {
    id: `msg_simulated_${shortId()}`,
    type: "message",
    role: "assistant",
    model,
    content: [{ type: "text", text: TEXT }],
    stop_reason: "end_turn",
    stop_sequence: null,
    usage,
  };
}

function* events(ask: Ask): Generator<Readonly<Record<string, unknown>>> {
  const { output_tokens, ...start } = ask.usage;
  const empty = { ...message(ask), content: [], stop_reason: null, usage: { ...start, output_tokens: 1 } };
  yield { type: "message_start", message: empty };
  yield { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } };
  yield { type: "ping" };
  for (const text of WORDS) yield { type: "content_block_delta", index: 0, delta: { type: "text_delta", text } };
  yield { type: "content_block_stop", index: 0 };
  yield { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens } };
  yield { type: "message_stop" };
}

function stream(ask: Ask, wordMs: number): ReadableStream<Uint8Array> {
  const all = events(ask);
  const encoder = new TextEncoder();
  return new ReadableStream({
    pull: async (controller) => {
      const { value, done } = all.next();
      if (done === true) return controller.close();
      if (value.type === "content_block_delta") await new Promise((resolve) => setTimeout(resolve, wordMs));
      controller.enqueue(encoder.encode(`event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`));
    },
  });
}

function models() {
  const data = MODELS.map((id) => ({ type: "model", id, display_name: `${id} (simulated)`, created_at: "2026-01-01T00:00:00Z" }));
  return { data, has_more: false, first_id: MODELS[0], last_id: MODELS.at(-1) };
}

function error(type: string, requestId: string) {
  return { type: "error", error: { type, message: "The simulated upstream cannot answer this." }, request_id: requestId };
}

function shortId(): string {
  return crypto.randomUUID().replaceAll("-", "").slice(0, 20);
}
