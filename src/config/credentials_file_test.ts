import assert from "node:assert/strict";
import { loadConfigFromEnv } from "./config.ts";
import { parseCredentials } from "./credentials_file.ts";
import { ConfigProblems } from "./settings_reader.ts";

const PATH = "/etc/llmproxy/keys.json";
const [KEY_A, KEY_B] = ["sk-ant-hush-a-0123456789", "sk-ant-hush-b-0123456789"];
const A = { name: "a", key: KEY_A };

function parse(value: unknown, files: Readonly<Record<string, string>> = {}, text = JSON.stringify(value)) {
  return parseCredentials(text, {
    path: PATH,
    baseUrl: "https://api.example",
    baseUrlFault: (url) => url.endsWith("/v1") ? "remove /v1, the proxy adds it itself" : null,
    readFile: (path) => files[path] ?? assert.fail(`no file ${path}`),
  });
}

function problemsOf(value: unknown, files?: Readonly<Record<string, string>>, text?: string): readonly string[] {
  try {
    parse(value, files, text);
  } catch (error) {
    assert.ok(error instanceof ConfigProblems);
    assert.ok(!error.message.includes("hush"), error.message);
    return error.problems;
  }
  return [];
}

Deno.test("parseCredentials() reads keys from the list and from files, each with its name, weight and base URL", () => {
  const entries = [{ ...A, weight: 3 }, { name: "team.b_2", keyFile: "/run/b", baseUrl: "https://gateway.example/b/" }];
  assert.deepEqual(parse(entries, { "/run/b": `${KEY_B}\n` }), [
    { id: "a", auth: authOf(KEY_A), secret: KEY_A, weight: 3, baseUrl: "https://api.example" },
    { id: "team.b_2", auth: authOf(KEY_B), secret: KEY_B, weight: 1, baseUrl: "https://gateway.example/b" },
  ]);
});

function authOf(key: string) {
  return { kind: "header", header: "x-api-key", value: key };
}

const LIST = "a list of 1 to 32 credentials";
const NAME = "a name of 1 to 64 letters, digits, dots, dashes and underscores that does not look like a key";
const WEIGHT = "a whole number from 1 to 1000";

for (
  const [value, problem] of [
    [{ a: KEY_A }, `Cannot read it as ${LIST}`],
    [[], `Cannot read it as ${LIST}`],
    [Array.from({ length: 33 }, (_, n) => ({ name: `n${n}`, key: `${KEY_A}${n}` })), `Cannot read it as ${LIST}`],
    [[KEY_A], "Cannot read [0] of it as an object with name and key, or name and keyFile"],
    [[{ key: KEY_A }], `Cannot read [0].name of it as ${NAME}: it is missing`],
    [[{ ...A, name: "a b" }], `Cannot read [0].name of it as ${NAME}`],
    [[{ ...A, name: KEY_A }], `Cannot read [0].name of it as ${NAME}`],
    [[{ ...A, weight: 0 }], `Cannot read [0].weight of it as ${WEIGHT}: current value is 0`],
    [[{ ...A, weight: KEY_A }], `Cannot read [0].weight of it as ${WEIGHT}`],
    [[{ ...A, weight: 1.5 }], `Cannot read [0].weight of it as ${WEIGHT}: current value is 1.5`],
    [[{ ...A, token: "x" }], "Cannot use [0].token of it: there is no such key"],
    [[{ ...A, [KEY_A]: "x" }], "Cannot use [0][not shown, since it looks like a secret] of it: there is no such key"],
    [[{ name: "a" }], "Cannot use [0] of it: it needs either key or keyFile"],
    [[{ ...A, keyFile: "/run/a" }], "Cannot use [0] of it: it needs either key or keyFile"],
    [[{ name: "a", key: 7 }], "Cannot read [0].key of it as a text"],
    [[{ name: "a", key: "" }], "Cannot use [0].key of it: it is empty"],
    [[{ name: "a", key: `${KEY_A}\n` }], "Cannot use [0].key of it: it ends with a line break: remove that"],
    [
      [{ name: "a", key: `Bearer ${KEY_A}` }],
      'Cannot use [0].key of it: it begins with "Bearer ": remove that, the proxy adds it',
    ],
    [[{ name: "a", keyFile: "/run/hush" }], "Cannot read the file that [0].keyFile of it names"],
    [[A, { name: "a", key: KEY_B }], "Cannot use [1].name of it: an earlier credential has it too"],
    [[A, { name: "b", key: KEY_A }], "Cannot use [1] of it: an earlier credential has the same key"],
    [
      [{ ...A, baseUrl: "https://u:hush@x" }],
      "Cannot read [0].baseUrl of it as an http or https URL without credentials, query or fragment",
    ],
    [[{ ...A, baseUrl: "https://x/v1" }], "Cannot use [0].baseUrl of it: remove /v1, the proxy adds it itself"],
  ] as const
) {
  Deno.test(`parseCredentials() refuses the whole file: ${problem}`, () => {
    const files = {
      get "/run/hush"(): string {
        throw new Error("no such file: /run/hush");
      },
    };
    assert.deepEqual(problemsOf(value, files), [problem.replace(/(?<=of |Cannot read )it\b/, PATH)]);
  });
}

Deno.test("parseCredentials() names all that is wrong at once", () => {
  assert.equal(problemsOf([{ name: "a b", key: 1 }, { ...A, weight: -1 }]).length, 3);
  assert.equal(problemsOf([{ name: "a" }, A, { name: "b", key: `${KEY_B} ` }]).length, 3);
});

Deno.test("parseCredentials() says at which position a text stops being JSON, and shows nothing of it", () => {
  const [problem, ...others] = problemsOf(null, {}, `[{"name": "a", "key": "${KEY_A}" "weight": 1}]`);
  assert.match(problem!, /^Cannot read \/etc\/llmproxy\/keys\.json as JSON at position \d+/);
  assert.deepEqual(problemsOf(null, {}, `[{"name": "a", "key": ${KEY_A}}]`), [`Cannot read ${PATH} as JSON`]);
  assert.deepEqual(others, []);
});

Deno.test("loadConfigFromEnv() reads several credentials from their file, and refuses another one beside it", () => {
  const list = [{ name: "a", key: KEY_A }, { name: "b", key: `${KEY_A}-b`, baseUrl: "http://gateway.example" }];
  const files = { "/keys": JSON.stringify(list), "/key": KEY_A };
  const { upstreams: [{ credentials } = assert.fail()], warnings } = load({ ANTHROPIC_API_KEYS_FILE: "/keys" }, files);
  assert.deepEqual(credentials.map(({ id, secret, baseUrl }) => [id, secret, baseUrl]), [
    ["a", KEY_A, "https://api.anthropic.com"],
    ["b", `${KEY_A}-b`, "http://gateway.example"],
  ]);
  assert.match(warnings.join(), /^A base URL of the upstream is not https/);
  for (
    const [name, value] of [["ANTHROPIC_API_KEY", KEY_A], ["ANTHROPIC_API_KEY_FILE", "/key"], [
      "ANTHROPIC_AUTH_TOKEN",
      "t",
    ]] as const
  ) {
    const both = `Cannot use both ${name.replace(/_FILE$/, "")} and ANTHROPIC_API_KEYS_FILE: unset one of them`;
    assert.deepEqual(settingProblems({ [name]: value, ANTHROPIC_API_KEYS_FILE: "/keys" }, files), [both]);
  }
});

Deno.test("loadConfigFromEnv() names all problems of the credentials' file beside those of the settings, and shows no key", () => {
  const list = [{ name: "a", key: `${KEY_A} ` }, { name: "a", key: "x", baseUrl: "https://gateway.example/v1" }];
  const problems = settingProblems({ ANTHROPIC_API_KEYS_FILE: "/keys", LLMPROXY_WORKERS: "none" }, {
    "/keys": JSON.stringify(list),
  });
  assert.deepEqual(problems.toSorted(), [
    'Cannot read LLMPROXY_WORKERS as a number from 1 to 64, or auto: current value is "none"',
    "Cannot use [0].key of /keys: it ends with a blank or a tab: remove that",
    "Cannot use [1].baseUrl of /keys: remove /v1, the proxy adds it itself",
    "Cannot use [1].name of /keys: an earlier credential has it too",
  ]);
  assert.deepEqual(settingProblems({ ANTHROPIC_API_KEYS_FILE: "/away" }), [
    'Cannot read the file that ANTHROPIC_API_KEYS_FILE names: current value is "/away": no such file',
  ]);
});

type Texts = Readonly<Record<string, string>>;

function load(env: Texts, files: Texts) {
  return loadConfigFromEnv({
    env: (name) => env[name],
    names: Object.keys(env),
    readFile: (path) => files[path] ?? assert.fail("no such file"),
  });
}

function settingProblems(env: Texts, files: Texts = {}): readonly string[] {
  try {
    load(env, files);
  } catch (error) {
    assert.ok(error instanceof ConfigProblems);
    assert.ok(!error.message.includes(KEY_A), error.message);
    return error.problems;
  }
  return [];
}
