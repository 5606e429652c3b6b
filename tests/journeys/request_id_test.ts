import assert from "node:assert/strict";
import { eventStream } from "../fake_answers.ts";
import { messageCall, type ProxyUnderTest, received, startProxy } from "../proxy_under_test.ts";
import { rawCall, rawRequest } from "../raw_http.ts";
import { gate } from "../wait.ts";

const HEADER = "x-llmproxy-request-id";
const REQUEST_ID = /^ar-[0-9A-HJKMNP-TV-Z]{26}$/;
const COUNT_TOKENS = "/v1/messages/count_tokens";

type Asked = readonly [path: string, init: RequestInit, status: number];

Deno.test("the proxy names every answer of its listener by a request id of its own: probes, calls, passages and refusals", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  const good = messageCall(token);
  const [stranger, noToken] = [messageCall("nobody's"), messageCall("")];
  const asked: readonly Asked[] = [
    ...["/healthz", "/readyz", "/api/hello"].flatMap((path): Asked[] => [[path, {}, 200], [path, { method: "HEAD" }, 200]]),
    ["/", { method: "HEAD" }, 200],
    ...["/", "/nothing", "/internal/usage", "/v1/messages"].map((path): Asked => [path, {}, path.startsWith("/v1/") ? 403 : 404]),
    ...["/healthz", "/readyz", "/api/hello"].map((path): Asked => [path, { method: "POST" }, 404]),
    ["/v1/messages", good, 200],
    ["/v1/messages", messageCall(token, { stream: true }), 200],
    [COUNT_TOKENS, good, 200],
    ["/v1/models", { headers: { authorization: `Bearer ${token}` } }, 200],
    ["/v1/models", { method: "OPTIONS" }, 403],
    ["/v1/messages", stranger, 401],
    [COUNT_TOKENS, noToken, 401],
    ["/v1/sessions", good, 403],
    ["/v1/messages/", good, 404],
  ];
  const ids = new Set<string>();
  for (const [path, init, status] of asked) ids.add(await idOf(proxy, [path, init, status]));
  assert.equal(ids.size, asked.length, "two answers have one id");
  const rows = await proxy.closedRows(2);
  assert.ok(rows.every((row) => ids.has(String(row.id))), "a row has another id than its answer");
});

Deno.test("the proxy names answers of the upstream by its own request id, whatever the upstream calls them", async () => {
  await using proxy = await startProxy();
  const call = messageCall(await proxy.token());
  for (const status of [200, 204, 302, 400, 429, 500, 529]) {
    proxy.upstream.answer({
      status,
      headers: { [HEADER]: "ar-of-the-upstream", location: "/x" },
      body: status === 204 ? "" : "{}",
    });
    await idOf(proxy, ["/v1/messages", call, status]);
    await idOf(proxy, [COUNT_TOKENS, call, status]);
  }
  proxy.upstream.answer({ status: 401, body: "{}" });
  for (const path of ["/v1/messages", COUNT_TOKENS]) await idOf(proxy, [path, call, 502]);
  proxy.upstream.answer("reset");
  for (const path of ["/v1/messages", COUNT_TOKENS]) await idOf(proxy, [path, call, 502]);
});

Deno.test("the proxy names its answers also to odd targets, to bodies that it does not read and if the token is unknown", async () => {
  await using proxy = await startProxy({ env: { LLMPROXY_AGENTSERVER_URL: "http://127.0.0.1:1" } });
  const lines = ["Host: proxy", `x-api-key: ${await proxy.token()}`, `Content-Length: ${32 * 1024 * 1024 + 1}`];
  const [tooLarge] = await rawCall(proxy.url, rawRequest("POST /v1/messages HTTP/1.1", { lines }));
  assert.equal(tooLarge?.status, 413);
  assert.match(tooLarge.headers.get(HEADER) ?? "", REQUEST_ID);
  for (
    const line of ["GET //healthz HTTP/1.1", "GET /healthz/ HTTP/1.1", "PURGE /healthz HTTP/1.1", "GET http://else/ HTTP/1.1"]
  ) {
    const [answer] = await rawCall(proxy.url, rawRequest(line, { lines: ["Host: proxy"] }));
    assert.equal(answer?.status, 404, line);
    assert.match(answer.headers.get(HEADER) ?? "", REQUEST_ID, line);
  }
  const [malformed] = await rawCall(proxy.url, rawRequest("get /healthz HTTP/1.1", { lines: ["Host: proxy"] }));
  assert.equal(malformed?.status, 400);
  assert.match(malformed.headers.get(HEADER) ?? "", REQUEST_ID);
  await idOf(proxy, ["/v1/messages", messageCall("token-of-an-agentserver"), 503]);
});

Deno.test("the proxy names its answers while it drains", async () => {
  await using proxy = await startProxy({ env: { LLMPROXY_DRAIN_LEAD_SECONDS: "60" } });
  const token = await proxy.token();
  const held = gate();
  proxy.upstream.answer(async () => {
    await held.passed;
    return eventStream("");
  });
  const running = fetch(`${proxy.url}/v1/messages`, messageCall(token, { stream: true }));
  await proxy.upstream.waitForCalls(1);
  const stopped = proxy.running.stop();
  try {
    await idOf(proxy, ["/readyz", {}, 503]);
    await idOf(proxy, ["/healthz", {}, 200]);
    await idOf(proxy, ["/v1/messages", messageCall(token), 503]);
    await idOf(proxy, [COUNT_TOKENS, messageCall(token), 503]);
  } finally {
    held.open();
    void proxy.running.stop();
    await received(await running);
    await stopped;
  }
});

/**
 * Asks, checks the status and gives the answer's request id, which is also the one in a refusal's
 * body.
 */
async function idOf(proxy: ProxyUnderTest, [path, init, status]: Asked): Promise<string> {
  const asked = `${init.method ?? "GET"} ${path}`;
  const answer = await fetch(proxy.url + path, { ...init, redirect: "manual" });
  const text = await answer.text();
  assert.equal(answer.status, status, `${asked}: ${text}`);
  const id = answer.headers.get(HEADER) ?? "";
  assert.match(id, REQUEST_ID, `${asked} ${status}`);
  const named = /"request_id":"(ar-[^"]*)"/.exec(text)?.[1] ?? id;
  assert.equal(named, id, asked);
  return id;
}
