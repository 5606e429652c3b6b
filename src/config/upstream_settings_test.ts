import assert from "node:assert/strict";
import { problemsOf, source } from "../../tests/config_source.ts";
import { loadConfigFromEnv, readSecrets } from "./config.ts";
import { SettingsReader } from "./settings_reader.ts";
import { readUpstreams } from "./upstream_settings.ts";

const KEY = "sk-ant-hush-0123456789";
const FILE = { LLMPROXY_UPSTREAMS_FILE: "/upstreams.json" };
const NO_CREDENTIAL =
  "Cannot call the upstream without a credential: set ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN, or one's _FILE, or ANTHROPIC_API_KEYS_FILE, or LLMPROXY_UPSTREAMS_FILE";

function files(...entries: readonly unknown[]) {
  return { "/upstreams.json": JSON.stringify(entries) };
}

function own(name: string, over: Readonly<Record<string, unknown>> = {}) {
  return { name, dialect: "anthropic", credentials: [{ name: `${name}-key`, key: `${KEY}-${name}` }], ...over };
}

Deno.test("readUpstreams() has the upstream of the ANTHROPIC settings first, and then those of the file", () => {
  const { upstreams } = loadConfigFromEnv(source({ ...FILE, ANTHROPIC_API_KEY: KEY }, files(own("a"), own("b"))));
  assert.deepEqual(upstreams.map(({ name, seller }) => [name, seller]), [
    ["anthropic", "anthropic"],
    ["a", "anthropic"],
    ["b", "anthropic"],
  ]);
});

Deno.test("readUpstreams() needs no ANTHROPIC setting if the file has an upstream, of any dialect", () => {
  const { upstreams } = loadConfigFromEnv(source(FILE, files(own("anthropic"))));
  assert.deepEqual(upstreams.map(({ name }) => name), ["anthropic"]);
  assert.deepEqual(problemsOf({}), [NO_CREDENTIAL]);
  const reader = new SettingsReader(source(FILE, files(own("a", { dialect: "openai" }))));
  assert.equal(readUpstreams(reader).length, 1);
  assert.deepEqual(reader.problems, []);
});

Deno.test("readUpstreams() knows that AWS bills the upstream of the ANTHROPIC settings at its hosts", () => {
  const env = { ANTHROPIC_AUTH_TOKEN: KEY, ANTHROPIC_BASE_URL: "https://bedrock-mantle.us-east-1.api.aws/anthropic" };
  const [upstream] = loadConfigFromEnv(source(env)).upstreams;
  assert.deepEqual([upstream!.seller, upstream!.readOnMs], ["aws.bedrock", 120_000]);
});

Deno.test("readUpstreams() names all that is wrong with the file and with the other settings at once, and no key", () => {
  const wrong = own("anthropic", { baseUrl: "https://x/v1" });
  const problems = problemsOf({ ...FILE, ANTHROPIC_API_KEY: KEY, LLMPROXY_WORKERS: "none" }, files(wrong, own("b", { zz: 1 })));
  assert.deepEqual(problems, [
    "Cannot use [1].zz of /upstreams.json: there is no such key",
    'Cannot read LLMPROXY_WORKERS as a number from 1 to 64, or auto: current value is "none"',
  ]);
  assert.deepEqual(problemsOf({ ...FILE, ANTHROPIC_API_KEY: KEY }, files(wrong, own("b", { baseUrl: "https://x/v1/models" }))), [
    "Cannot use [0].baseUrl of /upstreams.json: remove /v1, the proxy adds it itself",
    "Cannot use [1].baseUrl of /upstreams.json: remove /v1/models, the proxy adds it itself",
    "Cannot use [0].name of /upstreams.json: another upstream has it too",
  ]);
  assert.deepEqual(problemsOf({ LLMPROXY_UPSTREAMS_FILE: "/away" }).length, 1);
});

Deno.test("readSecrets() reads the upstreams and their keys again", () => {
  const entry = own("a", { credentials: [{ name: "k", keyFile: "/key" }] });
  const read = (key: string) => readSecrets(source(FILE, { ...files(entry), "/key": key })).upstreams[0]!.credentials[0]!.secret;
  assert.deepEqual([read("first"), read("second\n")], ["first", "second"]);
});

Deno.test("loadConfigFromEnv() warns of an upstream that is reached unencrypted", () => {
  const warningsAt = (baseUrl: string) => loadConfigFromEnv(source(FILE, files(own("a", { baseUrl })))).warnings;
  assert.match(warningsAt("http://gateway.example").join(), /^A base URL of the upstream is not https/);
  assert.deepEqual(warningsAt("http://127.0.0.1:1"), []);
});

Deno.test("loadConfigFromEnv() warns of an upstream behind one that takes every call", () => {
  const warningsOf = (...entries: readonly unknown[]) =>
    loadConfigFromEnv(source({ ...FILE, ANTHROPIC_API_KEY: KEY }, files(...entries))).warnings;
  assert.deepEqual(warningsOf(own("a", { models: ["claude-*"] })), [
    "The upstream a takes no call: anthropic, which is before it, takes every model of every workspace",
  ]);
  assert.deepEqual(warningsOf(own("a", { models: ["claude-*", "arn:aws:*"] })), []);
  const { warnings } = loadConfigFromEnv(
    source(FILE, files(own("a", { workspaces: ["w"] }), own("b", { models: ["x*"] }), own("c"))),
  );
  assert.deepEqual(warnings, []);
});
