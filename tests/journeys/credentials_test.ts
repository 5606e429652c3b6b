import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { browserAt, dashboardAt } from "../dashboard_browser.ts";
import { defaultAnswer, failing, json, type SeenCall } from "../fake_answers.ts";
import { messageBody, usageOf } from "../fake_messages.ts";
import { fakeThings } from "../fake_things.ts";
import { type FakeUpstream, startFakeUpstream } from "../fake_upstream.ts";
import { rowsIn, textOf } from "../html_text.ts";
import { HURRIED } from "../hurried_pace.ts";
import { KEY_STEM, keyOf, type KeysFile, keysFile, nameIn, refusing, treat, WITHOUT_CREDIT } from "../keys_file.ts";
import { metricOf, readinessOf } from "../process_metrics.ts";
import { type ProxyProcess, startProxyProcess } from "../proxy_process.ts";
import { messageCall, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { clientOf, saying, SDKS } from "../sdk_clients.ts";
import { waitFor } from "../wait.ts";

const THREE = ["a", "b", "c"];
const SESSIONS = Array.from({ length: 60 }, (_, n) => `session-${n}`);
/** The first back-off is 5 s. */
const BACK_MS = 20_000;

Deno.test("500 calls of a session stay on one of three credentials, a short 429 among them, and every row names it", async () => {
  await using stand = await standOf();
  const { proxy, upstream, token } = stand;
  assert.equal(await statusOf(proxy, { token, session: "s" }), 200);
  const home = nameIn(upstream.calls[0]!);
  for (let n = 1; n < 500; n++) {
    if (n === 250) {
      upstream.answer(failing(429, { headers: { "retry-after": "1" } }));
      assert.equal(await statusOf(proxy, { token, session: "s" }), 429);
      upstream.answer("default");
    }
    assert.equal(await statusOf(proxy, { token, session: "s" }), 200);
  }
  assert.equal(upstream.calls.length, 501);
  assert.deepEqual([...new Set(upstream.calls.map(nameIn))], [home]);
  const waitedMs = upstream.calls[251]!.receivedAt - upstream.calls[250]!.answeredAt!;
  assert.ok(waitedMs >= 990, `the next call came after ${waitedMs} ms`);
  const rows = await proxy.closedRows(501);
  assert.deepEqual([...new Set(rows.map((row) => row.credential_id))], [home]);
});

Deno.test("a credential that the upstream refuses is taken out: only its sessions move, and they return when it is good again", async () => {
  await using stand = await standOf();
  const { proxy, upstream } = stand;
  const before = await stand.places();
  treat(upstream, { b: refusing });
  const [first = assert.fail(), ...others] = SESSIONS.filter((_, n) => before[n] === "b");
  assert.ok(others.length > 5 && new Set(before).size === 3);

  const refused = await fetch(`${proxy.url}/v1/messages`, callOf(stand.token, first));
  assert.deepEqual([refused.status, refused.headers.get("retry-after"), refused.headers.get("x-should-retry")], [502, "1", null]);
  assert.match((await refused.json()).error.message, /Ask again: another one is used/);
  const after = await stand.places();
  for (const [n, name] of after.entries()) assert.ok(before[n] === "b" ? name !== "b" : name === before[n], SESSIONS[n]);
  for (const [name, isOut] of [["a", 0], ["b", 1], ["c", 0]] as const) {
    assert.equal(await metricOf(proxy, `llmproxy_credential_out{credential="${name}"}`), isOut);
  }
  for (const url of [proxy.url, proxy.adminUrl]) {
    const told = await readinessOf({ url });
    assert.deepEqual(told, { code: 200, status: "degraded", reason: "1 of 3 upstream credentials are out of use" });
  }
  const loud = proxy.logs.map((line) => JSON.parse(line)).filter(({ level }) => level === "error");
  assert.deepEqual(loud.map(({ credentialId }) => credentialId), ["b", "b"]);
  assert.match(loud[1].msg, /out of use, because the upstream refuses it/);
  const [row] = (await proxy.closedRows(2 * SESSIONS.length + 1)).filter(({ status }) => status === 401);
  assert.deepEqual([row!.credential_id, row!.outcome, row!.error_type], ["b", "upstream_error", "authentication_error"]);

  upstream.answer("default");
  await waitFor(async () => String(await stand.places()) === String(before), {
    what: "its sessions to return",
    deadlineMs: BACK_MS,
  });
  assert.equal((await readinessOf(proxy)).status, "ok");
});

Deno.test("the proxy is unavailable only if all credentials are refused, and a single one is never taken out", async () => {
  {
    await using stand = await standOf({ names: ["a", "b"] });
    const { proxy, upstream } = stand;
    upstream.answer(refusing);
    const answers = [];
    for (const session of SESSIONS.slice(0, 20)) {
      answers.push(await fetch(`${proxy.url}/v1/messages`, callOf(stand.token, session)));
    }
    for (const answer of answers) await answer.body?.cancel();
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [502]);
    assert.deepEqual(answers.map((answer) => answer.headers.get("retry-after")).filter((value) => value !== null), ["1"]);
    const told = await readinessOf(proxy);
    assert.deepEqual(told, { code: 503, status: "unavailable", reason: "2 of 2 upstream credentials are out of use" });
  }
  await using stand = await standOf({ names: ["only"] });
  stand.upstream.answer(refusing);
  const answer = await fetch(`${stand.proxy.url}/v1/messages`, callOf(stand.token, "s"));
  await answer.body?.cancel();
  assert.deepEqual([answer.status, answer.headers.get("x-should-retry")], [502, "false"]);
  assert.equal((await readinessOf(stand.proxy)).status, "ok");
  assert.equal(stand.upstream.calls.length, 1);
});

for (const { name, Sdk } of SDKS) {
  Deno.test(`${name} asks again by itself after its credential was refused, and its user notices nothing`, async () => {
    await using stand = await standOf();
    const { proxy, upstream, token } = stand;
    await statusOf(proxy, { token, session: "s" });
    treat(upstream, { [nameIn(upstream.calls[0]!)!]: refusing });
    const { client } = clientOf(Sdk, { url: proxy.url, token, maxRetries: 1 });
    const params = saying("hello");
    const message = await client.messages.create(params, { headers: { "x-trace-id": "s" } });
    assert.equal(message.usage.output_tokens, usageOf("hello").output_tokens);
  });
}

Deno.test("a credential without credit is taken out, and its answer passes as it is; a request that repeats the words changes nothing", async () => {
  await using stand = await standOf();
  const { proxy, upstream, token } = stand;
  const before = await stand.places();
  const echo = `${WITHOUT_CREDIT}: Extra inputs are not permitted`;
  upstream.answer(failing(400, { message: echo }));
  for (const session of SESSIONS.slice(0, 6)) assert.equal(await statusOf(proxy, { token, session }), 400);
  upstream.answer(failing(403, { message: "Your API key may not use this model" }));
  for (const session of SESSIONS.slice(0, 6)) assert.equal(await statusOf(proxy, { token, session }), 403);
  upstream.answer("default");
  assert.deepEqual(await stand.places(), before);

  const broke = failing(400, { message: WITHOUT_CREDIT });
  treat(upstream, { b: broke });
  const session = SESSIONS[before.indexOf("b")]!;
  const answer = await fetch(`${proxy.url}/v1/messages`, callOf(token, session));
  assert.deepEqual([answer.status, await answer.text()], [400, broke(upstream.calls.at(-1)!).body]);
  const after = await stand.places();
  for (const [n, name] of after.entries()) assert.ok(before[n] === "b" ? name !== "b" : name === before[n], SESSIONS[n]);
  assert.equal(await metricOf(proxy, 'llmproxy_credential_out{credential="b"}'), 1);
});

Deno.test("files and batches stay reachable under the credential that made them, also those that a session's tool made", async () => {
  await using stand = await standOf({ system: { batchPace: HURRIED } });
  const { proxy, upstream } = stand;
  const accounts = new Map([...THREE, "d"].map((name, n) => [name, fakeThings({ from: 1_000 * n })]));
  const tool = {
    type: "code_execution_tool_result",
    content: { content: [{ type: "code_execution_output", file_id: "file_tool" }] },
  };
  upstream.answer((call) => {
    const name = nameIn(call)!;
    if (call.target.startsWith("/v1/files/file_tool")) {
      return name === toolMadeBy ? json({ id: "file_tool", type: "file" }) : failing(404)(call);
    }
    if (call.method === "POST" && call.target === "/v1/messages") {
      return json({
        ...messageBody({ id: call.messageId, model: "m", usage: usageOf("x"), deltas: 1 }),
        ...call.header("x-trace-id") === toolSession && { content: [tool] },
      });
    }
    return accounts.get(name)!.answer(call);
  });
  let [toolMadeBy, toolSession] = ["", ""];
  // The accounting of batches calls too.
  const lastOf = (target: string) => nameIn(upstream.calls.findLast((call) => call.target === target)!);
  const tokens = await Promise.all(Array.from({ length: 12 }, (_, n) => proxy.token(`w${n}`)));
  const made: { token: string; path: string; name: string }[] = [];
  for (const token of tokens) {
    for (const path of ["/v1/files", "/v1/messages/batches"]) {
      const answer = await fetch(proxy.url + path, { ...callOf(token, "s"), body: JSON.stringify({ requests: [] }) });
      made.push({ token, path: `${path}/${(await answer.json()).id}`, name: lastOf(path)! });
    }
  }
  assert.equal(new Set(made.map(({ name }) => name)).size, 3);

  // A fourth credential, and one that is refused, change nothing for what was made.
  await stand.file.write([...THREE, "d"]);
  proxy.running.reload();
  for (const { token, path, name } of made) {
    const answer = await fetch(proxy.url + path, { headers: { "x-api-key": token } });
    await answer.body?.cancel();
    assert.deepEqual([answer.status, lastOf(path)], [200, name], path);
    if (!path.startsWith("/v1/files")) continue;
    const source = { type: "file", file_id: path.split("/").at(-1) };
    const content = [{ type: "document", source }];
    const body = JSON.stringify({ model: "m", max_tokens: 1, messages: [{ role: "user", content }] });
    assert.equal(
      (await fetch(`${proxy.url}/v1/messages`, { ...callOf(token, "t"), body }).then((got) => got.text())).includes("msg_"),
      true,
    );
    assert.equal(lastOf("/v1/messages"), name, "a message goes elsewhere than its file");
  }
  const [token] = tokens;
  toolSession = await otherSession(stand, made[0]!.name);
  assert.equal(await statusOf(proxy, { token: token!, session: toolSession }), 200);
  toolMadeBy = lastOf("/v1/messages")!;
  assert.notEqual(toolMadeBy, made[0]!.name);
  const answer = await fetch(`${proxy.url}/v1/files/file_tool`, { headers: { "x-api-key": token! } });
  assert.deepEqual([answer.status, (await answer.json()).id], [200, "file_tool"]);

  for (const [name, things] of accounts) {
    for (const id of things.batches.keys()) things.finish(id, 2);
    assert.ok(name === "d" || things.batches.size > 0);
  }
  const lines = () => proxy.rows().filter(({ kind }) => kind === "batch_line");
  await waitFor(() => lines().length === 2 * tokens.length, { what: "the lines of all batches" });
  for (const name of THREE) {
    const batches = made.filter((thing) => thing.name === name && thing.path.includes("batches"));
    assert.equal(lines().filter(({ credential_id }) => credential_id === name).length, 2 * batches.length);
  }
});

Deno.test("a credential's calls go to its own base URL", async () => {
  await using other = await startFakeUpstream();
  await using stand = await standOf();
  await stand.file.write(JSON.stringify([
    { name: "a", key: keyOf("a") },
    { name: "b", key: keyOf("b"), baseUrl: `${other.url}/gateway` },
  ]));
  stand.proxy.running.reload();
  await stand.places().catch(() => {});
  assert.deepEqual([...new Set(stand.upstream.calls.map(nameIn))], ["a"]);
  assert.deepEqual([...new Set(other.calls.map((call) => `${nameIn(call)} ${call.target}`))], ["b /gateway/v1/messages"]);
});

for (const workers of ["1", "2"]) {
  Deno.test(`SIGHUP adds a fourth credential: of ${workers} process(es) only its share of sessions moves; a broken file changes nothing`, async () => {
    const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
    {
      await using upstream = await startFakeUpstream();
      await using file = await keysFile(...THREE);
      const env = { ...file.env, LLMPROXY_WORKERS: workers };
      await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
      const token = await proxy.token();
      const before = await placesOf(proxy, { upstream, token, sessions: manySessions() });
      await file.write(`[{"name": "a", "key": "${keyOf("leaked")} "}, {"name": "b"}]`);
      proxy.kill("SIGHUP");
      const broken = await waitFor(() => lineOf(proxy, "cannot read the secrets again; the old ones stay"), {
        what: "the log to say why",
      });
      assert.deepEqual(broken.problems, [
        `Cannot use [0].key of ${file.path}: it ends with a blank or a tab: remove that`,
        `Cannot use [1] of ${file.path}: it needs either key or keyFile`,
      ]);
      assert.deepEqual(await placesOf(proxy, { upstream, token, sessions: manySessions() }), before);

      await file.write([...THREE, "d"]);
      proxy.kill("SIGHUP");
      const read = await waitFor(() => lineOf(proxy, "the secrets were read again"), { what: "the file to be read" });
      assert.equal(read.credentialId, "a, b, c, d");
      await waitFor(async () => await metricOf(proxy, 'llmproxy_credential_out{credential="d"}') === 0, { what: "the workers" });
      const after = await placesOf(proxy, { upstream, token, sessions: manySessions() });
      const moved = after.filter((name, n) => name !== before[n]);
      assert.deepEqual([...new Set(moved)], ["d"]);
      const share = moved.length / after.length;
      assert.ok(share > 0.15 && share < 0.35, `${share} moved`);

      treat(upstream, { d: refusing });
      await placesOf(proxy, { upstream, token, sessions: manySessions() });
      for (const url of [proxy.url, proxy.adminUrl]) {
        await waitFor(async () => (await readinessOf({ url })).status === "degraded", { what: `${url} to be degraded` });
      }
      assert.equal(await metricOf(proxy, 'llmproxy_credential_out{credential="d"}'), 1);
      const health = await healthPageOf(proxy);
      assert.ok(textOf(health).includes(`Workers ${workers} `));
      const shown = rowsIn(health, "Upstream credentials").map(([id, ...cells]) => [id, ...cells.slice(0, 2), cells[2] !== "–"]);
      assert.deepEqual(shown, [
        ...["a", "b", "c"].map((id) => [id, "anthropic", "in use", false]),
        ["d", "anthropic", "out: the upstream refuses it", true],
      ]);
      assert.ok(!health.includes(KEY_STEM));
      assert.ok(!proxy.output().includes(KEY_STEM));
    }
    await Deno.remove(dataDir, { recursive: true });
  });
}

async function healthPageOf({ adminUrl, env }: ProxyProcess): Promise<string> {
  const browser = browserAt(dashboardAt(adminUrl));
  await browser.signIn(env.LLMPROXY_ADMIN_TOKEN!);
  return (await browser.open("/dashboard/health")).text;
}

Deno.test("no key of the file comes out anywhere: in answers, rows, the log, the data directory or the admin API", async () => {
  await using stand = await standOf({ env: { LLMPROXY_LOG_LEVEL: "trace" } });
  const { proxy, upstream, token } = stand;
  const keys = [...THREE, "d"].map(keyOf);
  const shown: string[] = [];
  async function call(session: string): Promise<void> {
    const answer = await fetch(`${proxy.url}/v1/messages`, callOf(token, session));
    shown.push(JSON.stringify([...answer.headers]), await answer.text());
  }
  const echo = (call: SeenCall) =>
    failing(400, { headers: { "x-key": call.header("x-api-key")!, [`x-${nameIn(call)}`]: "1" } })(call);
  for (
    const answer of [
      defaultAnswer,
      echo,
      refusing,
      failing(400, { message: WITHOUT_CREDIT }),
      failing(429, { headers: { "retry-after": "999" } }),
    ]
  ) {
    treat(upstream, { b: answer, c: answer });
    for (const session of SESSIONS.slice(0, 12)) await call(session);
  }
  await stand.file.write(["a", "d"]);
  proxy.running.reload();
  upstream.answer("reset");
  for (const session of SESSIONS.slice(0, 12)) await call(session);
  const paths = ["/internal/usage", "/internal/traces", "/internal/refusals", "/internal/tokens", "/metrics"];
  for (const path of paths) shown.push(await proxy.text(path));
  shown.push(...proxy.logs, JSON.stringify(proxy.rows(), (_, value) => typeof value === "bigint" ? String(value) : value));
  for (const { name } of Deno.readDirSync(proxy.dataDir)) {
    const bytes = await Deno.readFile(`${proxy.dataDir}/${name}`);
    shown.push(Buffer.from(bytes).toString("latin1"));
  }
  assert.ok(proxy.logs.length > 50);
  for (const text of shown) {
    for (const key of keys) assert.ok(!text.includes(key), `${key} came out: ${text.slice(0, 300)}`);
  }
});

interface Stand extends AsyncDisposable {
  readonly proxy: ProxyUnderTest;
  readonly upstream: FakeUpstream;
  readonly file: KeysFile;
  readonly token: string;
  /** The credential of one call of each session. */
  readonly places: () => Promise<readonly (string | null)[]>;
}

async function standOf(
  { names = THREE, env = {}, system = {} }: {
    readonly names?: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
    readonly system?: NonNullable<Parameters<typeof startProxy>[0]>["system"];
  } = {},
): Promise<Stand> {
  const file = await keysFile(...names);
  const proxy = await startProxy({ env: { ...file.env, ...env }, system });
  const { upstream } = proxy;
  const token = await proxy.token();
  return {
    ...{ proxy, upstream, file, token },
    places: () => placesOf(proxy, { upstream, token, sessions: SESSIONS }),
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      await file[Symbol.asyncDispose]();
    },
  };
}

async function placesOf(
  proxy: Pick<ProxyUnderTest, "url">,
  { upstream, token, sessions }: {
    readonly upstream: FakeUpstream;
    readonly token: string;
    readonly sessions: readonly string[];
  },
): Promise<readonly (string | null)[]> {
  const from = upstream.calls.length;
  await Promise.all(sessions.map((session) => statusOf(proxy, { token, session })));
  const calls = new Map(upstream.calls.slice(from).map((call) => [call.header("x-trace-id"), call]));
  return sessions.map((session) => nameIn(calls.get(session)!));
}

async function statusOf(
  proxy: Pick<ProxyUnderTest, "url">,
  { token, session }: { readonly token: string; readonly session: string },
): Promise<number> {
  const answer = await fetch(`${proxy.url}/v1/messages`, callOf(token, session));
  await answer.body?.cancel();
  return answer.status;
}

function callOf(token: string, session: string): RequestInit {
  return messageCall(token, { headers: { "x-trace-id": session } });
}

/** Of the first workspace's token, whose credential is another one than that. */
async function otherSession({ proxy, upstream }: Stand, name: string): Promise<string> {
  const token = await proxy.token("w0");
  const places = await placesOf(proxy, { upstream, token, sessions: SESSIONS });
  return SESSIONS[places.findIndex((place) => place !== name)]!;
}

function manySessions(): readonly string[] {
  return Array.from({ length: 200 }, (_, n) => `many-${n}`);
}

function lineOf(proxy: ProxyProcess, message: string) {
  return proxy.logs().find(({ msg }) => msg === message) ?? null;
}
