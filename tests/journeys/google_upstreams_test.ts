/** Gemini, and Claude on Vertex AI by a service account: what goes upstream, and the rows. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { json, type SeenCall } from "../fake_answers.ts";
import { GEMINI_USAGE, geminiError, geminiModel } from "../fake_gemini.ts";
import { type FakeUpstream, startFakeUpstream } from "../fake_upstream.ts";
import { vertexModel } from "../fake_vertex.ts";
import { type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { FINAL_ANSWER } from "../scripted_turns.ts";
import { waitFor } from "../wait.ts";

const KEY = "AIza" + "k".repeat(35);
const MODEL = "gemini-3.8-flash";
const CLAUDE = "claude-haiku-4-5@20251001";
const SCRIPT = { turn: () => ({ text: FINAL_ANSWER }) };
const { privateKey } = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
  publicKeyEncoding: { type: "spki", format: "pem" },
});

interface Stand extends AsyncDisposable {
  readonly proxy: ProxyUnderTest;
  readonly google: FakeUpstream;
  readonly vertexCalls: () => readonly SeenCall[];
  /** Tokens that the fake has minted. */
  minted: number;
  /** The token that it lets in. */
  valid: number;
  /** How far the proxy's clock is ahead, milliseconds. */
  aheadMs: number;
}

/** One fake is the token server, Vertex AI and the Gemini API. */
async function standOf(): Promise<Stand> {
  const stack = new AsyncDisposableStack();
  const dir = await Deno.makeTempDir({ prefix: "llmproxy-google-" });
  stack.defer(() => Deno.remove(dir, { recursive: true }));
  const google = stack.use(await startFakeUpstream());
  const account = {
    type: "service_account",
    client_email: "proxy@team-7.iam.gserviceaccount.com",
    private_key: privateKey,
    token_uri: `${google.url}/token`,
  };
  await Deno.writeTextFile(`${dir}/account.json`, JSON.stringify(account));
  const upstreams = [
    {
      ...{ name: "claude-vertex", dialect: "vertex", baseUrl: `${google.url}/at-{location}` },
      ...{ project: "team-7", locations: ["global", "us-east5"] },
      credentials: [{ name: "account", google: { serviceAccountFile: `${dir}/account.json` } }],
    },
    { name: "gemini", dialect: "gemini", baseUrl: google.url, credentials: [{ name: "gemini-key", key: KEY }] },
  ];
  await Deno.writeTextFile(`${dir}/upstreams.json`, JSON.stringify(upstreams));
  const clock = { aheadMs: 0 };
  const proxy = stack.use(
    await startProxy({
      env: { LLMPROXY_UPSTREAMS_FILE: `${dir}/upstreams.json` },
      system: { now: () => Date.now() + clock.aheadMs },
    }),
  );
  const stand = Object.assign(clock, {
    ...{ proxy, google, minted: 0, valid: 1 },
    vertexCalls: () => google.calls.filter(({ target }) => target.startsWith("/at-")),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  });
  google.answer((call) => {
    if (call.target === "/token") return json({ access_token: `ya29.token-number-${++stand.minted}`, expires_in: 3_600 });
    if (!call.target.startsWith("/at-")) return geminiModel(SCRIPT)(call);
    if (call.header("authorization") !== `Bearer ya29.token-number-${stand.valid}`) return geminiError(401, "Expired.");
    return vertexModel(SCRIPT)({ ...call, target: call.target.replace(/^\/at-[^/]+/, ""), json: () => call.json() } as SeenCall);
  });
  return stand;
}

const SAY = { contents: [{ role: "user", parts: [{ text: "hi" }] }], generationConfig: { maxOutputTokens: 64 } };
const MESSAGE = { anthropic_version: "vertex-2023-10-16", max_tokens: 64, messages: [{ role: "user", content: "hi" }] };

async function ask(
  { proxy }: Stand,
  { path, headers, body }: { readonly path: string; readonly headers: Readonly<Record<string, string>>; readonly body: unknown },
): Promise<{ readonly status: number; readonly text: string }> {
  const init = { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) };
  const answer = await fetch(proxy.url + path, init);
  return { status: answer.status, text: await answer.text() };
}

function claudeAt(location: string, call = "streamRawPredict"): string {
  return `/v1/projects/mallory/locations/${location}/publishers/anthropic/models/${CLAUDE}:${call}`;
}

Deno.test("calls to Gemini are metered whether they answer whole, in events or in one array, and the key is the operator's", async () => {
  await using stand = await standOf();
  const { proxy, google } = stand;
  const token = await proxy.token();
  const base = `/v1beta/models/${MODEL}`;
  const asked = [
    [`${base}:generateContent`, { "x-goog-api-key": token }],
    [`${base}:streamGenerateContent?alt=sse`, { "x-goog-api-key": token, "x-goog-user-project": "mallory" }],
    [`${base}:streamGenerateContent`, { authorization: `Bearer ${token}` }],
    [`/gemini/v1/models/${MODEL}:generateContent`, { "x-goog-api-key": token }],
  ] as const;
  for (const [path, headers] of asked) {
    const { status, text } = await ask(stand, { path, headers, body: SAY });
    assert.equal(status, 200, text);
  }
  for (const row of await proxy.closedRows(asked.length)) {
    assert.deepEqual([row.outcome, row.accuracy, row.provider, row.upstream, row.requested_model, row.max_tokens], [
      ...["completed", "exact", "gcp.gemini", "gemini", MODEL],
      64,
    ]);
    assert.deepEqual([row.input_tokens, row.cache_read_input_tokens, row.output_tokens, row.thinking_tokens], [
      GEMINI_USAGE.promptTokenCount - GEMINI_USAGE.cachedContentTokenCount,
      GEMINI_USAGE.cachedContentTokenCount,
      GEMINI_USAGE.candidatesTokenCount + GEMINI_USAGE.thoughtsTokenCount,
      GEMINI_USAGE.thoughtsTokenCount,
    ]);
    assert.notEqual(row.cost, null);
  }
  assert.deepEqual((await proxy.closedRows(asked.length)).map(({ streaming }) => streaming), [0, 1, 1, 0]);
  for (const call of google.calls) {
    assert.deepEqual([call.header("x-goog-api-key"), call.header("authorization")], [KEY, null]);
    assert.equal(call.header("x-goog-user-project"), null);
    assert.ok(!call.target.startsWith("/gemini"));
  }
});

Deno.test("a stream of Gemini that ends before its reason breaks the client's connection, and the row is estimated", async () => {
  await using stand = await standOf();
  const { proxy, google } = stand;
  google.answer(geminiModel({ ...SCRIPT, middle: () => "end" }));
  const headers = { "x-goog-api-key": await proxy.token() };
  for (const query of ["?alt=sse", ""]) {
    const path = `/v1beta/models/${MODEL}:streamGenerateContent${query}`;
    await assert.rejects(ask(stand, { path, headers, body: SAY }), /error reading a body/);
  }
  for (const row of await proxy.closedRows(2)) {
    assert.deepEqual([row.outcome, row.accuracy], ["upstream_broke", "estimated"]);
    assert.ok(Number(row.output_tokens) > 0);
  }
});

Deno.test("Gemini's clients are refused in Google's words: a key in the URL, a hidden usage, a closed path, no token", async () => {
  await using stand = await standOf();
  const token = await stand.proxy.token();
  const base = `/v1beta/models/${MODEL}`;
  const refused = [
    [`${base}:generateContent?key=${token}`, {}, 401, "UNAUTHENTICATED"],
    [`${base}:generateContent?key=${token}`, { "x-goog-api-key": token }, 401, "UNAUTHENTICATED"],
    [`${base}:generateContent?fields=candidates`, { "x-goog-api-key": token }, 403, "PERMISSION_DENIED"],
    [`${base}:embedContent`, { "x-goog-api-key": token }, 403, "PERMISSION_DENIED"],
    ["/upload/v1beta/files", { "x-goog-api-key": token }, 403, "PERMISSION_DENIED"],
    ["/v1beta/interactions", { "x-goog-api-key": token }, 403, "PERMISSION_DENIED"],
    [`${base}:generateContent`, {}, 401, "UNAUTHENTICATED"],
  ] as const;
  for (const [path, headers, status, name] of refused) {
    const answer = await ask(stand, { path, headers, body: SAY });
    const { error } = JSON.parse(answer.text);
    assert.deepEqual([answer.status, error.code, error.status], [status, status, name], path);
    assert.ok(!answer.text.includes(token));
  }
  assert.equal(stand.google.calls.length, 0);
});

Deno.test("a body that names a file of the key's is refused: the key would show it to every workspace", async () => {
  await using stand = await standOf();
  const headers = { "x-goog-api-key": await stand.proxy.token() };
  const path = `/v1beta/models/${MODEL}:generateContent`;
  const about = (fileUri: string) => ({ contents: [{ parts: [{ fileData: { fileUri } }] }] });
  for (
    const body of [about("https://generativelanguage.googleapis.com/v1beta/files/abc"), {
      ...SAY,
      cachedContent: "cachedContents/x",
    }]
  ) {
    const { status, text } = await ask(stand, { path, headers, body });
    assert.deepEqual([status, JSON.parse(text).error.status], [404, "NOT_FOUND"]);
  }
  assert.equal((await ask(stand, { path, headers, body: about("https://www.youtube.com/watch?v=1") })).status, 200);
});

Deno.test("a service account pays for Claude on Vertex AI: one token, the operator's project, and the place's price", async () => {
  await using stand = await standOf();
  const { proxy } = stand;
  const headers = { authorization: `Bearer ${await proxy.token()}`, "x-goog-user-project": "mallory" };
  const answers = await Promise.all([
    ...Array.from({ length: 8 }, () => ask(stand, { path: claudeAt("us-east5"), headers, body: { ...MESSAGE, stream: true } })),
    ask(stand, { path: claudeAt("global", "rawPredict"), headers, body: MESSAGE }),
    ask(stand, {
      path: claudeAt("global", "rawPredict").replace(CLAUDE, "count-tokens"),
      headers,
      body: { ...MESSAGE, model: CLAUDE },
    }),
  ]);
  assert.deepEqual(answers.map(({ status }) => status), answers.map(() => 200));
  assert.equal(stand.minted, 1);
  const rows = await proxy.closedRows(9);
  assert.equal(rows.length, 9);
  assert.deepEqual(new Set(rows.map(({ inference_geo }) => inference_geo)), new Set(["us-east5", "global"]));
  for (const row of rows) {
    assert.deepEqual([row.outcome, row.accuracy, row.provider, row.requested_model], [
      ...["completed", "exact", "gcp.vertex_ai", CLAUDE],
    ]);
    assert.notEqual(row.cost, null);
  }
  const costOf = (place: string) => Number(rows.find(({ inference_geo }) => inference_geo === place)!.cost);
  assert.ok(costOf("us-east5") > costOf("global"));
  for (const call of stand.vertexCalls()) {
    assert.match(call.target, /^\/at-(us-east5|global)\/v1\/projects\/team-7\/locations\/\1\//);
    assert.deepEqual([call.header("authorization"), call.header("x-goog-user-project")], ["Bearer ya29.token-number-1", null]);
  }
  assert.ok(!proxy.logs.join().includes("ya29."));
});

Deno.test("Claude on Vertex AI gets the body as the client sent it, with the stream in it (trap 38)", async () => {
  await using stand = await standOf();
  const headers = { authorization: `Bearer ${await stand.proxy.token()}` };
  const body = { stream: true, ...MESSAGE };
  assert.equal((await ask(stand, { path: claudeAt("global"), headers, body })).status, 200);
  const [call] = stand.vertexCalls();
  assert.equal(new TextDecoder().decode(call!.body), JSON.stringify(body));
});

Deno.test("a location that the operator does not name is refused in words, as is a base URL without /v1 and a query that hides usage", async () => {
  await using stand = await standOf();
  const headers = { authorization: `Bearer ${await stand.proxy.token()}` };
  const elsewhere = await ask(stand, { path: claudeAt("europe-west1"), headers, body: MESSAGE });
  assert.equal(elsewhere.status, 403);
  assert.match(JSON.parse(elsewhere.text).error.message, /one of these: global, us-east5/);
  const withoutVersion = await ask(stand, { path: claudeAt("global").replace("/v1", ""), headers, body: MESSAGE });
  assert.equal(withoutVersion.status, 421);
  assert.match(JSON.parse(withoutVersion.text).error.message, /\/v1 is missing/);
  const hiding = await ask(stand, { path: `/v1beta/models/${MODEL}:generateContent?fields=candidates`, headers, body: SAY });
  assert.equal(hiding.status, 403);
  assert.match(JSON.parse(hiding.text).error.message, /query is not open/);
  assert.equal(stand.google.calls.length, 0);
  // What the proxy refuses by itself has no row: it is no call that failed.
  assert.deepEqual(await stand.proxy.closedRows(0), []);
});

Deno.test("after a 401 of Vertex AI the next call mints a new token, unless the old one is but seconds old", async () => {
  await using stand = await standOf();
  const headers = { authorization: `Bearer ${await stand.proxy.token()}` };
  const statusOf = async () =>
    (await ask(stand, { path: claudeAt("global"), headers, body: { ...MESSAGE, stream: true } })).status;
  assert.equal(await statusOf(), 200);
  stand.valid = 2;
  assert.deepEqual([await statusOf(), await statusOf(), stand.minted], [502, 502, 1]);
  stand.aheadMs = 600_000;
  assert.deepEqual([await statusOf(), await statusOf(), await statusOf(), stand.minted], [502, 200, 200, 2]);
});

Deno.test("a service account that is refused stops its calls with a refusal that holds nothing of it", async () => {
  await using stand = await standOf();
  stand.google.answer(() => ({ ...json({ error: "invalid_grant", error_description: "hush-hush" }), status: 400 }));
  const headers = { authorization: `Bearer ${await stand.proxy.token()}` };
  const { status, text } = await ask(stand, { path: claudeAt("global"), headers, body: MESSAGE });
  assert.equal(status, 502);
  assert.equal(JSON.parse(text).type, "error");
  await waitFor(() => stand.proxy.logs.some((line) => line.includes("invalid_grant")), { what: "the log to say why" });
  assert.ok(![text, ...stand.proxy.logs].join().includes("hush-hush"));
  assert.ok(!stand.proxy.logs.join().includes(privateKey.split("\n")[1]!));
});
