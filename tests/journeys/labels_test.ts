import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { bytesOf, cut, eventStream, failing, heldBefore, messageTo, type SeenCall } from "../fake_answers.ts";
import { messageBody, messageEvents, sse, usageOf } from "../fake_messages.ts";
import { messageCall, type ProxyUnderTest, received, type Row, startProxy } from "../proxy_under_test.ts";
import { RawConnection, type RawReply } from "../raw_connection.ts";
import { clientOf, saying, SDKS } from "../sdk_clients.ts";
import { gate, waitFor } from "../wait.ts";

const TEXT = "What are you?";
const USAGE = usageOf(TEXT);
const FORMS = ["events", "json"] as const;
type Form = (typeof FORMS)[number];
const LABELS: readonly (string | null)[] = ["application/json", "text/event-stream; charset=utf-8", "text/plain", null];

function textOf(form: Form, call: SeenCall): string {
  return form === "events" ? messageEvents(messageTo(call)).join("") : JSON.stringify(messageBody(messageTo(call)));
}

function labelled(label: string | null): Readonly<Record<string, string>> {
  return label === null ? {} : { "content-type": label };
}

/** The first bytes one by one, then the rest. */
function inPieces(bytes: Uint8Array): readonly Uint8Array[] {
  return [...cut(bytes.subarray(0, 24), 1), bytes.subarray(24)];
}

Deno.test("the proxy passes an answer whole and meters it by what it is, whatever its label, coding and chunks; a cut one breaks", async () => {
  await using proxy = await startProxy();
  using caller = await rawCaller(proxy);
  for (const form of FORMS) {
    for (const label of LABELS) {
      for (const isCompressed of [false, true]) {
        for (const isCut of [false, true]) {
          for (const isInPieces of [false, true]) {
            const where = JSON.stringify({ form, label, isCompressed, isCut, isInPieces });
            let sent: Uint8Array = new Uint8Array();
            proxy.upstream.answer((call) => {
              const plain = bytesOf([textOf(form, call)]);
              const coded = isCompressed ? new Uint8Array(gzipSync(plain)) : plain;
              sent = isCut ? coded.subarray(0, coded.length * 0.8) : coded;
              const headers = { ...labelled(label), ...(isCompressed ? { "content-encoding": "gzip" } : {}) };
              return { headers, body: isInPieces ? inPieces(sent) : [sent], framing: "chunked" };
            });
            const { reply, row } = await caller({ isStreamed: form === "events" });
            assert.deepEqual([...reply.body], [...sent], where);
            assert.equal(reply.isBroken, isCut, where);
            assert.equal(reply.headers.get("content-type") ?? null, label, where);
            if (isCut) assert.equal(row.outcome, "upstream_broke", where);
            else {
              assert.deepEqual(
                [row.outcome, row.accuracy, row.output_tokens],
                ["completed", "exact", USAGE.output_tokens],
                where,
              );
              assert.equal(row.input_tokens, USAGE.input_tokens, where);
              assert.ok(row.cost !== null, where);
            }
          }
        }
      }
    }
  }
});

Deno.test("the proxy reads an answer whose content-encoding is a slip, and breaks it if it is cut", async () => {
  await using proxy = await startProxy();
  using caller = await rawCaller(proxy);
  for (const form of FORMS) {
    for (
      const [coding, isCompressed] of [["gzip", false], ["br", false], ["zzz", false], ["utf-8", false], [null, true]] as const
    ) {
      for (const isCut of [false, true]) {
        const where = JSON.stringify({ form, coding, isCompressed, isCut });
        let sent: Uint8Array = new Uint8Array();
        proxy.upstream.answer((call) => {
          const plain = bytesOf([textOf(form, call)]);
          const bytes = isCompressed ? new Uint8Array(gzipSync(plain)) : plain;
          sent = isCut ? bytes.subarray(0, bytes.length * 0.8) : bytes;
          return { headers: coding === null ? {} : { "content-encoding": coding }, body: [sent], framing: "chunked" };
        });
        const { reply, row } = await caller({ isStreamed: form === "events" });
        assert.deepEqual([...reply.body], [...sent], where);
        assert.deepEqual([reply.isBroken, row.outcome], isCut ? [true, "upstream_broke"] : [false, "completed"], where);
        if (!isCut) assert.deepEqual([row.accuracy, row.output_tokens], ["exact", USAGE.output_tokens], where);
      }
    }
  }
});

Deno.test("the proxy records JSON that is no message as an error, counts beyond all numbers as absurd, and an empty answer as a 502", async () => {
  await using proxy = await startProxy();
  using caller = await rawCaller(proxy);
  for (const text of ['{"message":"no Route matched"}', '{"error":"rate limited"}', "{}", '{"object":"chat.completion"}']) {
    proxy.upstream.answer(() => ({ headers: labelled("application/json"), body: [bytesOf([text])], framing: "chunked" }));
    const { reply, row } = await caller({ isStreamed: false });
    assert.deepEqual([reply.isBroken, row.outcome, row.accuracy], [false, "upstream_error", "unknown"], text);
  }
  const absurd = '{"type":"message","model":"m","usage":{"input_tokens":1,"output_tokens":1,"cache_read_input_tokens":1e400}}';
  proxy.upstream.answer(() => ({ headers: labelled("application/json"), body: [bytesOf([absurd])], framing: "chunked" }));
  const { row } = await caller({ isStreamed: false });
  assert.deepEqual([row.accuracy, row.error_type, row.cost], ["unknown", "absurd_usage", null]);
  proxy.upstream.answer({ headers: labelled("application/json"), body: [], framing: "length" });
  const empty = await caller({ isStreamed: false });
  assert.deepEqual([empty.reply.status, empty.row.outcome], [502, "upstream_broke"]);
});

Deno.test("the proxy reads an answer behind a byte order mark and white space, and one of known length", async () => {
  await using proxy = await startProxy();
  using caller = await rawCaller(proxy);
  for (const form of FORMS) {
    for (const before of ["\ufeff", "\r\n \t\n", "\ufeff\n\n"]) {
      for (const framing of ["chunked", "length", "close"] as const) {
        for (const label of LABELS) {
          proxy.upstream.answer((call) => ({ headers: labelled(label), body: before + textOf(form, call), framing }));
          const { reply, row } = await caller({ isStreamed: form === "events" });
          const where = JSON.stringify({ form, before, framing, label });
          assert.deepEqual([reply.isBroken, row.outcome, row.accuracy], [false, "completed", "exact"], where);
          assert.equal(new TextDecoder("utf-8", { ignoreBOM: true }).decode(reply.body).slice(0, before.length), before);
        }
      }
    }
  }
});

for (const label of ["application/json", null]) {
  Deno.test(`the proxy passes the events of a stream labelled ${label} as they come`, async () => {
    await using proxy = await startProxy();
    const rest = gate();
    proxy.upstream.answer((call) => ({
      ...eventStream(heldBefore(messageEvents(messageTo(call)), { number: 1, until: rest.passed })),
      headers: labelled(label),
    }));
    const answer = await fetch(
      `${proxy.url}/v1/messages`,
      messageCall(await proxy.token(), {
        ...{ text: TEXT, stream: true, signal: AbortSignal.timeout(10_000) },
      }),
    );
    const got = await received(answer, (text) => text.includes("message_start") && rest.open());
    assert.match(got.text, /message_stop/);
  });
}

const ERROR = { type: "error", error: { type: "overloaded_error", message: "too much" }, request_id: "req_1" };
const ERROR_BODY = JSON.stringify(ERROR);

Deno.test("the proxy records an error with status 200 alike as JSON and as an event, whatever its label: upstream_error and its type", async () => {
  await using proxy = await startProxy();
  using caller = await rawCaller(proxy);
  for (const body of [ERROR_BODY, sse("error", ERROR), `data: ${ERROR_BODY}\n\n`]) {
    for (const label of LABELS) {
      for (const isStreamed of [false, true]) {
        proxy.upstream.answer({ headers: labelled(label), body });
        const { reply, row } = await caller({ isStreamed });
        const where = JSON.stringify({ body, label, isStreamed });
        assert.deepEqual([reply.isBroken, new TextDecoder().decode(reply.body)], [false, body], where);
        assert.deepEqual([row.outcome, row.status, row.error_type], ["upstream_error", 200, "overloaded_error"], where);
        // Whether it was charged the answer does not say.
        assert.deepEqual([row.accuracy, row.cost], ["unknown", null], where);
      }
    }
  }
});

Deno.test("the proxy keeps the first of an error and message_stop, in one chunk or in many", async () => {
  await using proxy = await startProxy();
  using caller = await rawCaller(proxy);
  const error = sse("error", ERROR);
  for (const isInPieces of [false, true]) {
    for (
      const [isErrorFirst, outcome, errorType] of [[true, "upstream_error", "overloaded_error"], [
        false,
        "completed",
        null,
      ]] as const
    ) {
      proxy.upstream.answer((call) => {
        const events = messageEvents(messageTo(call));
        const all = isErrorFirst ? [...events.slice(0, -1), error, events.at(-1)!] : [...events, error];
        return eventStream(isInPieces ? all : all.join(""));
      });
      const { reply, row } = await caller({ isStreamed: true });
      assert.deepEqual([reply.isBroken, row.outcome, row.error_type, row.accuracy], [false, outcome, errorType, "exact"]);
    }
  }
});

const PAGE = "<!DOCTYPE html>\n<title>Sign in to the guest network</title>\n<p>data: none</p>\n";

Deno.test("the proxy passes a page that is no answer, with status 200, and records that no message was served", async () => {
  await using proxy = await startProxy();
  using caller = await rawCaller(proxy);
  for (const label of ["text/html; charset=utf-8", "text/plain", null]) {
    for (const isStreamed of [false, true]) {
      for (const framing of ["length", "chunked", "close"] as const) {
        proxy.upstream.answer({ headers: labelled(label), body: PAGE, framing });
        const { reply, row } = await caller({ isStreamed });
        assert.deepEqual([reply.isBroken, new TextDecoder().decode(reply.body)], [false, PAGE]);
        assert.deepEqual([row.outcome, row.status, row.accuracy, row.cost], ["upstream_error", 200, "unknown", null]);
      }
    }
  }
});

Deno.test("the proxy breaks an empty answer with status 200 by its label or by what was asked for, and passes an empty page", async () => {
  await using proxy = await startProxy();
  using caller = await rawCaller(proxy);
  for (
    const [label, outcome] of [[null, "upstream_broke"], ["text/event-stream", "upstream_broke"], [
      "text/html",
      "upstream_error",
    ]] as const
  ) {
    for (const isStreamed of [false, true]) {
      proxy.upstream.answer({ headers: labelled(label), body: [], framing: "chunked" });
      const { reply, row } = await caller({ isStreamed });
      assert.deepEqual([reply.isBroken, row.outcome, row.accuracy], [outcome === "upstream_broke", outcome, "unknown"]);
    }
  }
});

Deno.test("the proxy passes errors whole whatever they are labelled and are, and keeps the type that they name", async () => {
  await using proxy = await startProxy();
  using caller = await rawCaller(proxy);
  for (const status of [404, 429, 502, 529]) {
    for (const [body, isTyped] of [[undefined, true], [PAGE, false], ["", false], ['{"type":"err', false]] as const) {
      for (const label of LABELS) {
        proxy.upstream.answer((call) => {
          const { headers: _, ...error } = failing(status)(call);
          return { ...error, headers: labelled(label), ...(body === undefined ? {} : { body }) };
        });
        const { reply, row } = await caller({ isStreamed: status % 2 === 0 });
        const where = JSON.stringify({ status, body, label });
        assert.deepEqual([reply.status, reply.isBroken], [status, false], where);
        assert.deepEqual([row.outcome, row.accuracy, row.error_type !== null], ["upstream_error", "exact", isTyped], where);
      }
    }
  }
});

for (const { name, Sdk } of SDKS) {
  Deno.test(`${name} takes a stream and a message of any label through the proxy as it does from the upstream itself`, async () => {
    await using proxy = await startProxy();
    const token = await proxy.token();
    const through = clientOf(Sdk, { url: proxy.url, token }).client;
    const straight = clientOf(Sdk, { url: proxy.upstream.url, token }).client;
    for (const label of LABELS) {
      proxy.upstream.answer((call) => {
        const form = (call.json() as { stream?: boolean }).stream === true ? "events" : "json";
        // One id for both, so that all can be compared.
        return { headers: labelled(label), body: textOf(form, { ...call, json: () => call.json(), messageId: "msg_same" }) };
      });
      const streams = [through, straight].map((client) => client.messages.stream(saying(TEXT)).finalMessage());
      const [ours, theirs] = await Promise.all(streams);
      assert.deepEqual(ours, theirs);
      assert.equal(ours!.usage.output_tokens, USAGE.output_tokens);
      const messages = await Promise.all([through, straight].map((client) => client.messages.create(saying(TEXT))));
      assert.deepEqual(messages[0], messages[1]);
    }
    const rows = await proxy.closedRows(2 * LABELS.length);
    for (const row of rows) {
      assert.deepEqual([row.outcome, row.accuracy, row.output_tokens], ["completed", "exact", USAGE.output_tokens]);
    }
  });
}

type Caller = Disposable & ((ask: { readonly isStreamed: boolean }) => Promise<{ readonly reply: RawReply; readonly row: Row }>);

/** Calls one after the other on a connection that shows every byte, and finds each call's row. */
async function rawCaller(proxy: ProxyUnderTest): Promise<Caller> {
  const connection = new RawConnection(proxy.url);
  const token = await proxy.token();
  let count = 0;
  async function call({ isStreamed }: { readonly isStreamed: boolean }) {
    const body = new TextEncoder().encode(String(messageCall(token, { text: TEXT, stream: isStreamed }).body));
    const headers = [["host", new URL(proxy.url).host], ["x-api-key", token], ["content-length", String(body.length)]] as const;
    const reply = await connection.send({ method: "POST", target: "/v1/messages", headers, body });
    const number = count++;
    const row = await waitFor(() => {
      const found = proxy.rows()[number];
      return found !== undefined && found.outcome !== null && found;
    }, { what: `the row of call ${number}` });
    return { reply, row };
  }
  return Object.assign(call, { [Symbol.dispose]: () => connection[Symbol.dispose]() });
}
