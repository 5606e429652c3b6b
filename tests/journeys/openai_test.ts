import assert from "node:assert/strict";
import { json } from "../fake_answers.ts";
import { OPENAI_KEY, startOpenaiProxy } from "../openai_proxy.ts";

const RESPONSE = {
  id: "resp_1",
  object: "response",
  model: "gpt-6.2-sol",
  status: "completed",
  output: [],
  usage: { input_tokens: 9, output_tokens: 7 },
};

function ask(url: string, { token, body, headers = {} }: { token: string; body: object; headers?: Record<string, string> }) {
  const sent = { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers };
  return fetch(url, { method: "POST", headers: sent, body: JSON.stringify(body) });
}

Deno.test("a WebSocket for Responses gets 426, which names HTTP/1.1, and its connection ends", async () => {
  await using proxy = await startOpenaiProxy();
  const { host, hostname, port } = new URL(proxy.url);
  for (const path of ["/v1/responses", "/openai/v1/responses"]) {
    const socket = await Deno.connect({ hostname, port: Number(port) });
    const head = [
      ...[
        `GET ${path} HTTP/1.1`,
        `Host: ${host}`,
        `Authorization: Bearer ${await proxy.token()}`,
        "User-Agent: codex_exec/0.171.0",
      ],
      ...[
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      ],
    ];
    const from = performance.now();
    await socket.write(new TextEncoder().encode(`${head.join("\r\n")}\r\n\r\n`));
    const answer = await new Response(socket.readable).text();
    assert.match(answer, /^HTTP\/1\.1 426 /);
    assert.match(answer, /\r\nupgrade: HTTP\/1\.1\r\n/i);
    assert.match(answer, /"code":"upgrade_refused"\}\}$/);
    // node:http would keep it for a minute and read nothing of it.
    assert.ok(performance.now() - from < 20_000);
  }
  assert.equal(proxy.upstream.calls.length, 0);
});

Deno.test("the operator's key and no client's header chooses who pays (trap 44)", async () => {
  await using proxy = await startOpenaiProxy();
  proxy.upstream.answer(json(RESPONSE));
  const headers = { "OpenAI-Organization": "org-mine", "OpenAI-Project": "proj_mine", "OpenAI-Beta": "a=b" };
  const body = { model: "gpt-6.2-sol", input: "hi" };
  const answer = await ask(`${proxy.url}/v1/responses`, { token: await proxy.token(), body, headers });
  assert.equal(answer.status, 200);
  await answer.body?.cancel();
  const [call] = proxy.upstream.calls;
  assert.deepEqual(["openai-organization", "openai-project"].map((name) => call!.header(name)), [null, null]);
  assert.deepEqual([call!.header("authorization"), call!.header("openai-beta")], [`Bearer ${OPENAI_KEY}`, "a=b"]);
});

Deno.test("a response is its workspace's: others can neither read it nor go on from it", async () => {
  await using proxy = await startOpenaiProxy();
  proxy.upstream.answer(json(RESPONSE));
  const [mine, theirs] = [await proxy.token(), await proxy.token("w2", "s2")];
  const url = `${proxy.url}/v1/responses`;
  await (await ask(url, { token: mine, body: { model: "gpt-6.2-sol", input: "hi" } })).text();
  const next = { model: "gpt-6.2-sol", input: "and now?", previous_response_id: RESPONSE.id };
  const [own, other] = [await ask(url, { token: mine, body: next }), await ask(url, { token: theirs, body: next })];
  assert.deepEqual([own.status, other.status, (await other.json()).error.code], [200, 404, "not_owned"]);
  await own.text();
  const reads = await Promise.all(
    [mine, theirs].map((token) =>
      fetch(`${url}/${RESPONSE.id}?stream=true&starting_after=3`, { headers: { authorization: `Bearer ${token}` } })
    ),
  );
  assert.deepEqual(reads.map(({ status }) => status), [200, 404]);
  await Promise.all(reads.map((read) => read.text()));
  assert.equal(proxy.upstream.calls.length, 3);
});

Deno.test("with strictUsage a call that would not say what it used is refused before anything is paid", async () => {
  await using proxy = await startOpenaiProxy({ strictUsage: true });
  proxy.upstream.answer(json(RESPONSE));
  const token = await proxy.token();
  const stream = { model: "gpt-6.2-sol", messages: [{ role: "user", content: "hi" }], stream: true };
  const refused = await ask(`${proxy.url}/v1/chat/completions`, { token, body: stream });
  const { error } = await refused.json();
  assert.deepEqual([refused.status, error.code, refused.headers.get("x-should-retry")], [400, "unmetered", "false"]);
  assert.match(error.message, /include_usage/);
  assert.deepEqual([proxy.upstream.calls.length, proxy.rows().length], [0, 0]);
  const asked = await ask(`${proxy.url}/v1/chat/completions`, {
    token,
    body: { ...stream, stream_options: { include_usage: true } },
  });
  await asked.text();
  assert.deepEqual([asked.status, proxy.upstream.calls.length], [200, 1]);
});

Deno.test("the id that Codex sends as that of a request is its session's: calls that share it have rows of their own (trap 5)", async () => {
  await using proxy = await startOpenaiProxy();
  proxy.upstream.answer(json(RESPONSE));
  const id = "01999999-0000-7000-8000-000000000001";
  const headers = { "user-agent": "codex_exec/0.171.0", "session-id": id, "thread-id": id, "x-client-request-id": id };
  const token = await proxy.token();
  const ids = [];
  for (const input of ["hi", "and now?"]) {
    const answer = await ask(`${proxy.url}/v1/responses`, { token, body: { model: "gpt-6.2-sol", input }, headers });
    await answer.text();
    ids.push(answer.headers.get("x-llmproxy-request-id"));
  }
  const rows = await proxy.closedRows(2);
  assert.deepEqual(rows.map((row) => row.id), ids);
  assert.notEqual(ids[0], ids[1]);
  assert.deepEqual(rows.map((row) => [row.trace_id, row.retry_of]), [[`at-${id}`, null], [`at-${id}`, null]]);
});

Deno.test("OpenCode's session is OpenCode's, though it names it in Codex's header (trap 6)", async () => {
  await using proxy = await startOpenaiProxy();
  proxy.upstream.answer(json(RESPONSE));
  const agents = {
    opencode: "opencode/1.18.33 ai-sdk/provider-utils/4.0.46 runtime/bun/1.3.14",
    codex_exec: "codex_exec/0.171.0",
  };
  for (const [originator, agent] of Object.entries(agents)) {
    const headers = { "user-agent": agent, originator, "session-id": `ses_${originator}` };
    const body = { model: "gpt-6.2-sol", input: "hi" };
    await (await ask(`${proxy.url}/v1/responses`, { token: await proxy.token(), body, headers })).text();
  }
  const rows = await proxy.closedRows(2);
  assert.deepEqual(rows.map((row) => row.client), ["opencode", "codex"]);
  const { traces } = await proxy.ask("/internal/traces") as { readonly traces: readonly { id: string; source: string }[] };
  assert.deepEqual(
    new Set(traces.map(({ id, source }) => `${source}: ${id}`)),
    new Set([
      "opencode: at-ses_opencode",
      "codex: at-ses_codex_exec",
    ]),
  );
});
