import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { json } from "../fake_answers.ts";
import { fakeThings } from "../fake_things.ts";
import { OPERATOR_KEY, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { RawConnection } from "../raw_connection.ts";
import { clientOf, SDKS } from "../sdk_clients.ts";

const MB = 1024 * 1024;
const FILES = "/v1/files";
const BATCHES = "/v1/messages/batches";
const ALLOWED = ["", "*"];

for (const { name, Sdk } of SDKS) {
  Deno.test(`the proxy lets ${name} make, read and delete files and batches of its own by default, and no others`, async () => {
    const { proxy, things } = await scene();
    await using _ = proxy;
    const [ours, theirs] = [await proxy.token("w1", "s1"), await proxy.token("w2", "s2")];
    const { client } = clientOf(Sdk, { url: proxy.url, token: ours });
    const { client: sibling } = clientOf(Sdk, { url: proxy.url, token: await proxy.token("w1", "another") });
    const { client: stranger } = clientOf(Sdk, { url: proxy.url, token: theirs });
    const file = await client.beta.files.upload({ file: new File(["some text"], "f.txt") });
    const batch = await client.messages.batches.create({ requests: [{ custom_id: "c1", params: says("hello") }] });
    for (const who of [client, sibling]) {
      assert.equal((await who.beta.files.retrieveMetadata(file.id)).id, file.id);
      assert.equal(await (await who.beta.files.download(file.id)).text(), `content of ${file.id}`);
      assert.equal((await who.messages.batches.retrieve(batch.id)).id, batch.id);
      assert.equal((await who.beta.messages.batches.cancel(batch.id)).id, batch.id);
    }
    const before = proxy.upstream.calls.length;
    const refused: readonly (() => Promise<unknown>)[] = [
      () => stranger.beta.files.retrieveMetadata(file.id),
      () => stranger.beta.files.download(file.id),
      () => stranger.beta.files.delete(file.id),
      () => stranger.messages.batches.retrieve(batch.id),
      () => stranger.messages.batches.cancel(batch.id),
      () => stranger.messages.batches.delete(batch.id),
      () => client.messages.batches.retrieve("msgbatch_unknown"),
    ];
    for (const call of refused) await assert.rejects(call(), Sdk.NotFoundError);
    await assert.rejects(Promise.resolve(client.beta.files.list()), Sdk.PermissionDeniedError);
    await assert.rejects(Promise.resolve(client.messages.batches.list()), Sdk.PermissionDeniedError);
    assert.equal(proxy.upstream.calls.length, before);
    await client.beta.files.delete(file.id);
    things.finish(batch.id, 1);
    await client.messages.batches.delete(batch.id);
    assert.deepEqual([things.files.size, things.batches.size], [0, 0]);
  });
}

Deno.test("the container in which a workspace's code ran is closed to other workspaces, in every form of naming it", async () => {
  await using proxy = await startProxy();
  const container = { id: "container_011CQ", expires_at: "2026-12-01T00:00:00Z" };
  const usage = { input_tokens: 1, output_tokens: 1 };
  proxy.upstream.answer(json({ id: "msg_1", type: "message", model: "claude-haiku-4-5", content: [], usage, container }));
  const [ours, theirs] = [await proxy.token("w1"), await proxy.token("w2")];
  const ask = async (token: string, more: object) => {
    const body = JSON.stringify({ model: "claude-haiku-4-5", max_tokens: 9, messages: [], ...more });
    const headers = { "x-api-key": token, "content-type": "application/json" };
    const answer = await fetch(`${proxy.url}/v1/messages`, { method: "POST", headers, body });
    await answer.text();
    return answer.status;
  };
  assert.equal(await ask(ours, {}), 200);
  for (const named of [container.id, { id: container.id }, { id: container.id, skills: [{ skill_id: "pdf" }] }]) {
    assert.deepEqual([await ask(ours, { container: named }), await ask(theirs, { container: named })], [200, 404]);
  }
  assert.equal(await ask(theirs, { container: { skills: [{ skill_id: "pdf" }] } }), 200);
  assert.equal(proxy.upstream.calls.length, 5);
});

Deno.test("no spelling, method or setting opens a file or batch of another workspace, an unknown one, or a list", async () => {
  for (const allowed of ALLOWED) {
    const { proxy, things } = await scene({ LLMPROXY_ALLOW_PATHS: allowed });
    await using _ = proxy;
    const [ours, theirs] = [await proxy.token("w1"), await proxy.token("w2")];
    const [file, batch] = [await madeBy(proxy, ours, FILES), await madeBy(proxy, ours, BATCHES)];
    things.finish(batch, 1);
    proxy.upstream.forget();
    using connection = new RawConnection(proxy.url);
    for (const id of [file, batch, "file_unknown"]) {
      for (const target of targetsOf(id)) {
        for (const method of ["GET", "POST", "DELETE"]) {
          const isOwnRoute = target === `${FILES}/${id}` || target === `${BATCHES}/${id}`;
          const status = await statusOf(connection, { method, target, token: theirs });
          assert.ok(status === 404 || (status === 400 && !isOwnRoute), `${method} ${target} answers ${status}`);
        }
      }
    }
    for (const path of [FILES, BATCHES]) {
      for (const target of [path, `${path}?beta=true`, `${path}?limit=1000&after_id=${file}`]) {
        for (const method of ["GET", "HEAD", "DELETE", "PUT", "PATCH", "OPTIONS"]) {
          assert.equal(await statusOf(connection, { method, target, token: ours }), 403, `${method} ${target}`);
        }
        assert.equal(await statusOf(connection, { method: "GET", target, token: "nobody" }), 401);
      }
    }
    // A file's id is no batch's, and the other way round.
    assert.equal(await statusOf(connection, { method: "GET", target: `${FILES}/${batch}`, token: ours }), 404);
    assert.equal(await statusOf(connection, { method: "GET", target: `${BATCHES}/${file}`, token: ours }), 404);
    assert.deepEqual(proxy.upstream.calls, []);
    assert.equal(await statusOf(connection, { method: "GET", target: `${FILES}/${file}?beta=true`, token: ours }), 200);
  }
});

Deno.test("a message, a count and a batch that name another workspace's file are 404, whatever hides the name, and do not end upstream", async () => {
  const { proxy } = await scene();
  await using _ = proxy;
  const [ours, theirs] = [await proxy.token("w1"), await proxy.token("w2")];
  const [own, foreign] = [await madeBy(proxy, ours, FILES), await madeBy(proxy, theirs, FILES)];
  proxy.upstream.forget();
  const escaped = [...foreign].map((letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
  const good = body(`{"type":"document","source":{"type":"file","file_id":"${own}"}}`);
  const bad: Readonly<Record<string, string>> = {
    "a document": body(`{"type":"document","source":{"type":"file","file_id":"${foreign}"}}`),
    "an upload to a container": body(`{"type":"container_upload","file_id":"${foreign}"}`),
    "an unknown file": body(`{"type":"container_upload","file_id":"file_nobody_has"}`),
    "an escaped value": body(`{"source":{"file_id":"${escaped}"}}`),
    "an escaped key": body(`{"source":{"\\u0066ile\\u005Fid" \n:\t "${foreign}"}}`),
    "the second of two": body(`{"source":{"file_id":"${own}","file_id":"${foreign}"}}`),
    "a name behind 1 MB": body(`{"type":"text","text":"${"x".repeat(MB)}"},{"source":{"file_id":"${foreign}"}}`),
    "a name behind 1 MB of spaces": body(`{"source":{"file_id"${" ".repeat(MB)}:"${foreign}"}}`),
  };
  for (const path of ["/v1/messages", "/v1/messages/count_tokens", BATCHES, "/v1/messages?beta=true"]) {
    for (const [what, text] of Object.entries(bad)) {
      for (const coding of ["", "gzip"]) {
        const answer = await post(proxy, { path, token: ours, body: coding === "" ? text : zipped(text), coding });
        const { error } = await answer.json();
        assert.deepEqual([answer.status, error.type], [404, "not_found_error"], `${what} to ${path} as ${coding || "it is"}`);
        assert.equal(answer.headers.get("x-should-retry"), "false");
      }
    }
    assert.equal((await post(proxy, { path, token: ours, body: good })).status, 200, path);
    assert.equal((await post(proxy, { path, token: ours, body: zipped(good), coding: "gzip" })).status, 200, path);
    assert.equal((await post(proxy, { path, token: theirs, body: good })).status, 404, path);
  }
  assert.equal(proxy.upstream.calls.filter(({ isWhole }) => isWhole).length, 8);
});

Deno.test("a body does not pass if the proxy cannot see what it names", async () => {
  const { proxy } = await scene();
  await using _ = proxy;
  const token = await proxy.token("w1");
  const text = body(`{"source":{"file_id":"file_1"}}`);
  const utf16 = Uint8Array.from([...text].flatMap((letter) => [letter.charCodeAt(0), 0]));
  const bodies: readonly (readonly [string, Uint8Array<ArrayBuffer>, string])[] = [
    ["UTF-16", utf16, ""],
    ["an unknown coding", new TextEncoder().encode(text), "x-rot13"],
    ["no gzip", new TextEncoder().encode(text), "gzip"],
    ["half a document in gzip, the rest behind it", new Uint8Array([...gzipSync(text.slice(0, 20)), 1, 2, 3]), "gzip"],
  ];
  for (const path of ["/v1/messages", "/v1/messages/count_tokens", BATCHES]) {
    for (const [what, bytes, coding] of bodies) {
      assert.equal((await post(proxy, { path, token, body: bytes, coding })).status, 415, `${what} to ${path}`);
    }
  }
  assert.deepEqual(proxy.upstream.calls.filter(({ isWhole }) => isWhole), []);
});

Deno.test("a tool of the client's own may have a parameter that is called file_id", async () => {
  const { proxy } = await scene();
  await using _ = proxy;
  const input = `{"type":"tool_use","id":"t","name":"drive","input":{"file_id":"1a2b3c-of-somebody-else"}}`;
  const schema = `{"type":"text","text":"\\"file_id\\":\\"file_9\\""}`;
  const answer = await post(proxy, { path: "/v1/messages", token: await proxy.token(), body: body(`${input},${schema}`) });
  assert.equal(answer.status, 200, await answer.text());
});

Deno.test("a file that code execution made belongs to the workspace whose call made it, streamed or not, and what the model wrote does not", async () => {
  const { proxy } = await scene();
  await using _ = proxy;
  const [ours, theirs] = [await proxy.token("w1"), await proxy.token("w2")];
  const result = (id: string) => ({
    type: "bash_code_execution_tool_result",
    tool_use_id: "srvtoolu_1",
    content: { type: "bash_code_execution_result", content: [{ type: "bash_code_execution_output", file_id: id }] },
  });
  const forged = { type: "tool_use", id: "t", name: "n", input: { file_id: "file_forged" } };
  const message = { id: "msg_1", type: "message", role: "assistant", model: "claude-haiku-4-5", stop_reason: "end_turn" };
  const usage = { input_tokens: 1, output_tokens: 1 };
  const events = [
    { type: "message_start", message: { ...message, stop_reason: null, content: [], usage } },
    { type: "content_block_start", index: 0, content_block: result("file_streamed") },
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason: "end_turn" }, usage },
    { type: "message_stop" },
  ];
  proxy.upstream.answer((call) =>
    (call.json() as { stream?: boolean }).stream === true
      ? {
        headers: { "content-type": "text/event-stream" },
        body: events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(""),
      }
      : json({ ...message, content: [forged, result("file_plain")], usage })
  );
  for (const stream of [true, false]) {
    const answer = await post(proxy, { path: "/v1/messages", token: ours, body: body(`{"type":"text"}`, stream) });
    assert.equal(answer.status, 200, await answer.text());
  }
  proxy.upstream.answer((call) => ({ body: call.target }));
  using connection = new RawConnection(proxy.url);
  for (const id of ["file_streamed", "file_plain"]) {
    assert.equal(await statusOf(connection, { method: "GET", target: `${FILES}/${id}/content`, token: ours }), 200, id);
    assert.equal(await statusOf(connection, { method: "GET", target: `${FILES}/${id}/content`, token: theirs }), 404, id);
  }
  assert.equal(await statusOf(connection, { method: "GET", target: `${FILES}/file_forged`, token: ours }), 404);
});

function zipped(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gzipSync(text));
}

async function scene(env: Readonly<Record<string, string>> = {}) {
  const proxy = await startProxy({ env });
  const things = fakeThings();
  proxy.upstream.answer(things.answer);
  return { proxy, things };
}

async function madeBy(proxy: ProxyUnderTest, token: string, path: string): Promise<string> {
  const answer = await post(proxy, { path, token, body: "{}" });
  const { id } = await answer.json();
  assert.equal(answer.status, 200);
  return id;
}

function post(
  proxy: ProxyUnderTest,
  { path, token, body, coding = "" }: {
    readonly path: string;
    readonly token: string;
    readonly body: BodyInit;
    readonly coding?: string;
  },
): Promise<Response> {
  const headers = {
    "x-api-key": token,
    "content-type": "application/json",
    ...(coding !== "" && { "content-encoding": coding }),
  };
  return fetch(proxy.url + path, { method: "POST", headers, body });
}

function says(text: string) {
  return { model: "claude-haiku-4-5", max_tokens: 64, messages: [{ role: "user" as const, content: text }] };
}

function body(blocks: string, stream = false): string {
  return `{"model":"claude-haiku-4-5","max_tokens":64,"stream":${stream},"messages":[{"role":"user","content":[${blocks}]}]}`;
}

async function statusOf(
  connection: RawConnection,
  { method, target, token }: { readonly method: string; readonly target: string; readonly token: string },
): Promise<number> {
  const headers = [["host", "proxy"], ["x-api-key", token], ["content-length", "0"]] as const;
  const { status, body } = await connection.send({ method, target, headers });
  assert.ok(!new TextDecoder().decode(body).includes(OPERATOR_KEY));
  return status;
}

/** All that might reach the thing, were it read another way. */
function targetsOf(id: string): readonly string[] {
  const paths = [FILES, BATCHES].flatMap((path) => [
    ...[`${path}/${id}`, `${path}/${id}/content`, `${path}/${id}/results`, `${path}/${id}/cancel`, `${path}/${id}/anything/else`],
    ...[`${path}/${id}?beta=true`, `${path}/${id}/content?beta=true`, `${path}/./${id}`, `${path}//${id}`, `${path}/${id}/`],
    ...[
      `${path}/x/../${id}`,
      `${path}/%2e/${id}`,
      `${path}%2f${id}`,
      `${path}/${id}%2fcontent`,
      `${path}\\${id}`,
      `${path}/${id};x`,
    ],
    ...[`${path}/${id}%20`, `${path}/%66${id.slice(1)}`, `${path}/${id}.`, `${path}/${id}:content`, `${path}/${id}%00`],
    ...[
      `${path.toUpperCase()}/${id}`,
      `${path.replace("v1", "V1")}/${id}`,
      `${path.replace("es", "Es")}/${id}`,
      `/v1/.${path}/${id}`,
    ],
  ]);
  return [...paths, `/v1/messages/../files/${id}`, `/v1/files/../messages/batches/${id}`];
}
