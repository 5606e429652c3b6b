import assert from "node:assert/strict";
import { assertRefusal } from "../bad_input.ts";
import { type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { rawCall } from "../raw_http.ts";
import { waitFor } from "../wait.ts";

interface Sent {
  readonly text: string;
  readonly fault: string;
  readonly status: number;
  readonly type: string;
  readonly isHalfClosed?: boolean;
}

const MALFORMED = { fault: "head_malformed", status: 400, type: "invalid_request_error" } as const;
const TOO_LARGE = { fault: "head_too_large", status: 431, type: "request_too_large" } as const;
const TIMEOUT = { fault: "head_timeout", status: 408, type: "timeout_error" } as const;
const UNKNOWN = { fault: "path_unknown", status: 404, type: "not_found_error" } as const;
const STRANGER = { fault: "unauthenticated", status: 401, type: "authentication_error" } as const;
const CUT = { fault: "body_cut", status: 400, type: "invalid_request_error" } as const;

const HOST = "Host: proxy";
const UPGRADE = "Connection: Upgrade, HTTP2-Settings";

/** By what the client sent. `TOKEN` becomes a good token. */
const SENT: Readonly<Record<string, Sent>> = {
  "words that are no request": { ...MALFORMED, text: "let me in\r\n\r\n" },
  "a method in small letters": { ...MALFORMED, text: `get / HTTP/1.1\r\n${HOST}\r\n\r\n` },
  "a version that there is not": { ...MALFORMED, text: `GET / HTTP/1.9\r\n${HOST}\r\n\r\n` },
  "a target with a space": { ...MALFORMED, text: `GET /a b HTTP/1.1\r\n${HOST}\r\n\r\n` },
  "a header without a colon": { ...MALFORMED, text: `GET / HTTP/1.1\r\n${HOST}\r\nnocolon\r\n\r\n` },
  "a header's name with a space": { ...MALFORMED, text: `GET / HTTP/1.1\r\n${HOST}\r\na b: c\r\n\r\n` },
  "a header with a NUL": { ...MALFORMED, text: `GET / HTTP/1.1\r\n${HOST}\r\na: \0\r\n\r\n` },
  "a folded header": { ...MALFORMED, text: `GET / HTTP/1.1\r\n${HOST}\r\na: b\r\n c\r\n\r\n` },
  "a length that is no number": { ...MALFORMED, text: `POST / HTTP/1.1\r\n${HOST}\r\nContent-Length: x\r\n\r\n` },
  "a length beside chunks": {
    ...MALFORMED,
    text: `POST / HTTP/1.1\r\n${HOST}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  },
  "the preface of HTTP/2": { ...MALFORMED, text: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },
  "a hello of TLS": { ...MALFORMED, text: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" },
  "half of a head, and its end": { ...MALFORMED, text: "GET / HTTP/1.1\r\nHos", isHalfClosed: true },
  "half of a head, and then nothing": { ...TIMEOUT, text: "GET / HTTP/1.1\r\nHos" },
  "a header of 100 kB": { ...TOO_LARGE, text: `GET / HTTP/1.1\r\n${HOST}\r\na: ${"b".repeat(100_000)}\r\n\r\n` },
  "20,000 headers": { ...TOO_LARGE, text: `GET / HTTP/1.1\r\n${HOST}\r\n${"a: bcdef\r\n".repeat(20_000)}\r\n` },
  "a target of 100 kB": { ...TOO_LARGE, text: `GET /${"a".repeat(100_000)} HTTP/1.1\r\n${HOST}\r\n\r\n` },
  "2,000 headers in 20 kB and no token": {
    ...STRANGER,
    text: `GET /v1/models HTTP/1.1\r\n${HOST}\r\n${"a: bcdef\r\n".repeat(2_000)}\r\n`,
  },
  "CONNECT": { ...UNKNOWN, text: "CONNECT api.anthropic.com:443 HTTP/1.1\r\nHost: api.anthropic.com:443\r\n\r\n" },
  "TRACE": { ...UNKNOWN, text: `TRACE /v1/messages HTTP/1.1\r\n${HOST}\r\n\r\n` },
  "a path that there is not": { ...UNKNOWN, text: `GET /nothing HTTP/1.1\r\n${HOST}\r\n\r\n` },
  "no Host": { ...UNKNOWN, text: "GET /nothing HTTP/1.1\r\n\r\n" },
  "an unknown expectation": { ...UNKNOWN, text: `GET /nothing HTTP/1.1\r\n${HOST}\r\nExpect: wonders\r\n\r\n` },
  "HTTP/1.0 and no token": { ...STRANGER, text: "GET /v1/models HTTP/1.0\r\n\r\n" },
  "an offer of h2c and no token": {
    ...STRANGER,
    text: `GET /v1/models HTTP/1.1\r\n${HOST}\r\n${UPGRADE}\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`,
  },
  "an offer of a WebSocket and no token": {
    ...STRANGER,
    text: `GET /v1/models HTTP/1.1\r\n${HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
  },
  "a half-closed request without a token": {
    ...STRANGER,
    text: `GET /v1/models HTTP/1.1\r\n${HOST}\r\n\r\n`,
    isHalfClosed: true,
  },
  "a chunk without a size": {
    ...CUT,
    text: `POST /v1/messages HTTP/1.1\r\n${HOST}\r\nx-api-key: TOKEN\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`,
  },
  "a chunk without a size behind a good one": {
    ...CUT,
    text:
      `POST /v1/messages HTTP/1.1\r\n${HOST}\r\nx-api-key: TOKEN\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n-1\r\n}\r\n0\r\n\r\n`,
  },
  "half of a body": {
    ...CUT,
    text: `POST /v1/messages HTTP/1.1\r\n${HOST}\r\nx-api-key: TOKEN\r\nContent-Length: 10\r\n\r\n{`,
    isHalfClosed: true,
  },
};

Deno.test("the proxy itself refuses whatever a client sends: with its request id, one log line and a count", async (t) => {
  // In each second the log has ten lines of one fault.
  let later = 0;
  const elapsed = () => performance.now() + later;
  await using proxy = await startProxy({ env: { LLMPROXY_HEAD_SECONDS: "1" }, system: { elapsed } });
  const token = await proxy.token();
  const counts: Record<string, number> = {};
  for (const [what, { text, fault, isHalfClosed = false, ...answered }] of Object.entries(SENT)) {
    await t.step(`the proxy refuses ${what}`, async () => {
      later += 1_000;
      const before = await counted(proxy, fault);
      const [answer = null, ...more] = await rawCall(proxy.url, [text.replace("TOKEN", token)], { isHalfClosed });
      assert.deepEqual(more, []);
      assertRefusal(answer, answered);
      const lines = proxy.logs.map((line) => JSON.parse(line))
        .filter(({ requestId }) => requestId === answer!.headers.get("x-llmproxy-request-id"));
      assert.deepEqual(lines.map(({ msg, fault, status }) => [msg, fault, status]), [["refused", fault, answered.status]]);
      assert.equal(await counted(proxy, fault), before + 1);
      counts[fault] = (counts[fault] ?? 0) + 1;
    });
  }
  assert.deepEqual(proxy.upstream.calls, []);
  const total = Object.keys(SENT).length;
  const shown = await waitFor(async () => {
    const now = await refusals(proxy);
    return Object.values(now).reduce((sum, count) => sum + count, 0) >= total && now;
  }, { what: `${total} refusals in /internal/refusals` });
  assert.deepEqual(shown, counts);
});

/** Of the metric. */
async function counted(proxy: ProxyUnderTest, fault: string): Promise<number> {
  const line = new RegExp(`^llmproxy_refusals_total\\{fault="${fault}"\\} (\\d+)$`, "m").exec(await proxy.text("/metrics"));
  assert.ok(line !== null, `there is no counter of ${fault}`);
  return Number(line[1]);
}

/** By fault, of all sandboxes and minutes. */
async function refusals(proxy: ProxyUnderTest): Promise<Readonly<Record<string, number>>> {
  const { refusals } = await proxy.ask("/internal/refusals?limit=1000") as { refusals: { fault: string; count: number }[] };
  const byFault: Record<string, number> = {};
  for (const { fault, count } of refusals) byFault[fault] = (byFault[fault] ?? 0) + count;
  return byFault;
}
