import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { fakeOpenaiThings } from "../fake_openai_things.ts";
import { type FakeUpstream, startFakeUpstream } from "../fake_upstream.ts";
import { seeded } from "../json_documents.ts";
import { startPostgres } from "../postgres_server.ts";
import { OPENAI_KEY, startOpenaiProxy } from "../openai_proxy.ts";
import { startProxyProcess } from "../proxy_process.ts";
import type { ProxyUnderTest } from "../proxy_under_test.ts";
import { RawConnection } from "../raw_connection.ts";

const CLOSED = ["/v1/vector_stores", "/v1/containers", "/v1/batches"];

/** One of each kind, and what was learned of them since. */
interface Things {
  readonly response: string;
  /** Made by a stream. */
  readonly streamed: string;
  readonly background: string;
  readonly conversation: string;
  readonly file: string;
  readonly vectorStore: string;
  readonly container: string;
  readonly batch: string;
  /** Of a batch: the upstream made it later. */
  readonly outputFile: string;
  /** Items of all of them. */
  readonly items: readonly string[];
}

Deno.test("two workspaces behind one OpenAI key: no path, in any spelling and method, opens what the other made", async () => {
  for (const allowed of ["", "*"]) {
    await using scene = await startScene({ LLMPROXY_ALLOW_PATHS: allowed });
    const { proxy, upstream, ours, theirs } = scene;
    const things = await madeBy(proxy, ours, allowed === "*");
    upstream.forget();
    using connection = new RawConnection(proxy.url);
    let tried = 0;
    for (const target of idsOf(things).flatMap((id) => [...pathsTo(id)].flatMap(spellingsOf))) {
      for (const method of ["GET", "HEAD", "POST", "DELETE", "PUT"]) {
        // All methods of what is spelled plainly.
        if (method !== "GET" && !/^(?:\/openai)?\/v1\/[^%.;]*[^/]$/.test(target)) continue;
        const status = await statusOf(connection, { method, target, token: theirs });
        assert.ok([400, 403, 404, 421, 426].includes(status), `${method} ${target} answers ${status}`);
        tried++;
      }
    }
    assert.ok(tried > 5_000, `only ${tried} were tried`);
    assertUnnamed(upstream, things);
    // The same by the one who made them, as far as the operator opened it.
    for (const target of ownPaths(things)) {
      const isClosed = allowed === "" && CLOSED.some((path) => target.startsWith(path));
      const status = await statusOf(connection, { method: "GET", target, token: ours });
      assert.equal(status, isClosed ? 403 : 200, `GET ${target}`);
      if (!isClosed) assert.equal(await statusOf(connection, { method: "GET", target: `/openai${target}`, token: ours }), 200);
    }
    for (const path of ["/v1/responses", "/v1/conversations", "/v1/files", ...CLOSED]) {
      assert.equal(await statusOf(connection, { method: "GET", target: path, token: ours }), 403, path);
    }
  }
});

Deno.test("no body names another workspace's thing: by no key, shape, depth, escape or coding, and to no endpoint", async () => {
  await using scene = await startScene({ LLMPROXY_ALLOW_PATHS: "*" });
  const { proxy, upstream, ours, theirs } = scene;
  const things = await madeBy(proxy, ours, true);
  const own = await madeBy(proxy, theirs, true);
  upstream.forget();
  let tried = 0;
  const endpoints = [
    ...["/v1/responses", "/v1/responses/compact", "/v1/responses/input_tokens", "/v1/chat/completions"],
    ...["/v1/conversations", `/v1/conversations/${own.conversation}/items`, `/v1/conversations/${own.conversation}`],
    ...["/v1/vector_stores", `/v1/vector_stores/${own.vectorStore}/files`, `/v1/vector_stores/${own.vectorStore}/search`],
    ...["/v1/containers", `/v1/containers/${own.container}/files`, "/v1/batches", "/v1/evals", "/v1/fine_tuning/jobs"],
  ];
  for (const path of endpoints) {
    for (const [what, body] of bodiesNaming(things, path.startsWith("/v1/chat"))) {
      for (const coding of ["", "gzip"]) {
        const answer = await post(proxy, { path, token: theirs, body, coding });
        const text = await answer.text();
        assert.equal(answer.status, 404, `${what} to ${path} as ${coding || "it is"}: ${text}`);
        assert.equal(JSON.parse(text).error.code, "not_owned", what);
        tried++;
      }
    }
  }
  assert.ok(tried > 500, `only ${tried} were tried`);
  const unknown = await post(proxy, {
    path: "/v1/responses",
    token: ours,
    body: named("previous_response_id", "resp_of_nobody"),
  });
  assert.deepEqual([unknown.status, (await unknown.json()).error.code], [404, "not_owned"]);
  assertUnnamed(upstream, things);
  upstream.forget();
  for (const path of endpoints.filter((path) => !path.includes(own.conversation) && !/vs_|cntr_/.test(path))) {
    for (const [what, body] of bodiesNaming(things, path.startsWith("/v1/chat"))) {
      const answer = await post(proxy, { path, token: ours, body });
      assert.equal(answer.status, 200, `${what} to ${path}: ${await answer.text()}`);
    }
  }
  assert.ok(upstream.calls.some((call) => new TextDecoder().decode(call.body).includes(things.response)));
});

Deno.test("a form names no other's thing: by no field, and by no line of a batch's file", async () => {
  await using scene = await startScene({ LLMPROXY_ALLOW_PATHS: "*" });
  const { proxy, upstream, ours, theirs } = scene;
  const [things, own] = [await madeBy(proxy, ours, true), await madeBy(proxy, theirs, true)];
  const send = async (path: string, fields: Readonly<Record<string, string | File>>) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    const answer = await fetch(proxy.url + path, { method: "POST", headers: { authorization: `Bearer ${theirs}` }, body: form });
    return { status: answer.status, text: await answer.text() };
  };
  const linesOf = (line: object) => {
    const lines = [{ custom_id: "1", body: { input: "hi" } }, {
      custom_id: "2",
      method: "POST",
      url: "/v1/responses",
      body: line,
    }];
    return new File([lines.map((one) => JSON.stringify(one)).join("\n")], "batch.jsonl");
  };
  const container = `/v1/containers/${own.container}/files`;
  const foreign = linesOf({ input: "hi", previous_response_id: things.response });
  const item = linesOf({ input: [{ type: "item_reference", id: things.items[0] }] });
  upstream.forget();
  for (
    const [path, fields] of [
      ...[[container, { file_id: things.file }], [container, { "file_ids[]": things.file }]],
      ...[["/v1/videos", { "input_reference[file_id]": things.file }], ["/v1/videos", { x: `{"file_id":"${things.file}"}` }]],
      ...[["/v1/files", { purpose: "batch", file: foreign }], ["/v1/files", { file: foreign, purpose: "batch" }]],
      ["/v1/files", { file: item, purpose: "batch" }],
    ] as const
  ) {
    assert.equal(
      (await send(path as string, fields as Record<string, string | File>)).status,
      404,
      JSON.stringify([path, fields]),
    );
  }
  assert.deepEqual(upstream.calls.filter(({ isWhole }) => isWhole), []);
  const good = linesOf({ input: "hi", previous_response_id: own.response });
  for (const fields of [{ purpose: "batch", file: good }, { purpose: "user_data", file: foreign }]) {
    const { status, text } = await send("/v1/files", fields);
    assert.equal(status, 200, text);
  }
  assert.equal((await send(container, { file_id: own.file })).status, 200);
});

Deno.test("items that clients make up, texts that begin like ids, and tools' own parameters pass", async () => {
  await using scene = await startScene();
  const { proxy, theirs } = scene;
  const texts: readonly Record<string, unknown>[] = [
    { input: [{ type: "message", id: "msg_00000000-0000-7000-8000-000000000006", role: "user", content: "hi" }] },
    { input: [{ type: "item_reference", id: "msg_made_up_1" }] },
    { input: [{ type: "function_call", id: "fc_1", call_id: "call_1", name: "f", arguments: '{"file_id":"file-x"}' }] },
    { input: "hi", prompt: "file-based databases are" },
    { input: "hi", tools: [{ type: "code_interpreter", container: { type: "auto", memory_limit: "4g" } }] },
    { input: "hi", tools: [{ type: "function", name: "f", parameters: { properties: { file_id: { type: "string" } } } }] },
    { input: "hi", tools: [{ type: "function", name: "f", parameters: { file_id: "1a2b-3c" } }] },
  ];
  for (const body of texts) {
    const answer = await post(proxy, {
      path: "/v1/responses",
      token: theirs,
      body: JSON.stringify({ model: "gpt-5.1", ...body }),
    });
    assert.equal(answer.status, 200, `${JSON.stringify(body)}: ${await answer.text()}`);
  }
});

Deno.test("a workspace gets nothing by writing its id where answers repeat it", async () => {
  await using scene = await startScene();
  const { proxy, theirs } = scene;
  // Such as one from the operator's console.
  const ids = ["resp_", "conv_", "file-"].map((prefix) => prefix + "0123456789abcdef".repeat(3));
  for (const id of ids) {
    const body = JSON.stringify({ metadata: { id, item_id: id, file_id: "x" } });
    const made = await (await post(proxy, { path: "/v1/conversations", token: theirs, body })).json();
    const read = await fetch(`${proxy.url}/v1/conversations/${made.id}`, { headers: { authorization: `Bearer ${theirs}` } });
    assert.equal((await read.json()).metadata.id, id);
    for (const key of ["previous_response_id", "conversation", "file_id"]) {
      const answer = await post(proxy, { path: "/v1/responses", token: theirs, body: named(key, id) });
      assert.deepEqual([answer.status, (await answer.json()).error.code], [404, "not_owned"], `${key}: ${id}`);
    }
  }
});

Deno.test("random bodies that hold another's ids at random places and in random spellings: none of an owned key passes", async () => {
  await using scene = await startScene();
  const { proxy, upstream, ours, theirs } = scene;
  const things = await madeBy(proxy, ours, false);
  const random = seeded(20261129);
  const below = (n: number) => Math.floor(random() * n);
  const counts = { passed: 0, refused: 0 };
  for (let n = 0; n < 1_500; n++) {
    const { text, isNaming } = randomBody(below, things);
    upstream.forget();
    const answer = await post(proxy, { path: "/v1/responses", token: theirs, body: text });
    await answer.body?.cancel();
    assert.equal(answer.status, isNaming ? 404 : 200, text);
    if (isNaming) assert.deepEqual(upstream.calls, []);
    counts[isNaming ? "refused" : "passed"]++;
  }
  assert.ok(counts.passed > 200 && counts.refused > 200, JSON.stringify(counts));
});

Deno.test("what was made is still its workspace's after a restart and on another replica, which share PostgreSQL", async () => {
  await using postgres = await startPostgres({ own: true });
  await using upstream = await startFakeUpstream();
  upstream.answer(fakeOpenaiThings().answer);
  const env = { LLMPROXY_DATABASE_URL: postgres.url, LLMPROXY_ALLOW_PATHS: "*" };
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  await using second = await startOpenaiProxy({ baseUrl: upstream.url }, { env });
  const [ours, theirs] = [await second.token("w1"), await second.token("w2")];
  let things: Things;
  {
    await using first = await startOpenaiProxy({ baseUrl: upstream.url }, { env, dataDir });
    things = await madeBy(first, ours, true);
    await assertOnlyTheirOwners(second, { things, ours, theirs });
  }
  await using again = await startOpenaiProxy({ baseUrl: upstream.url }, { env, dataDir });
  await assertOnlyTheirOwners(again, { things, ours, theirs });
  upstream.forget();
  // An item whose maker this replica does not know may be anybody's while the database is down.
  const known = await madeBy(second, ours, true);
  await postgres.stop();
  const reference = (id: string) => JSON.stringify({ model: "gpt-5.1", input: [{ type: "item_reference", id }] });
  const item = known.items[0]!;
  assert.equal((await post(second, { path: "/v1/responses", token: theirs, body: reference(item) })).status, 404);
  assert.equal((await post(again, { path: "/v1/responses", token: theirs, body: reference(item) })).status, 503);
  assert.equal(
    (await post(again, { path: "/v1/responses", token: theirs, body: named("previous_response_id", known.response) })).status,
    503,
  );
  // Calls of clients that make up ids of their own go on.
  const madeUp = JSON.stringify({ model: "gpt-5.1", input: [{ type: "message", id: "msg_0-1", role: "user", content: "hi" }] });
  assert.equal((await post(again, { path: "/v1/responses", token: theirs, body: madeUp })).status, 200);
  await Deno.remove(dataDir, { recursive: true });
});

Deno.test("what one worker of a machine made, the others know the owner of at once", async () => {
  await using upstream = await startFakeUpstream();
  upstream.answer(fakeOpenaiThings().answer);
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const file = `${dataDir}/upstreams.json`;
  const entry = { name: "openai", dialect: "openai", baseUrl: upstream.url, credentials: [{ name: "o", key: OPENAI_KEY }] };
  await Deno.writeTextFile(file, JSON.stringify([entry]), { mode: 0o600 });
  const env = { LLMPROXY_WORKERS: "2", LLMPROXY_ALLOW_PATHS: "*", LLMPROXY_UPSTREAMS_FILE: file };
  {
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
    const [ours, theirs] = [await proxy.token("w1"), await proxy.token("w2")];
    const things = await madeBy(proxy, ours, true);
    // A worker for each connection, by chance.
    for (let n = 0; n < 8; n++) await assertOnlyTheirOwners(proxy, { things, ours, theirs });
  }
  await Deno.remove(dataDir, { recursive: true });
});

async function assertOnlyTheirOwners(
  proxy: Pick<ProxyUnderTest, "url">,
  { things, ours, theirs }: { readonly things: Things; readonly ours: string; readonly theirs: string },
): Promise<void> {
  using connection = new RawConnection(proxy.url);
  for (const target of ownPaths(things)) {
    assert.equal(await statusOf(connection, { method: "GET", target, token: ours }), 200, target);
    assert.equal(await statusOf(connection, { method: "GET", target, token: theirs }), 404, target);
  }
  for (const [what, body] of bodiesNaming(things, false)) {
    const answers = await Promise.all([ours, theirs].map((token) => post(proxy, { path: "/v1/responses", token, body })));
    assert.deepEqual(answers.map(({ status }) => status), [200, 404], what);
    for (const answer of answers) await answer.body?.cancel();
  }
}

async function startScene(env: Readonly<Record<string, string>> = {}) {
  const proxy = await startOpenaiProxy({}, { env });
  const { upstream } = proxy;
  upstream.answer(fakeOpenaiThings().answer);
  const [ours, theirs] = [await proxy.token("w1"), await proxy.token("w2")];
  return { proxy, upstream, ours, theirs, [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose]() };
}

/** Makes one of each, and looks at them as a client does. */
async function madeBy(proxy: Pick<ProxyUnderTest, "url">, token: string, isOpen: boolean): Promise<Things> {
  const make = async (path: string, body: Record<string, unknown> = {}) => {
    const answer = await post(proxy, { path, token, body: JSON.stringify(body) });
    const text = await answer.text();
    assert.equal(answer.status, 200, `${path}: ${text}`);
    const [, id] = /"id":"([^"]+)"/.exec(text) ?? [];
    return { id: id!, text };
  };
  const read = async (path: string) => {
    const answer = await fetch(proxy.url + path, { headers: { authorization: `Bearer ${token}` } });
    const text = await answer.text();
    assert.equal(answer.status, 200, `${path}: ${text}`);
    return text;
  };
  const [response, streamed, background] = [
    await make("/v1/responses", { model: "gpt-5.1", input: "hi" }),
    await make("/v1/responses", { model: "gpt-5.1", input: "hi", stream: true }),
    await make("/v1/responses", { model: "gpt-5.1", input: "hi", background: true }),
  ];
  const conversation = (await make("/v1/conversations")).id;
  const seen = [
    ...[response.text, streamed.text, await read(`/v1/responses/${background.id}`)],
    await read(`/v1/responses/${response.id}/input_items?limit=2`),
    (await make(`/v1/conversations/${conversation}/items`, { items: [{ role: "user", content: "hi" }] })).text,
    await read(`/v1/conversations/${conversation}/items`),
  ];
  const batch = isOpen ? (await make("/v1/batches", { completion_window: "24h" })).id : "";
  const [, outputFile = ""] = isOpen ? /"output_file_id":"([^"]+)"/.exec(await read(`/v1/batches/${batch}`)) ?? [] : [];
  return {
    ...{ response: response.id, streamed: streamed.id, background: background.id, conversation, batch, outputFile },
    file: (await make("/v1/files")).id,
    vectorStore: isOpen ? (await make("/v1/vector_stores")).id : "",
    container: isOpen ? (await make("/v1/containers")).id : "",
    items: [...new Set(seen.flatMap((text) => [...text.matchAll(/"id":"((?:msg|rs)_[^"]+)"/g)].map(([, id]) => id!)))],
  };
}

function idsOf({ items: _, ...things }: Things): readonly string[] {
  return Object.values(things).filter((id) => id !== "");
}

function ownPaths(things: Things): readonly string[] {
  const { response, streamed, background, conversation, file, vectorStore, container, batch, outputFile } = things;
  const all: readonly (readonly [id: string, paths: readonly string[]])[] = [
    [response, [`/v1/responses/${response}`, `/v1/responses/${response}/input_items`, `/v1/responses/${response}?stream=true`]],
    [streamed, [`/v1/responses/${streamed}`]],
    [background, [`/v1/responses/${background}`]],
    [conversation, [`/v1/conversations/${conversation}`, `/v1/conversations/${conversation}/items?after=${things.items[0]}`]],
    [file, [`/v1/files/${file}`, `/v1/files/${file}/content`]],
    [outputFile, [`/v1/files/${outputFile}/content`]],
    [vectorStore, [`/v1/vector_stores/${vectorStore}`, `/v1/vector_stores/${vectorStore}/files/${file}/content`]],
    [container, [`/v1/containers/${container}`, `/v1/containers/${container}/files`]],
    [batch, [`/v1/batches/${batch}`]],
  ];
  return all.flatMap(([id, paths]) => id === "" ? [] : paths);
}

/** Where an id may stand in a path or a query. */
function pathsTo(id: string): readonly string[] {
  const collections = ["responses", "conversations", "files", "vector_stores", "containers", "batches"];
  const rests = ["", "/cancel", "/input_items", "/items", "/content", "/files"];
  const own = collections.flatMap((collection) => rests.map((rest) => `/v1/${collection}/${id}${rest}`));
  return [
    ...own,
    ...[`/v1/evals/runs/${id}`, `/v1/models/${id}`, `/v1/chat/completions/${id}/messages`],
    ...[`/v1/models?file_id=${id}`, `/v1/models?x=1&after=${id}`, `/v1/models?x=%20${id}`, `/v1/models?${id}`],
  ];
}

/** All that a path may be taken for, were it read another way. */
function spellingsOf(path: string): readonly string[] {
  const [, collection = "", id = ""] = /^\/v1\/([^/?]+)[/?]([^/]*)/.exec(path) ?? [];
  const at = path.lastIndexOf(id);
  const respelled = path.includes("?") ? [] : [
    `${path.slice(0, at)}%${id.charCodeAt(0).toString(16)}${path.slice(at + 1)}`,
    `${path.slice(0, at)}./${path.slice(at)}`,
    `${path.slice(0, at)}x/../${path.slice(at)}`,
    `${path.slice(0, at)}/${path.slice(at)}`,
    `${path.slice(0, at - 1)}%2f${path.slice(at)}`,
  ];
  return [
    ...[path, `/openai${path}`, `/OpenAI${path}`, `/openai/openai${path}`, `http://proxy${path}`, `http://elsewhere${path}`],
    ...[
      `${path}/`,
      `${path}?stream=true`,
      `${path};x`,
      `${path}%00`,
      path.replace("/v1/", "/V1/"),
      path.replace("/v1/", "//v1/"),
    ],
    ...[path.replace(collection, collection.toUpperCase()), `/v1/models/..${path.slice(3)}`, `/v1/files/..${path.slice(3)}`],
    ...respelled,
  ];
}

function named(key: string, value: unknown): string {
  return JSON.stringify({ model: "gpt-5.1", input: "hi", messages: [], [key]: value });
}

/** Bodies of which each names one thing of those. */
function bodiesNaming(things: Things, isChat: boolean): readonly (readonly [what: string, body: string])[] {
  const { response, streamed, background, conversation, file, vectorStore, container, outputFile, items } = things;
  const around = (member: string) => `{"model":"gpt-5.1","messages":[],"input":[{"role":"user","content":[${member}]}]}`;
  const escaped = (text: string) =>
    [...text].map((letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
  const values: readonly (readonly [string, unknown])[] = [
    ["previous_response_id", response],
    ["previous_response_id", streamed],
    ["previous_response_id", background],
    ["conversation", conversation],
    ["conversation", { id: conversation }],
    ["prompt", { id: "x", variables: { picture: { type: "input_image", file_id: file } } }],
    ["input_file_id", file],
    ["input", [{ role: "user", content: [{ type: "input_file", file_id: file }] }]],
    ["tools", [{ type: "code_interpreter", container: { type: "auto", file_ids: [file] } }]],
    ["tools", [{ type: "code_interpreter", container: { type: "auto", files: [[{ any: file }]] } }]],
    ["prompt_cache_options", { comparison_response_id: response }],
    ["training_file", file],
    ["file_id", outputFile],
    ["tools", [{ type: "file_search", vector_store_ids: ["vs_", vectorStore].filter((id) => id === vectorStore) }]],
    ["tools", [{ type: "code_interpreter", container }]],
  ];
  const usable = values.filter(([, value]) => !/:""|\[""\]|^""$/.test(JSON.stringify(value)));
  const spelled: readonly (readonly [string, string])[] = [
    ["an escaped value", around(`{"file_id":"${escaped(file)}"}`)],
    ["an escaped key", around(`{"\\u0066ile\\u005Fid" \n:\t "${file}"}`)],
    ["an escaped key of an array", around(`{"\\u0066ile_ids":[ "x" , [{"a":"${file}"}]]}`)],
    ["the second of two", around(`{"file_id":"x","file_id":"${file}"}`)],
    ["the first of two", around(`{"file_id":"${file}","file_id":"x"}`)],
    ["one with spaces around it", around(`{"file_id":" ${file}\\n"}`)],
    ["one far behind", around(`{"type":"input_text","text":"${"x".repeat(300_000)}"},{"file_id":"${file}"}`)],
  ];
  const references = items.slice(0, 12).flatMap((id): readonly (readonly [string, unknown])[] => [
    ["input", [{ type: "item_reference", id }]],
    ["input", [{ id }]],
    ["items", [{ id, type: "item_reference" }]],
    ["input", [{ type: "reasoning", id, summary: [] }]],
  ]);
  const all = [...usable, ...isChat ? [] : references];
  return [...all.map(([key, value]) => [`${key}: ${JSON.stringify(value)}`, named(key, value)] as const), ...spelled];
}

const OWNED_KEYS = ["file_id", "file_ids", "previous_response_id", "conversation", "container", "vector_store_ids", "prompt"];
const OTHER_KEYS = ["text", "content", "metadata", "name", "role", "file", "ids", "xfile_id"];

/** Whether it names another's thing is known by a walk over what JSON.parse makes of it. */
function randomBody(below: (n: number) => number, { response, conversation, file, items }: Things) {
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const spelled = (text: string) =>
    [...text].map((letter) => below(4) > 0 ? letter : `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
  const foreign = [response, conversation, file, items[0]!];
  let rest = 2;
  const text = () => {
    if (rest > 0 && below(6) === 0) {
      rest--;
      return `"${spelled(pick(foreign))}"`;
    }
    return pick(['"hi"', '"msg_1-2"', '"a \\"file_id\\": \\"x\\""', `"see ${file} there"`, "1", "true", "null"]);
  };
  const value = (depth: number): string => {
    const kind = depth === 0 ? 0 : below(3);
    if (kind === 0) return text();
    const parts = Array.from({ length: below(4) }, (_, n) => {
      if (kind === 1) return value(depth - 1);
      // A key that comes twice: JSON.parse would keep the last only.
      const key = below(2) === 0 ? `"${spelled(pick([...OWNED_KEYS, "id"]))}` : `"${pick(OTHER_KEYS)}`;
      return `${n === 0 ? key : `"k${n}`}" :${pick(["", " ", "\n"])}${value(depth - 1)}`;
    });
    return kind === 1 ? `[${parts.join(" , ")}]` : `{${parts.join(",")}}`;
  };
  const body = `{"model":"gpt-5.1","input":[${value(4)},${value(4)},${value(3)}]}`;
  let isNaming = false;
  const walk = (inner: unknown, { isBelow, key }: { readonly isBelow: boolean; readonly key: string }) => {
    if (typeof inner === "string") isNaming ||= foreign.includes(inner) && (isBelow || key === "id");
    else if (Array.isArray(inner)) { for (const one of inner) walk(one, { isBelow, key: "" }); }
    else if (typeof inner === "object" && inner !== null) {
      for (const [name, one] of Object.entries(inner)) walk(one, { isBelow: isBelow || OWNED_KEYS.includes(name), key: name });
    }
  };
  walk(JSON.parse(body), { isBelow: false, key: "" });
  return { text: body, isNaming };
}

/** The upstream has seen no whole request that names one of them, however it is spelled. */
function assertUnnamed(upstream: FakeUpstream, things: Things): void {
  for (const call of upstream.calls.filter(({ isWhole }) => isWhole)) {
    const body = call.body.length === 0 ? "" : JSON.stringify(call.json());
    for (const id of [...idsOf(things), ...things.items]) {
      assert.ok(!call.target.includes(id) && !body.includes(id), `${call.method} ${call.target} ${body.slice(0, 200)}`);
    }
  }
}

function post(
  proxy: Pick<ProxyUnderTest, "url">,
  { path, token, body, coding = "" }: {
    readonly path: string;
    readonly token: string;
    readonly body: string;
    readonly coding?: string;
  },
): Promise<Response> {
  const headers = {
    authorization: `Bearer ${token}`,
    "content-type": "application/json",
    ...(coding !== "" && { "content-encoding": coding }),
  };
  return fetch(proxy.url + path, { method: "POST", headers, body: coding === "" ? body : new Uint8Array(gzipSync(body)) });
}

async function statusOf(
  connection: RawConnection,
  { method, target, token }: { readonly method: string; readonly target: string; readonly token: string },
): Promise<number> {
  const headers = [["host", "proxy"], ["authorization", `Bearer ${token}`], ["content-length", "0"]] as const;
  const { status, body } = await connection.send({ method, target, headers });
  assert.ok(!new TextDecoder().decode(body).includes(OPENAI_KEY));
  return status;
}
