import assert from "node:assert/strict";
import { fakeProxy, SANDBOX } from "../../tests/fake_proxy.ts";
import { anthropic, messages } from "../../tests/anthropic.ts";
import { oneUpstream } from "../../tests/fake_upstreams.ts";
import type { Provider } from "../domain/provider.ts";

Deno.test("proxyHandler() sends every open route upstream as it came, under the route's own name", async () => {
  const open = [
    ["POST", "/v1/messages?beta=true", ["opened ar-1", "closed ar-1"]],
    ["POST", "/v1/messages/count_tokens?x=%2F", ["passed count_tokens"]],
    ["GET", "/v1/models", ["passed models"]],
    ["GET", "/v1/models/claude-x", ["passed models"]],
    ["POST", "/v1/messages/batches", ["passed batches", "joined", "claimed batch msg_1"]],
    ["POST", "/v1/files", ["passed files", "claimed file msg_1"]],
    ["GET", "/v1/files/file_own", ["passed files"]],
    ["GET", "/v1/files/file_own/content", ["passed files"]],
    ["DELETE", "/v1/files/file_own", ["passed files"]],
  ] as const;
  for (const [method, path, log] of open) {
    const proxy = fakeProxy();
    const answer = await proxy.ask(method, path);
    assert.deepEqual([answer.status, proxy.sent, proxy.log], [200, [`${method} ${path}`], log], path);
    const named = fakeProxy();
    await named.ask(method, `/anthropic${path}`);
    assert.deepEqual([named.sent, named.log], [proxy.sent, proxy.log], "behind the dialect's prefix");
  }
});

Deno.test("proxyHandler() refuses everything else in the provider's JSON and sends none of it upstream", async () => {
  const closed = [
    ["GET", "/v1/messages", 403, "permission_error"],
    ["PUT", "/v1/messages/count_tokens", 403, "permission_error"],
    ["GET", "/v1/messages/batches", 403, "permission_error"],
    ["GET", "/v1/files", 403, "permission_error"],
    ["DELETE", "/v1/files", 403, "permission_error"],
    ["GET", "/v1/files/file_other", 404, "not_found_error"],
    ["GET", "/v1/messages/batches/file_own", 404, "not_found_error"],
    ["POST", "/v1/organizations", 403, "permission_error"],
    ["POST", "/v1/v1/messages", 421, "invalid_request_error"],
    ["POST", "/acme/v1/messages", 421, "invalid_request_error"],
    ["POST", "/messages", 404, "not_found_error"],
    ["POST", "/v1/Messages", 404, "not_found_error"],
    ["POST", "/v1//messages", 404, "not_found_error"],
    ["POST", "/", 404, "not_found_error"],
    ["GET", "/favicon.ico", 404, "not_found_error"],
  ] as const;
  for (const [method, path, status, type] of closed) {
    const proxy = fakeProxy();
    const answer = await proxy.ask(method, path);
    const { error, ...rest } = await answer.json();
    assert.deepEqual([answer.status, error.type, rest], [status, type, { type: "error", request_id: "ar-1" }], path);
    assert.equal(answer.headers.get("x-should-retry"), "false", path);
    assert.deepEqual([proxy.sent, proxy.log], [[], []], path);
  }
});

Deno.test("proxyHandler() passes what the operator allows, but no batch or file of others", async () => {
  const proxy = fakeProxy({}, ["*"]);
  assert.equal((await proxy.ask("POST", "/v1/organizations")).status, 200);
  assert.deepEqual(proxy.log, ["passed other"]);
  for (const path of ["/v1/files", "/v1/messages/batches"]) assert.equal((await proxy.ask("GET", path)).status, 403, path);
  assert.equal((await proxy.ask("GET", "/v1/files/file_other")).status, 404);
  assert.equal((await proxy.ask("POST", "/v1/v1/messages")).status, 421);
  assert.equal(proxy.sent.length, 1);
});

Deno.test("proxyHandler() puts the request id on every answer, and a new one on each", async () => {
  const proxy = fakeProxy();
  const asked = [
    ["POST", "/v1/messages"],
    ["GET", "/v1/models"],
    ["GET", "/v1/files"],
    ["GET", "/nowhere"],
    ["HEAD", "/"],
    ["GET", "/healthz"],
    ["GET", "/readyz"],
    ["GET", "/api/hello"],
  ] as const;
  const ids = new Set<string>();
  for (const [method, path] of asked) {
    const id = (await proxy.ask(method, path)).headers.get("x-llmproxy-request-id") ?? "";
    assert.match(id, /^ar-\d+$/, path);
    ids.add(id);
  }
  assert.equal(ids.size, asked.length);
});

Deno.test("proxyHandler() has nothing administrative, with no token and with any", async () => {
  const proxy = fakeProxy({}, ["*"]);
  const paths = [
    "/internal/usage",
    "/internal/tokens",
    "/internal/traces",
    "/metrics",
    "/admin",
    "/dashboard",
    "/internal/backup",
  ];
  for (const path of paths) {
    for (const method of ["GET", "POST", "DELETE"]) {
      const answer = await proxy.ask(method, path, { headers: { authorization: "Bearer admin", "x-api-key": "" } });
      assert.deepEqual([answer.status, (await answer.json()).error.type], [404, "not_found_error"], `${method} ${path}`);
    }
  }
  assert.deepEqual(proxy.sent, []);
});

Deno.test("proxyHandler() answers greetings and health without a token", async () => {
  const proxy = fakeProxy({ sandboxOf: () => assert.fail("no token is looked up") });
  const none = { headers: { "x-api-key": "" } };
  assert.deepEqual(await (await proxy.ask("GET", "/api/hello", none)).json(), { status: "ok" });
  assert.equal((await proxy.ask("HEAD", "/", none)).status, 200);
  assert.equal((await proxy.ask("GET", "/healthz", none)).status, 200);
});

Deno.test("proxyHandler() refuses in whatever shape the provider has", async () => {
  const refuse: Provider["refuse"] = (fault, { requestId, client }) => ({
    status: 418,
    body: `${fault.code} ${requestId} ${client}`,
    headers: { "content-type": "text/plain", odd: "1" },
  });
  const proxy = fakeProxy({ upstreams: oneUpstream({ provider: { ...anthropic, refuse } }) });
  const answer = await proxy.ask("POST", "/v1/messages", { headers: { "x-api-key": "wrong", "user-agent": "opencode/1.0" } });
  const said = [answer.status, await answer.text(), answer.headers.get("odd")];
  assert.deepEqual(said, [418, "unauthenticated ar-1 opencode", "1"]);
});

Deno.test("proxyHandler() mounts the provider's routes and no others", async () => {
  const routes = [{ method: "PUT", path: "/say", kind: "billed", call: messages }] as const;
  const proxy = fakeProxy({ upstreams: oneUpstream({ provider: { ...anthropic, routes } }) });
  assert.equal((await proxy.ask("PUT", "/say", { body: "{}" })).status, 200);
  for (const path of ["/Say", "/say/", "/v1/messages"]) {
    assert.equal((await proxy.ask("PUT", path, { body: "{}" })).status, 404, path);
  }
  assert.deepEqual(proxy.sent, ["PUT /say"]);
});

Deno.test("proxyHandler() tells, logs and counts a refusal once, with the sandbox as soon as the token names it", async () => {
  const proxy = fakeProxy();
  await proxy.ask("POST", "/v1/messages", { headers: { "x-api-key": "wrong" } });
  await proxy.ask("POST", "/v1/v1/messages");
  await proxy.ask("GET", "/v1/files");
  assert.deepEqual(proxy.refused.map(({ requestId, fault, request }) => [requestId, fault.code, request.sandbox]), [
    ["ar-1", "unauthenticated", null],
    ["ar-2", "path_misdirected", SANDBOX],
    ["ar-3", "path_not_allowed", SANDBOX],
  ]);
  assert.deepEqual(await proxy.counted(), [" unauthenticated 1", "s1 path_misdirected 1", "s1 path_not_allowed 1"]);
});

Deno.test("proxyHandler() answers an error of ours with 500 and keeps its words to the log", async () => {
  const proxy = fakeProxy({ sandboxOf: () => Promise.reject(new Error("connect 10.0.0.7")) });
  const answer = await proxy.ask("POST", "/v1/messages");
  assert.deepEqual([answer.status, answer.headers.get("retry-after")], [500, "1"]);
  assert.doesNotMatch(await answer.text(), /10\.0\.0\.7/);
  assert.match(String(proxy.refused[0]!.fault.cause), /10\.0\.0\.7/);
});

Deno.test("proxyHandler() refuses new calls while it drains, before their token is looked up", async () => {
  const proxy = fakeProxy({ sandboxOf: () => assert.fail("no token is looked up") });
  proxy.deps.traffic.drain();
  const answer = await proxy.ask("POST", "/v1/messages");
  assert.deepEqual([answer.status, answer.headers.get("retry-after")], [503, "5"]);
  assert.equal((await proxy.ask("GET", "/healthz")).status, 200);
});
