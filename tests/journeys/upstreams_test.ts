/** A file of upstreams: who is served where, SIGHUP, and no secret that comes out. */
import assert from "node:assert/strict";
import { defaultAnswer, failing, type SeenCall } from "../fake_answers.ts";
import { type FakeUpstream, startFakeUpstream } from "../fake_upstream.ts";
import { type ProxyProcess, startProxyProcess } from "../proxy_process.ts";
import { waitFor } from "../wait.ts";

/** All secrets of the file have it. */
const HUSH = "hush-0123456789";
const KEYS = { first: `sk-${HUSH}-first`, second: `sk-${HUSH}-second`, third: `sk-${HUSH}-third` };

for (const workers of ["1", "2"]) {
  Deno.test(`LLMPROXY_UPSTREAMS_FILE of ${workers} process(es) decides by model and workspace, is read again on SIGHUP, and no key comes out`, async (t) => {
    await using stand = await standOf(workers);
    const { proxy, first, second } = stand;
    const [acme, blue] = [await proxy.token("acme"), await proxy.token("blue")];

    await t.step("the first upstream that allows workspace and model takes the call, and the row names it", async () => {
      assert.deepEqual(await stand.ask(acme, "claude-haiku-4-5"), [200, "first"]);
      assert.deepEqual(await stand.ask(acme, "us.anthropic.claude-haiku-4-5"), [200, "second"]);
      assert.deepEqual(await stand.ask(blue, "claude-haiku-4-5"), [200, "first"]);
      const rows = await proxy.closedRows(3);
      assert.deepEqual(rows.map(({ upstream, provider, credential_id }) => [upstream, provider, credential_id]), [
        ["first", "anthropic", "first-key"],
        ["second", "aws.bedrock", "second-key"],
        ["first", "anthropic", "first-key"],
      ]);
      assert.equal(first.calls[0]!.header("x-api-key"), KEYS.first);
      assert.equal(second.calls[0]!.header("x-api-key"), KEYS.second);
    });

    await t.step("a call that no upstream allows is refused, and goes nowhere", async () => {
      const sent = first.calls.length + second.calls.length;
      for (const [token, model] of [[blue, "us.anthropic.claude-haiku-4-5"], [acme, "gpt-6-sol"], [acme, ARN]] as const) {
        assert.deepEqual(await stand.ask(token, model), [403, null]);
      }
      assert.equal(first.calls.length + second.calls.length, sent);
    });

    await t.step("operators see the upstreams by name", async () => {
      const { upstreams } = await proxy.ask("/internal/upstreams") as { upstreams: readonly Readonly<Record<string, unknown>>[] };
      assert.deepEqual(upstreams.map(({ name, provider, workspaces }) => [name, provider, workspaces]), [
        ["first", "anthropic", null],
        ["second", "aws.bedrock", ["acme"]],
      ]);
    });

    await t.step("a broken file changes nothing, and the log says why", async () => {
      await stand.write([{ ...stand.entries[0], name: KEYS.third }, { ...stand.entries[1], readOn: KEYS.third }]);
      proxy.kill("SIGHUP");
      const line = await waitFor(() => stand.logged("cannot read the secrets again; the old ones stay"), { what: "the log" });
      assert.equal((line.problems as readonly string[]).length, 2);
      assert.match(String(line.problems), /Cannot use \[1\]\.readOn of .*upstreams\.json: there is no such key/);
      assert.deepEqual(await stand.ask(acme, "us.anthropic.claude-haiku-4-5"), [200, "second"]);
    });

    await t.step("a file that is right adds an upstream, removes one and opens another", async () => {
      const third = {
        name: "third",
        dialect: "anthropic",
        baseUrl: first.url,
        credentials: [{ name: "third-key", key: KEYS.third }],
      };
      await stand.write([{ ...stand.entries[1], workspaces: ["blue"] }, third]);
      proxy.kill("SIGHUP");
      await waitFor(() => stand.logged("the secrets were read again"), { what: "the file to be read" });
      await waitFor(async () => (await stand.ask(blue, "us.anthropic.claude-haiku-4-5"))[1] === "second", {
        what: "the workers",
      });
      await waitFor(async () => (await stand.ask(acme, "us.anthropic.claude-haiku-4-5"))[1] === "third", { what: "the workers" });
      assert.deepEqual(await stand.ask(acme, "claude-haiku-4-5"), [200, "third"]);
    });

    await t.step("an upstream that repeats its keys shows them to no one", async () => {
      for (const upstream of [first, second]) upstream.answer((call) => ({ ...defaultAnswer(call), headers: echoOf(call) }));
      for (const token of [acme, blue]) await stand.ask(token, "us.anthropic.claude-haiku-4-5");
      const told = await Promise.all(["/internal/upstreams", "/internal/calls", "/metrics"].map((path) => proxy.text(path)));
      assert.ok(![...told, proxy.output(), ...stand.heard].join().includes(HUSH));
    });
  });
}

/** A call in each dialect, by its own path or behind a prefix, and how it comes to the upstream. */
const CALLS: readonly (readonly [path: string, body: object, target: string, header: string, value: string])[] = [
  ["/v1/messages", { model: "m", max_tokens: 1, messages: [] }, "/a/v1/messages", "x-api-key", `sk-${HUSH}`],
  ["/anthropic/v1/messages", { model: "m", max_tokens: 1, messages: [] }, "/a/v1/messages", "x-api-key", `sk-${HUSH}`],
  ["/v1/responses", { model: "m", input: "hello" }, "/o/v1/responses", "authorization", `Bearer sk-${HUSH}`],
  ["/openai/v1/chat/completions", { model: "m", messages: [] }, "/o/v1/chat/completions", "authorization", `Bearer sk-${HUSH}`],
  [
    "/model/anthropic.m/invoke",
    { max_tokens: 1, messages: [] },
    "/b/model/anthropic.m/invoke",
    "authorization",
    `Bearer sk-${HUSH}`,
  ],
  [
    "/v1/projects/theirs/locations/us-east5/publishers/anthropic/models/m:rawPredict",
    { max_tokens: 1, messages: [] },
    "/v/us-east5/v1/projects/ours/locations/us-east5/publishers/anthropic/models/m:rawPredict",
    "authorization",
    `Bearer sk-${HUSH}`,
  ],
  [
    "/gemini/v1beta/models/m:generateContent",
    { contents: [] },
    "/g/v1beta/models/m:generateContent",
    "x-goog-api-key",
    `sk-${HUSH}`,
  ],
];

Deno.test("LLMPROXY_UPSTREAMS_FILE takes calls of every dialect to its own upstream, paid in its own header", async () => {
  await using upstream = await startFakeUpstream();
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const place = { project: "ours", locations: ["us-east5"] };
  const of = (dialect: string, baseUrl: string, over = {}) => {
    return {
      name: dialect,
      dialect,
      baseUrl: upstream.url + baseUrl,
      credentials: [{ name: dialect, key: `sk-${HUSH}` }],
      ...over,
    };
  };
  const entries = [
    of("openai", "/o"),
    of("gemini", "/g"),
    of("vertex", "/v/{location}", place),
    of("bedrock", "/b"),
    of("anthropic", "/a"),
  ];
  await Deno.writeTextFile(`${dataDir}/upstreams.json`, JSON.stringify(entries));
  upstream.answer(failing(400));
  {
    const env = { ANTHROPIC_API_KEY: "", ANTHROPIC_BASE_URL: "", LLMPROXY_UPSTREAMS_FILE: `${dataDir}/upstreams.json` };
    await using proxy = await startProxyProcess({ upstreamUrl: "", dataDir, env });
    const headers = { authorization: `Bearer ${await proxy.token()}`, "content-type": "application/json" };
    for (const [path, body] of CALLS) {
      const answer = await fetch(proxy.url + path, { method: "POST", headers, body: JSON.stringify(body) });
      assert.deepEqual([path, answer.status], [path, 400], await answer.text());
    }
    assert.deepEqual(
      upstream.calls.map((call, n) => [call.target, call.header(CALLS[n]![3])]),
      CALLS.map(([, , target, , value]) => [target, value]),
    );
    const rows = await proxy.closedRows(CALLS.length);
    assert.deepEqual(rows.map((row) => row.upstream), [
      "anthropic",
      "anthropic",
      "openai",
      "openai",
      "bedrock",
      "vertex",
      "gemini",
    ]);
    assert.ok(!proxy.output().includes(HUSH));
  }
  await Deno.remove(dataDir, { recursive: true });
});

const ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc";

/** Headers that say what the call was paid with. */
function echoOf(call: SeenCall): Readonly<Record<string, string>> {
  return { "content-type": "application/json", "x-paid-with": call.header("x-api-key") ?? "", "x-kept": "1" };
}

interface Stand extends AsyncDisposable {
  readonly proxy: ProxyProcess;
  readonly first: FakeUpstream;
  readonly second: FakeUpstream;
  /** As the file begins. */
  readonly entries: readonly Readonly<Record<string, unknown>>[];
  readonly write: (entries: readonly unknown[]) => Promise<void>;
  /** Heads and bodies of all answers to calls. */
  readonly heard: readonly string[];
  /** The status of a call, and the upstream that it reached, by its key, or null. */
  readonly ask: (token: string, model: string) => Promise<readonly [status: number, upstream: string | null]>;
  /** The last line with that message, or false. */
  readonly logged: (message: string) => Readonly<Record<string, unknown>> | false;
}

async function standOf(workers: string): Promise<Stand> {
  const stack = new AsyncDisposableStack();
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  stack.defer(() => Deno.remove(dataDir, { recursive: true }));
  const [first, second] = [stack.use(await startFakeUpstream()), stack.use(await startFakeUpstream())];
  await Deno.writeTextFile(`${dataDir}/second`, `${KEYS.second}\n`);
  const entries = [
    {
      ...{ name: "first", dialect: "anthropic", baseUrl: first.url, models: ["claude-*"] },
      credentials: [{ name: "first-key", key: KEYS.first }],
    },
    {
      ...{ name: "second", dialect: "anthropic", provider: "aws.bedrock", baseUrl: `${second.url}/anthropic` },
      ...{ models: ["us.anthropic.*"], workspaces: ["acme"] },
      credentials: [{ name: "second-key", keyFile: `${dataDir}/second` }],
    },
  ];
  const path = `${dataDir}/upstreams.json`;
  const write = (content: readonly unknown[]) => Deno.writeTextFile(path, JSON.stringify(content));
  await write(entries);
  const env = {
    ...{ ANTHROPIC_API_KEY: "", ANTHROPIC_BASE_URL: "", LLMPROXY_UPSTREAMS_FILE: path },
    ...{ LLMPROXY_WORKERS: workers, LLMPROXY_LOG_LEVEL: "trace" },
  };
  const proxy = stack.use(await startProxyProcess({ upstreamUrl: "", dataDir, env }));
  const heard: string[] = [];
  const ask: Stand["ask"] = async (token, model) => {
    const before = [first, second].map(({ calls }) => calls.length);
    const body = JSON.stringify({ model, max_tokens: 64, messages: [{ role: "user", content: "hello" }] });
    const headers = { "x-api-key": token, "anthropic-version": "2023-06-01", "content-type": "application/json" };
    const answer = await fetch(`${proxy.url}/v1/messages`, { method: "POST", headers, body });
    heard.push(JSON.stringify([...answer.headers]), await answer.text());
    const [call] = [first, second].flatMap(({ calls }, n) => calls.slice(before[n]));
    const name = Object.entries(KEYS).find(([, key]) => key === call?.header("x-api-key"))?.[0] ?? null;
    return [answer.status, name];
  };
  const logged = (message: string) => proxy.logs().findLast(({ msg }) => msg === message) ?? false;
  const moved = stack.move();
  return { proxy, first, second, entries, write, heard, ask, logged, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}
