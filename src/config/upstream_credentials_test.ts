import assert from "node:assert/strict";
import {
  ACCESS_KEY_ID,
  AWS,
  BEDROCK,
  FILES,
  KEY,
  OPENAI,
  PAID,
  parse,
  PATH,
  upstreamProblems,
  VERTEX,
} from "../../tests/upstream_entries.ts";

const LIST = "a list of 1 to 32 upstreams";
const CREDENTIALS = "a list of 1 to 32 credentials";
const NAME = "a name of 1 to 64 letters, digits, dots, dashes and underscores that does not look like a key";
const MANY = Array.from({ length: 20 }, (_, n) => ({ name: `n${n}`, key: `${KEY}${n}` }));
const C = "[0].credentials[0]";

for (
  const [value, ...problems] of [
    [{ a: KEY }, `Cannot read it as ${LIST}`],
    [[], `Cannot read it as ${LIST}`],
    [[KEY], "Cannot read [0] of it as an object with name, dialect and credentials"],
    [[{ ...OPENAI, name: KEY }], `Cannot read [0].name of it as ${NAME}`],
    [[{ ...OPENAI, name: "AIzaSyHush00000000000000000000000" }], `Cannot read [0].name of it as ${NAME}`],
    [[{ ...OPENAI, name: ACCESS_KEY_ID }], `Cannot read [0].name of it as ${NAME}`],
    [[{ ...OPENAI, name: "a b" }], `Cannot read [0].name of it as ${NAME}`],
    [[{ ...OPENAI, dialect: KEY }], "Cannot read [0].dialect of it as one of anthropic, bedrock, gemini, openai, vertex"],
    [
      [{ ...OPENAI, provider: KEY }],
      "Cannot read [0].provider of it as one of anthropic, aws.bedrock, gcp.gemini, openai, gcp.vertex_ai",
    ],
    [[{ ...OPENAI, token: KEY }], "Cannot use [0].token of it: there is no such key"],
    [[{ ...OPENAI, [KEY]: 1 }], "Cannot use [0][not shown, since it looks like a secret] of it: there is no such key"],
    [
      [{ ...OPENAI, baseUrl: `https://u:${KEY}@x` }],
      "Cannot read [0].baseUrl of it as an http or https URL without credentials, query or fragment",
    ],
    [
      [{ ...OPENAI, baseUrl: "https://x/v1/responses" }],
      "Cannot use [0].baseUrl of it: remove /v1/responses, the proxy adds it itself",
    ],
    [
      [{ ...OPENAI, baseUrl: "https://{location}.example" }],
      "Cannot use [0].baseUrl of it: only {location} may stand in braces, at a vertex upstream",
    ],
    [
      [{ ...VERTEX, baseUrl: "https://{region}.example" }],
      "Cannot use [0].baseUrl of it: only {location} may stand in braces, at a vertex upstream",
    ],
    [
      [{ ...OPENAI, credentials: [{ ...PAID, baseUrl: "https://x/v1" }] }],
      `Cannot use ${C}.baseUrl of it: remove /v1, the proxy adds it itself`,
    ],
    [[{ ...OPENAI, credentials: [] }], `Cannot read [0].credentials of it as ${CREDENTIALS}`],
    [[{ ...OPENAI, credentials: undefined }], `Cannot read [0].credentials of it as ${CREDENTIALS}: it is missing`],
    [[{ ...OPENAI, credentials: [KEY] }], `Cannot read ${C} of it as an object with name, and with key, keyFile, aws or google`],
    [[{ ...OPENAI, credentials: [{ ...PAID, weight: KEY }] }], `Cannot read ${C}.weight of it as a whole number from 1 to 1000`],
    [
      [{ ...OPENAI, credentials: [{ ...PAID, weight: 0 }] }],
      `Cannot read ${C}.weight of it as a whole number from 1 to 1000: current value is 0`,
    ],
    [
      [{ ...OPENAI, credentials: [{ name: "c" }] }],
      `Cannot use ${C} of it: it needs one of key, keyFile or aws, and no other way to pay`,
    ],
    [[{ ...OPENAI, credentials: [{ ...PAID, keyFile: "/run/key" }] }], `Cannot use ${C} of it: it needs either key or keyFile`],
    [[{ ...OPENAI, credentials: [{ name: "c", keyFile: "/run/hush" }] }], `Cannot read the file that ${C}.keyFile of it names`],
    [[{ ...OPENAI, credentials: [{ name: "c", key: "" }] }], `Cannot use ${C}.key of it: it is empty`],
    [
      [{ ...OPENAI, credentials: [{ name: "c", key: `Bearer ${KEY}` }] }],
      `Cannot use ${C}.key of it: it begins with "Bearer ": remove that, the proxy adds it`,
    ],
    [
      [{ ...OPENAI, credentials: [{ name: "c", key: `OPENAI_API_KEY=${KEY}` }] }],
      `Cannot use ${C}.key of it: it begins with the setting's name and =: remove both`,
    ],
    [
      [{ ...OPENAI, credentials: [{ name: "c", google: "machine" }] }],
      `Cannot use ${C} of it: google does not pay at an upstream of the dialect openai: give it key, keyFile or aws`,
    ],
    [
      [{ ...VERTEX, credentials: [{ name: "c", aws: AWS }], baseUrl: "https://x" }],
      `Cannot use ${C} of it: aws does not pay at an upstream of the dialect vertex: give it key, keyFile or google`,
      `Cannot use ${C} of it: nothing says which region it is for: give the upstream a region`,
    ],
    [
      [{ ...BEDROCK, credentials: [{ ...PAID, aws: AWS }] }],
      `Cannot use ${C} of it: it needs one of key, keyFile or aws, and no other way to pay`,
    ],
    [
      [{ ...BEDROCK, credentials: [{ name: "c", aws: KEY }] }],
      `Cannot read ${C}.aws of it as "machine", or an object with accessKeyId and secretAccessKey, or their files`,
    ],
    [
      [{ ...BEDROCK, credentials: [{ name: "c", aws: { ...AWS, [KEY]: 1 } }] }],
      `Cannot use ${C}.aws[not shown, since it looks like a secret] of it: there is no such key`,
    ],
    [
      [{ ...BEDROCK, credentials: [{ name: "c", aws: {} }] }],
      `Cannot use ${C}.aws of it: it needs either accessKeyId or accessKeyIdFile`,
      `Cannot use ${C}.aws of it: it needs either secretAccessKey or secretAccessKeyFile`,
    ],
    [
      [{ ...BEDROCK, credentials: [{ name: "c", aws: { ...AWS, accessKeyId: AWS.secretAccessKey } }] }],
      `Cannot use ${C}.aws of it: its accessKeyId is not one: one begins with AKIA or ASIA and has capital letters and digits only`,
    ],
    [
      [{ ...BEDROCK, credentials: [{ name: "c", aws: { ...AWS, accessKeyId: "ASIAHUSH00EXAMPLE" } }] }],
      `Cannot use ${C}.aws of it: its keys are temporary (ASIA…): they need their sessionToken`,
    ],
    [[{
      ...BEDROCK,
      credentials: [{ name: "c", aws: { ...AWS, secretAccessKeyFile: "/run/hush", secretAccessKey: undefined } }],
    }], `Cannot read the file that ${C}.aws.secretAccessKeyFile of it names`],
    [[{ ...BEDROCK, region: "hush" }], "Cannot read [0].region of it as a region of AWS such as us-east-1"],
    [
      [{ ...BEDROCK, region: undefined }],
      `Cannot use ${C} of it: nothing says where its calls go: give the upstream a region or a baseUrl`,
      `Cannot use ${C} of it: nothing says which region it is for: give the upstream a region`,
    ],
    [
      [{ ...BEDROCK, baseUrl: "https://bedrock-runtime.eu-west-1.amazonaws.com" }],
      `Cannot use ${C} of it: its region is us-east-1, and its baseUrl is in eu-west-1`,
    ],
    [
      [{ ...VERTEX, credentials: [{ name: "c", google: { serviceAccountFile: "/run/hush" } }] }],
      `Cannot read the file that ${C}.google.serviceAccountFile of it names`,
    ],
    [
      [{ ...VERTEX, credentials: [{ name: "c", google: { serviceAccountFile: "/run/key" } }] }],
      `Cannot use the file that ${C}.google.serviceAccountFile of it names: it is not the JSON key of a service account, as Google Cloud makes it`,
    ],
    [
      [{ ...VERTEX, credentials: [{ name: "c", google: { serviceAccountFile: "/run/no-key.json" } }] }],
      `Cannot use the file that ${C}.google.serviceAccountFile of it names: it is not the JSON key of a service account, as Google Cloud makes it`,
    ],
    [
      [{ ...VERTEX, project: undefined, locations: undefined }],
      "Cannot use [0] of it: it needs project, which pays for its calls",
      "Cannot use [0] of it: it needs locations, which decide what calls cost",
    ],
    [
      [{ ...VERTEX, locations: ["a/b"] }],
      "Cannot read [0].locations[0] of it as a location of Google Cloud such as global, us or europe-west1",
    ],
    [
      [{ ...OPENAI, project: "acme", locations: ["us"] }],
      "Cannot use [0].project of it: only a vertex upstream has such a place",
      "Cannot use [0].locations of it: only a vertex upstream has such a place",
    ],
    [
      [{ ...BEDROCK, strictUsage: true }],
      "Cannot use [0].strictUsage of it: only calls of the dialect openai may leave their usage out",
    ],
    [
      [{ ...OPENAI, readOnSeconds: -1 }],
      "Cannot read [0].readOnSeconds of it as a whole number of seconds from 0 to 3600: current value is -1",
    ],
    [[{ ...OPENAI, models: [] }], 'Cannot read [0].models of it as a list of 1 to 1000 patterns such as "gpt-6*"'],
    [
      [{ ...OPENAI, workspaces: [] }],
      "Cannot read [0].workspaces of it as a list of 1 to 1000 workspace ids; all may use it if it is left out",
    ],
    [[OPENAI, { ...OPENAI, credentials: [{ name: "d", key: KEY }] }], "Cannot use [1].name of it: another upstream has it too"],
    [[OPENAI, { ...BEDROCK }], "Cannot use [1].credentials[0].name of it: another credential has it too"],
    [
      [{ ...OPENAI, credentials: [PAID, { ...PAID, name: "d" }] }],
      "Cannot use [0].credentials[1] of it: an earlier credential of this upstream is the same",
    ],
    [[{ ...OPENAI, credentials: MANY }, {
      ...OPENAI,
      name: "b",
      credentials: MANY.map((one) => ({ ...one, name: `b${one.name}` })),
    }], "Cannot use it: there are 40 credentials with those of other settings, and 32 are the most"],
  ] as readonly (readonly [unknown, ...string[]])[]
) {
  Deno.test(`parseUpstreams() refuses the whole file: ${problems.join("; ")}: ${JSON.stringify(value).length} bytes`, () => {
    const files = {
      ...FILES,
      "/run/no-key.json": JSON.stringify({ type: "service_account", client_email: "a@b", private_key: "hush" }),
    };
    const expected = problems.map((problem) => problem.replace(/(?<=of |Cannot read |Cannot use )it\b(?!s)/, PATH));
    assert.deepEqual(upstreamProblems(value, { files }), expected);
  });
}

Deno.test("parseUpstreams() names all that is wrong at once", () => {
  const faulty = { ...OPENAI, name: "a b", dialect: "x", credentials: [{ name: 1, weight: -1 }], models: [1], zz: 1 };
  assert.equal(upstreamProblems([faulty, { ...BEDROCK, region: "x" }]).length, 7);
  const unpaid = { ...VERTEX, project: undefined, credentials: [{ name: "c" }] };
  assert.equal(upstreamProblems([{ ...OPENAI, baseUrl: "https://x/v1" }, unpaid]).length, 4);
});

Deno.test("parseUpstreams() knows the names and credentials that other settings have taken", () => {
  const [taken] = parse([{ ...OPENAI, name: "anthropic", dialect: "anthropic" }]);
  assert.deepEqual(upstreamProblems([{ ...OPENAI, name: "anthropic" }], { others: [taken!] }), [
    `Cannot use [0].name of ${PATH}: another upstream has it too`,
    `Cannot use [0].credentials[0].name of ${PATH}: another credential has it too`,
  ]);
});

Deno.test("parseUpstreams() says at which position a text stops being JSON, and shows nothing of it", () => {
  const [problem] = upstreamProblems(null, { text: `[{"name": "a", "key": "${KEY}" "weight": 1}]` });
  assert.match(problem!, /^Cannot read \/etc\/llmproxy\/upstreams\.json as JSON at position \d+/);
});
