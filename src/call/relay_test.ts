import type { Upstream as UpstreamSpoken } from "../domain/upstream.ts";
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import {
  BODY,
  type CallOptions,
  ERROR_EVENT,
  EVENTS,
  incoming,
  json,
  LiveAnswer,
  received,
  refusal,
  type Scene,
  scene,
  sceneUpstream,
  streamed,
  type Upstream,
  USAGE,
} from "../../tests/fake_calls.ts";
import { onlyCredential } from "../../tests/fake_credentials.ts";
import { waitFor } from "../../tests/wait.ts";
import { journey } from "./journey.ts";
import type { Deps } from "./deps.ts";

const ALL = EVENTS.join("");
const HALF = EVENTS.slice(0, 4).join("");

interface Ends {
  readonly upstream: Upstream;
  readonly stream?: boolean;
  /** Outcome, accuracy and error type of the row. */
  readonly row: readonly [outcome: string, accuracy: string, errorType: string | null];
  /** What the client gets. */
  readonly text: string;
  readonly isBroken?: boolean;
}

const ENDS: Readonly<Record<string, Ends>> = {
  "completed at message_stop, and drops nothing that follows it": {
    upstream: () => streamed([ALL, ": more\n\n"]),
    row: ["completed", "exact", null],
    text: ALL + ": more\n\n",
  },
  "completed at message_stop, though an error event follows in the same chunk": {
    upstream: () => streamed([ALL + ERROR_EVENT]),
    row: ["completed", "exact", null],
    text: ALL + ERROR_EVENT,
  },
  "completed at the end of a whole JSON message": {
    upstream: () => json(BODY),
    stream: false,
    row: ["completed", "exact", null],
    text: BODY,
  },
  "completed at the end of a compressed stream, which it decodes from a copy": {
    upstream: () => compressed(ALL),
    row: ["completed", "exact", null],
    text: "(gzip)",
  },
  "upstream_error at an error event, and estimates what had passed": {
    upstream: () => streamed([HALF, ERROR_EVENT]),
    row: ["upstream_error", "estimated", "overloaded_error"],
    text: HALF + ERROR_EVENT,
  },
  "upstream_error for an error status, which cost nothing": {
    upstream: () => json(`{"type":"error","error":{"type":"overloaded_error"}}`, { status: 529 }),
    row: ["upstream_error", "exact", "overloaded_error"],
    text: `{"type":"error","error":{"type":"overloaded_error"}}`,
  },
  "upstream_error for an error with a good status": {
    upstream: () => json(`{"type":"error","error":{"type":"api_error"}}`),
    row: ["upstream_error", "unknown", "api_error"],
    text: `{"type":"error","error":{"type":"api_error"}}`,
  },
  "upstream_error for the page of a gateway, which passes": {
    upstream: () => json("<html>hello</html>", { headers: { "content-type": "text/html" } }),
    row: ["upstream_error", "unknown", null],
    text: "<html>hello</html>",
  },
  "upstream_error for an answer whose status has no body": {
    upstream: () => new Response(null, { status: 204 }),
    row: ["upstream_error", "unknown", null],
    text: "",
  },
  "upstream_broke for a stream that ends cleanly before message_stop, and breaks the connection": {
    upstream: () => streamed([HALF]),
    row: ["upstream_broke", "estimated", null],
    text: HALF,
    isBroken: true,
  },
  "upstream_broke for a stream that breaks, and delivers first what had arrived": {
    upstream: ({ init }) => {
      const live = new LiveAnswer(init.signal!);
      live.write(HALF);
      setTimeout(() => live.break(), 5);
      return live.response;
    },
    row: ["upstream_broke", "estimated", null],
    text: HALF,
    isBroken: true,
  },
  "upstream_broke for JSON that is cut, without the last byte of a declared length": {
    upstream: () => json(BODY.slice(0, -1)),
    stream: false,
    row: ["upstream_broke", "unknown", null],
    text: BODY.slice(0, -2),
    isBroken: true,
  },
};

Deno.test("relay() tells the credentials of an account without credit before the client has the whole answer", async () => {
  const body = JSON.stringify({ type: "error", error: { type: "billing_error", message: "no credit" } });
  const credentials = onlyCredential("key", { outOfCredit: ({ id }) => void call.log.push(`no credit: ${id}`) });
  await using call = scene(() => json(body, { status: 402 }), { upstreams: sceneUpstream({ credentials }) });
  const request = incoming(call);
  const story = journey(request, call.deps);
  assert.equal((await received(await request.client.answerOf(story))).text, body);
  await story;
  assert.deepEqual(call.log.slice(-2), ["no credit: key-1", "closed upstream_error"]);
});

for (const [name, { upstream, stream = true, row, text, isBroken = false }] of Object.entries(ENDS)) {
  Deno.test(`relay() closes a row as ${name}`, async () => {
    await using call = scene(upstream);
    const answer = await told(incoming(call, { stream }), call.deps);
    if (text === "(gzip)") assert.deepEqual(new Uint8Array(await answer.arrayBuffer()), new Uint8Array(gzipSync(ALL)));
    else assert.deepEqual(await received(answer), { text, isBroken });
    assert.deepEqual(endOf(call), row);
  });
}

Deno.test("relay() refuses an empty answer with a good status with upstream_unreachable, and closes the row as upstream_broke", async () => {
  await using call = scene(() => json(""));
  await assert.rejects(told(incoming(call), call.deps), refusal("upstream_unreachable"));
  assert.deepEqual(endOf(call), ["upstream_broke", "unknown", null]);
});

Deno.test("relay() refuses an answer without a body with ledger_unavailable if its close cannot be committed", async () => {
  await using call = scene(() => new Response(null, { status: 204 }));
  call.fail("close");
  await assert.rejects(told(incoming(call), call.deps), refusal("ledger_unavailable"));
});

Deno.test("relay() cancels the upstream at once if the client of a stream leaves, closes the row as client_left and estimates the output", async () => {
  for (const leave of ["signal", "body"] as const) {
    const { call, live, answer } = await halfway({ stream: true });
    await using _ = call;
    const reader = answer.body!.getReader();
    await reader.read();
    if (leave === "signal") call.client.abort();
    else await reader.cancel();
    await live.cancelled;
    await call.deps.traffic.idle();
    assert.deepEqual(endOf(call), ["client_left", "estimated", null]);
    assert.equal(call.closings[0]!.reading.inputTokens, USAGE.input_tokens);
    if (leave === "signal") await reader.cancel();
  }
});

Deno.test("relay() reads an unstreamed answer on after its client left, and closes the row as client_left with exact counts", async () => {
  const { call, live, answer } = await halfway({ stream: false });
  await using _ = call;
  await answer.body!.cancel();
  call.client.abort();
  live.write(BODY.slice(20));
  assert.deepEqual(call.closings, []);
  live.end();
  await call.deps.traffic.idle();
  assert.deepEqual(endOf(call), ["client_left", "exact", null]);
});

Deno.test("relay() reads an unstreamed answer on for a bounded time only", async () => {
  const { call, live, answer } = await halfway({ stream: false }, { drainAfterLeftMs: 1 });
  await using _ = call;
  await answer.body!.cancel();
  call.client.abort();
  await live.cancelled;
  await call.deps.traffic.idle();
  assert.deepEqual(endOf(call), ["client_left", "unknown", null]);
});

Deno.test("relay() reads a stream on after its client left if the upstream bills it in full, for a bounded time", async () => {
  const { call, live, answer } = await halfway({ stream: true }, { readOnMs: 3_600_000 });
  await using _ = call;
  await answer.body!.cancel();
  call.client.abort();
  live.write(ALL.slice(HALF.length));
  live.end();
  await call.deps.traffic.idle();
  assert.deepEqual(endOf(call), ["client_left", "exact", null]);
  assert.equal(call.closings[0]!.reading.outputTokens, USAGE.output_tokens);
  const late = await halfway({ stream: true }, { readOnMs: 1 });
  await using _late = late.call;
  await late.answer.body!.cancel();
  late.call.client.abort();
  await late.live.cancelled;
  await late.call.deps.traffic.idle();
  assert.deepEqual(endOf(late.call), ["client_left", "estimated", null]);
});

Deno.test("relay() keeps the outcome completed if the client leaves after message_stop", async () => {
  const { call, live, answer } = await halfway({ stream: true });
  await using _ = call;
  const reader = answer.body!.getReader();
  live.write(ALL.slice(HALF.length));
  for (let text = ""; !text.includes("message_stop");) text += new TextDecoder().decode((await reader.read()).value);
  call.client.abort();
  await reader.cancel();
  await live.cancelled;
  assert.deepEqual(endOf(call), ["completed", "exact", null]);
});

Deno.test("relay() breaks a stream whose upstream stays silent, and closes the row as upstream_broke", async () => {
  const { call, answer } = await halfway({ stream: true }, { idleMs: 5 });
  await using _ = call;
  assert.deepEqual(await received(answer), { text: HALF, isBroken: true });
  assert.deepEqual(endOf(call), ["upstream_broke", "estimated", null]);
});

Deno.test("relay() breaks a stream that the proxy cuts, and closes the row as proxy_cut", async () => {
  const { call, answer } = await halfway({ stream: true });
  await using _ = call;
  const reader = answer.body!.getReader();
  await reader.read();
  call.deps.traffic.cut();
  await call.deps.traffic.idle();
  assert.deepEqual(endOf(call), ["proxy_cut", "estimated", null]);
  await assert.rejects(reader.read());
});

Deno.test("relay() passes no byte that comes after the cut, which the row does not know", async () => {
  const deaf = new LiveAnswer(new AbortController().signal);
  await using call = scene(() => deaf.response);
  deaf.write(HALF);
  const reader = (await told(incoming(call, { stream: true }), call.deps)).body!.getReader();
  await reader.read();
  call.deps.traffic.cut();
  deaf.write(ALL.slice(HALF.length));
  deaf.end();
  await assert.rejects(reader.read());
  assert.deepEqual(endOf(call), ["proxy_cut", "estimated", null]);
});

Deno.test("relay() closes the row of a call that is cut while its client does not read", async () => {
  const { call, answer } = await halfway({ stream: true });
  await using _ = call;
  call.deps.traffic.cut();
  await call.deps.traffic.idle();
  assert.equal(endOf(call)[0], "proxy_cut");
  assert.equal((await received(answer)).isBroken, true);
});

const CRLF_HALF = HALF.replaceAll("\n", "\r\n");
const PLAIN = { "content-type": "text/event-stream" };
/** What the upstream sends before it breaks off, and whether our error event follows it. */
const BROKEN_STREAMS: Readonly<
  Record<string, { readonly sends: string; readonly tells: boolean; readonly headers?: Readonly<Record<string, string>> }>
> = {
  "tells a client after a whole event": { sends: HALF, tells: true },
  "tells a client after a whole event with CRLF lines": { sends: CRLF_HALF, tells: true },
  "tells a client nothing after one byte less than an event": { sends: HALF.slice(0, -1), tells: false },
  "tells a client nothing after one byte less than an event with CRLF lines": { sends: CRLF_HALF.slice(0, -1), tells: false },
  "tells a client nothing after one line of an event": { sends: `${HALF}event: ping\n`, tells: false },
  "tells a client nothing after one CRLF line of an event": { sends: `${CRLF_HALF}event: ping\r\n`, tells: false },
  "tells a client nothing after message_stop": { sends: ALL, tells: false },
  "tells a client nothing after the upstream's own error event": { sends: HALF + ERROR_EVENT, tells: false },
  "tells a client nothing in JSON": { sends: `{\n\n`, tells: false, headers: { "content-type": "application/json" } },
  "tells a client nothing in an answer with a length, which our event would fill up": {
    sends: HALF,
    tells: false,
    headers: { ...PLAIN, "content-length": String(HALF.length + 50) },
  },
};
for (const [name, { sends, tells, headers = PLAIN }] of Object.entries(BROKEN_STREAMS)) {
  for (const brokenStream of ["event", "reset"] as const) {
    Deno.test(`relay() of a stream that breaks, in mode ${brokenStream}: ${brokenStream === "event" ? name : "tells a client nothing"} (${name})`, async () => {
      const upstream: Upstream = ({ init }) => {
        const live = new LiveAnswer(init.signal!, { headers });
        live.write(sends);
        setTimeout(() => live.break(), 5);
        return live.response;
      };
      await using call = scene(upstream, { brokenStream });
      const { text, isBroken } = await received(await told(incoming(call, { stream: true }), call.deps));
      assert.ok(isBroken);
      assert.ok(text.startsWith(sends), text);
      const own = text.slice(sends.length);
      if (tells && brokenStream === "event") {
        assert.match(own, /^event: error\ndata: \{"type":"error",.*"request_id":"ar-.*\}\n\n$/);
      } else assert.equal(own, "");
    });
  }
}

for (const [part, tells] of [[HALF, true], [HALF.slice(0, -20), false]] as const) {
  Deno.test(`relay() whose commit fails ${tells ? "tells" : "does not tell"} a client that has ${tells ? "whole events" : "half of an event"}`, async () => {
    const live = new LiveAnswer(new AbortController().signal);
    await using call = scene(() => live.response, { brokenStream: "event" });
    call.fail("close");
    live.write(part);
    const reader = (await told(incoming(call, { stream: true }), call.deps)).body!.getReader();
    assert.equal(new TextDecoder().decode((await reader.read()).value), part);
    live.write(ALL.slice(part.length));
    const rest = reader.read().then(({ value }) => new TextDecoder().decode(value), () => "");
    assert.match(await rest, tells ? /^event: error\n/ : /^$/);
    await assert.rejects(reader.read());
  });
}

Deno.test("relay() has what a stream made claimed while the stream still runs, once, and again at its end if that failed", async () => {
  const block = (id: string) => {
    const content = { type: "bash_code_execution_result", content: [{ type: "bash_code_execution_output", file_id: id }] };
    const result = { type: "bash_code_execution_tool_result", tool_use_id: "srvtoolu_1", content };
    return `event: content_block_start\ndata: ${
      JSON.stringify({ type: "content_block_start", index: 0, content_block: result })
    }\n\n`;
  };
  for (const fails of [false, true]) {
    const live = new LiveAnswer(new AbortController().signal);
    let failed = 0;
    await using call = scene(() => live.response);
    const claim: Deps["owners"]["claim"] = (owned) =>
      fails && failed++ === 0 ? Promise.reject(new Error("not now")) : call.deps.owners.claim(owned);
    const answer = received(
      await told(incoming(call, { stream: true }), { ...call.deps, owners: { ...call.deps.owners, claim } }),
    );
    live.write(HALF + block("file_early"));
    if (fails) await waitFor(() => failed > 0, { what: "the claim that fails" });
    else await waitFor(() => call.claims.length === 1, { what: "the early claim" });
    assert.deepEqual(call.closings, []);
    live.write(ALL.slice(HALF.length));
    live.end();
    assert.equal((await answer).isBroken, false);
    assert.deepEqual(call.claims.map(({ id, kind }) => [id, kind]), [["file_early", "file"]]);
  }
});

Deno.test("relay() measures the time to the first content, not to the first byte", async () => {
  let clock = 0;
  const answers = Promise.withResolvers<LiveAnswer>();
  const upstream: Upstream = ({ init }) => {
    const live = new LiveAnswer(init.signal!);
    answers.resolve(live);
    return live.response;
  };
  await using call = scene(upstream, { elapsed: () => clock });
  const answer = await told({ ...incoming(call, { stream: true }), arrivedAt: 0 }, call.deps);
  const [live, reader] = [await answers.promise, answer.body!.getReader()];
  const steps = [[100, EVENTS[0]!], [250, EVENTS.slice(1, 4).join("")], [400, EVENTS.slice(4).join("")]] as const;
  for (const [at, text] of steps) {
    clock = at;
    live.write(text);
    await reader.read();
  }
  live.end();
  await reader.read();
  assert.deepEqual([call.closings[0]!.ttft, call.closings[0]!.duration], [250, 400]);
});

/** A call of whose answer a part has come. */
async function halfway(options: CallOptions & { readonly stream: boolean }, over: Partial<UpstreamSpoken> = {}) {
  const answers = Promise.withResolvers<LiveAnswer>();
  const upstream: Upstream = ({ init }) => {
    const type = options.stream ? "text/event-stream" : "application/json";
    const live = new LiveAnswer(init.signal!, { headers: { "content-type": type } });
    live.write(options.stream ? HALF : BODY.slice(0, 20));
    answers.resolve(live);
    return live.response;
  };
  const call = scene(upstream, { upstreams: sceneUpstream(over) });
  const answer = await told(incoming(call, options), call.deps);
  return { call, answer, live: await answers.promise };
}

function compressed(text: string): Response {
  const headers = { "content-type": "text/event-stream", "content-encoding": "gzip" };
  const bytes = new Uint8Array(gzipSync(text));
  const body = new ReadableStream({
    type: "bytes",
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
  return new Response(body, { headers });
}

function endOf({ closings, deps }: Scene) {
  assert.equal(closings.length, 1);
  assert.deepEqual([deps.traffic.inFlight, deps.budget.heldBytes], [0, 0]);
  const { outcome, accuracy, reading } = closings[0]!;
  return [outcome, accuracy, reading.errorType];
}

/** The answer as the client gets it; rejects as the story does before it. */
function told(call: ReturnType<typeof incoming>, deps: Deps): Promise<Response> {
  return call.client.answerOf(journey(call, deps));
}
