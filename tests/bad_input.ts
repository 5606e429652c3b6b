/**
 * A proxy that is shown bad input: it must answer clearly, leak nothing, lose nothing, and serve
 * the next call.
 */
import assert from "node:assert/strict";
import { failing, type SeenCall } from "./fake_answers.ts";
import { usageOf } from "./fake_messages.ts";
import { messageCall, OPERATOR_KEY, type ProxyUnderTest, type Row } from "./proxy_under_test.ts";
import { type Pieces, type RawAnswer, rawCall, rawRequest } from "./raw_http.ts";
import { waitFor } from "./wait.ts";

/** Text that would do harm if code put it into a statement. It is legal in a header. */
export const SQL = `x'); DROP TABLE usage; DELETE FROM traces WHERE ''='"`;

/**
 * What must become of it. `refused`: our own no, in Anthropic's error JSON. `malformed`: the
 * runtime refuses it before the program sees it, with an empty 400 or 431, or breaks off where the
 * body's framing is broken. `passed`: the upstream sees it once, and where it is billed there is
 * one row, which holds that.
 */
export type Expected =
  | { readonly kind: "refused"; readonly status: number; readonly type: string }
  | {
    readonly kind: "passed";
    readonly status: number;
    /** Null where the call is not billed. */
    readonly row: Readonly<Record<string, unknown>> | null;
    readonly seen?: (call: SeenCall) => void;
  };

export interface BadInput {
  /** As the sentence "the proxy is not harmed by …" goes on. */
  readonly name: string;
  readonly send: Pieces;
  readonly expects: Expected;
  /** The client closes its side for writing behind the last piece. */
  readonly isHalfClosed?: boolean;
  /**
   * The route passes bodies on as they come: the upstream may see a call begin, and then break off.
   */
  readonly mayBegin?: boolean;
}

export const NOT_FOUND: Expected = { kind: "refused", status: 404, type: "not_found_error" };
export const MALFORMED: Expected = { kind: "refused", status: 400, type: "invalid_request_error" };
export const HEAD_TOO_LARGE: Expected = { kind: "refused", status: 431, type: "request_too_large" };

/** Marks of our inside: a stack, a file, a statement, an exception. */
const LEAKS = [
  /\.ts\b/,
  /\n\s+at /,
  /file:/,
  /node:/,
  /\b(SELECT|INSERT|UPDATE)\b/,
  /sqlite/i,
  /Error:/,
  /\/(tmp|home|root|var)\//,
];

export class Stand {
  readonly proxy: ProxyUnderTest;
  readonly token: string;
  /** By row id: the text of a good call, null for a bad one that was billed. */
  readonly #billed = new Map<string, string | null>();

  constructor(proxy: ProxyUnderTest, token: string) {
    this.proxy = proxy;
    this.token = token;
    proxy.upstream.answer((call) => call.method === "POST" && call.json() === null ? failing(400)(call) : "default");
  }

  /** A request with the headers that a good one has, and those lines behind them. */
  request(
    { line = "POST /v1/messages HTTP/1.1", lines = [], body = "" }: {
      readonly line?: string;
      readonly lines?: readonly string[];
      readonly body?: string | Uint8Array;
    },
  ): Pieces {
    const { host } = new URL(this.proxy.url);
    const own = [`Host: ${host}`, `x-api-key: ${this.token}`, "anthropic-version: 2023-06-01"];
    return rawRequest(line, { lines: [...own, ...lines], body });
  }

  /** Shows it to the proxy, checks what came of it, and that the next call is served. */
  async show({ send, expects, isHalfClosed = false, mayBegin = false }: BadInput): Promise<RawAnswer | null> {
    const { upstream, url } = this.proxy;
    const seenBefore = upstream.calls.length;
    const [answer = null, ...more] = await rawCall(url, send, { isHalfClosed });
    assert.deepEqual(more, []);
    if (answer !== null) this.assertNoLeak(answer.text);
    const seen = upstream.calls.slice(seenBefore);
    assert.deepEqual(upstream.malformed, []);
    if (expects.kind === "passed") {
      assert.equal(answer?.status, expects.status, answer?.text);
      assert.equal(seen.length, 1);
      expects.seen?.(seen[0]!);
      if (expects.row !== null) await this.#assertRow(answer.headers.get("x-llmproxy-request-id")!, expects.row);
    } else {
      if (mayBegin) await waitFor(() => seen.every((call) => call.closedAt !== null), { what: "the call to break off" });
      assert.deepEqual(seen.filter((call) => !mayBegin || call.isWhole).map((call) => call.target), []);
      assertRefusal(answer, expects);
    }
    await this.serves();
    return answer;
  }

  /** A good call is answered whole. */
  async serves(): Promise<void> {
    const text = "good ".repeat(1 + this.#billed.size);
    const answer = await fetch(`${this.proxy.url}/v1/messages`, messageCall(this.token, { text }));
    const body = await answer.text();
    assert.equal(answer.status, 200, body);
    assert.deepEqual(JSON.parse(body).usage, usageOf(text));
    this.#billed.set(answer.headers.get("x-llmproxy-request-id")!, text);
  }

  /**
   * Every call that was billed has its one row, the good ones with their exact counts, and there
   * are no other rows.
   */
  async lostNothing(): Promise<void> {
    const rows = await this.proxy.closedRows(this.#billed.size);
    assert.deepEqual(rows.map((row) => row.id).toSorted(), [...this.#billed.keys()].toSorted());
    for (const row of rows) {
      const text = this.#billed.get(String(row.id))!;
      if (text !== null) assertExact(row, text);
    }
  }

  assertNoLeak(text: string): void {
    const { upstream, dataDir } = this.proxy;
    for (const secret of [OPERATOR_KEY, this.token, dataDir, new URL(upstream.url).host]) assert.ok(!text.includes(secret), text);
    for (const leak of LEAKS) assert.doesNotMatch(text, leak);
  }

  async #assertRow(id: string, expected: Readonly<Record<string, unknown>>): Promise<void> {
    this.#billed.set(id, null);
    const row = (await this.proxy.closedRows(this.#billed.size)).find((row) => row.id === id);
    assert.ok(row !== undefined, `there is no row ${id}`);
    assert.deepEqual(Object.fromEntries(Object.keys(expected).map((column) => [column, row[column]])), expected);
  }
}

export function assertExact(row: Row, text: string): void {
  const usage = usageOf(text);
  const { outcome, accuracy, status, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens } = row;
  assert.deepEqual({
    outcome,
    accuracy,
    status,
    input_tokens,
    output_tokens,
    cache_creation_input_tokens,
    cache_read_input_tokens,
  }, {
    outcome: "completed",
    accuracy: "exact",
    status: 200,
    input_tokens: usage.input_tokens,
    output_tokens: usage.output_tokens,
    cache_creation_input_tokens: usage.cache_creation_input_tokens,
    cache_read_input_tokens: usage.cache_read_input_tokens,
  });
}

/** Our own no: Anthropic's shape, its request id in body and header, and a word on asking again. */
export function assertRefusal(
  answer: {
    readonly status: number;
    readonly body: string;
    readonly headers: { get(name: string): string | null | undefined; has(name: string): boolean };
  } | null,
  { status, type }: { readonly status: number; readonly type: string },
): void {
  assert.ok(answer !== null, "there is no answer");
  assert.equal(answer.status, status, answer.body);
  const { error, ...rest } = JSON.parse(answer.body);
  assert.deepEqual(rest, { type: "error", request_id: answer.headers.get("x-llmproxy-request-id") });
  assert.equal(error.type, type);
  assert.match(error.message, /^\S.*\.?$/);
  const mayRetry = answer.headers.has("retry-after");
  assert.equal(answer.headers.get("x-should-retry") ?? null, mayRetry ? null : "false");
  assert.equal(mayRetry, [408, 503, 502, 504].includes(status));
}
