import assert from "node:assert/strict";
import { AWS, BEDROCK, FILES, KEY, OPENAI, PAID, parse, PEM, SERVICE_ACCOUNT, VERTEX } from "../../tests/upstream_entries.ts";
import type { UpstreamConfig } from "../domain/upstream.ts";

Deno.test("parseUpstreams() fills what an entry leaves out by its dialect, as plain data", () => {
  const upstreams = parse([OPENAI]);
  assert.deepEqual(upstreams, [{
    name: "openai",
    dialect: "openai",
    seller: "openai",
    baseUrl: "https://api.openai.com",
    place: { project: null, locations: [] },
    credentials: [{
      id: "c",
      weight: 1,
      baseUrl: "https://api.openai.com",
      secret: KEY,
      auth: { kind: "header", header: "authorization", value: `Bearer ${KEY}` },
    }],
    models: ["*"],
    workspaces: null,
    readOnMs: 120_000,
    isStrict: false,
  }]);
  assert.deepEqual(JSON.parse(JSON.stringify(upstreams)), upstreams);
});

Deno.test("parseUpstreams() takes all that an entry says", () => {
  const [upstream] = parse([{
    ...{ name: "team.b_2", dialect: "openai", provider: "aws.bedrock", baseUrl: "http://gateway.example/b/" },
    credentials: [
      { name: "a", keyFile: "/run/key", weight: 3 },
      { name: "b", key: KEY, baseUrl: "https://other.example" },
    ],
    ...{ models: ["gpt-6*", "arn:aws:*"], workspaces: ["w1", "w 2"], readOnSeconds: 7, strictUsage: true },
  }]);
  assert.deepEqual(upstream!.credentials.map(({ id, weight, secret, baseUrl }) => [id, weight, secret, baseUrl]), [
    ["a", 3, KEY, "http://gateway.example/b"],
    ["b", 1, KEY, "https://other.example"],
  ]);
  assert.deepEqual({ ...upstream, credentials: [] }, {
    ...{ name: "team.b_2", dialect: "openai", seller: "aws.bedrock", baseUrl: "http://gateway.example/b" },
    ...{ place: { project: null, locations: [] }, credentials: [], models: ["gpt-6*", "arn:aws:*"], workspaces: ["w1", "w 2"] },
    ...{ readOnMs: 7_000, isStrict: true },
  });
});

for (
  const [dialect, baseUrl, header, value] of [
    ["anthropic", undefined, "x-api-key", KEY],
    ["anthropic", "https://gateway.example", "x-api-key", KEY],
    ["anthropic", "https://bedrock-runtime.us-east-1.amazonaws.com/anthropic", "authorization", `Bearer ${KEY}`],
    ["anthropic", "https://bedrock-mantle.us-east-1.api.aws/anthropic", "authorization", `Bearer ${KEY}`],
    ["anthropic", "https://aws-external-anthropic.us-east-1.api.aws", "x-api-key", KEY],
    ["openai", undefined, "authorization", `Bearer ${KEY}`],
    ["bedrock", "https://gateway.example/bedrock", "authorization", `Bearer ${KEY}`],
    ["vertex", "https://gateway.example/vertex", "authorization", `Bearer ${KEY}`],
    ["gemini", undefined, "x-goog-api-key", KEY],
  ] as const
) {
  Deno.test(`parseUpstreams() pays by key with ${header} at ${baseUrl ?? "the default URL"} of ${dialect}`, () => {
    const place = dialect === "vertex" ? { project: "acme", locations: ["us"] } : {};
    const [upstream] = parse([{ name: "u", dialect, ...(baseUrl !== undefined && { baseUrl }), credentials: [PAID], ...place }]);
    assert.deepEqual(upstream!.credentials[0]!.auth, { kind: "header", header, value });
  });
}

const NATIVE = { name: "native", dialect: "anthropic" };
for (
  const [what, entry, seller, readOnMs] of [
    ["anthropic", { ...NATIVE, credentials: [PAID] }, "anthropic", 0],
    [
      "anthropic with keys of AWS",
      { ...NATIVE, region: "eu-west-1", credentials: [{ name: "c", aws: AWS }] },
      "aws.bedrock",
      120_000,
    ],
    [
      "anthropic at Bedrock",
      { ...NATIVE, baseUrl: "https://bedrock-mantle.eu-west-1.api.aws/anthropic", credentials: [PAID] },
      "aws.bedrock",
      120_000,
    ],
    [
      "Anthropic's own platform on AWS",
      { ...NATIVE, baseUrl: "https://aws-external-anthropic.us-east-1.api.aws", credentials: [{ name: "c", aws: AWS }] },
      "anthropic",
      0,
    ],
    [
      "another host of AWS, by the entry's word",
      { ...NATIVE, provider: "anthropic", baseUrl: "https://abc.execute-api.us-east-1.amazonaws.com", credentials: [PAID] },
      "anthropic",
      0,
    ],
    [
      "a host that only looks like AWS",
      { ...NATIVE, baseUrl: "https://amazonaws.com.example", credentials: [PAID] },
      "anthropic",
      0,
    ],
    ["openai", OPENAI, "openai", 120_000],
    ["bedrock", BEDROCK, "aws.bedrock", 120_000],
    ["vertex", VERTEX, "gcp.vertex_ai", 0],
    ["gemini", { name: "g", dialect: "gemini", credentials: [PAID] }, "gcp.gemini", 120_000],
  ] as const
) {
  Deno.test(`parseUpstreams() knows who bills ${what}, and how long its streams are read on`, () => {
    const [upstream] = parse([entry]);
    assert.deepEqual([upstream!.seller, upstream!.readOnMs], [seller, readOnMs]);
  });
}

for (
  const [what, upstream, credential, expected] of [
    ["the region of the upstream", { region: "us-east-1" }, {}, [
      "https://bedrock-runtime.us-east-1.amazonaws.com",
      "us-east-1",
      "bedrock",
    ]],
    ["its own region first", { region: "us-east-1" }, { aws: { ...AWS, region: "eu-west-3" } }, [
      "https://bedrock-runtime.eu-west-3.amazonaws.com",
      "eu-west-3",
      "bedrock",
    ]],
    ["the region of its URL", { baseUrl: "https://bedrock-mantle.us-gov-west-1.api.aws/x" }, {}, [
      "https://bedrock-mantle.us-gov-west-1.api.aws/x",
      "us-gov-west-1",
      "bedrock-mantle",
    ]],
    ["Anthropic's platform on AWS", { baseUrl: "https://aws-external-anthropic.us-west-2.api.aws", dialect: "anthropic" }, {}, [
      "https://aws-external-anthropic.us-west-2.api.aws",
      "us-west-2",
      "aws-external-anthropic",
    ]],
    ["the service that it names", { region: "us-east-1", baseUrl: "https://gateway.example" }, {
      aws: { ...AWS, service: "execute-api" },
    }, ["https://gateway.example", "us-east-1", "execute-api"]],
  ] as const
) {
  Deno.test(`parseUpstreams() signs calls of a credential of AWS for ${what}`, () => {
    const [{ credentials: [read], baseUrl }] = parse([
      { name: "b", dialect: "bedrock", ...upstream, credentials: [{ name: "c", aws: AWS, ...credential }] },
    ]) as [UpstreamConfig];
    const keys = { ...AWS, sessionToken: null };
    assert.deepEqual([read!.baseUrl, read!.secret, baseUrl], [expected[0], AWS.secretAccessKey, expected[0]]);
    assert.deepEqual(read!.auth, { kind: "aws", region: expected[1], service: expected[2], keys });
  });
}

Deno.test("parseUpstreams() takes the machine's own account of AWS and of Google, and keys of AWS from files", () => {
  const files = { ...FILES, "/run/id": "ASIAHUSH00EXAMPLE\n", "/run/token": "hush-token==" };
  const byFile = { accessKeyIdFile: "/run/id", secretAccessKeyFile: "/run/secret", sessionTokenFile: "/run/token" };
  const [bedrock, vertex] = parse([
    { ...BEDROCK, credentials: [{ name: "role", aws: "machine" }, { name: "files", aws: byFile }] },
    { ...VERTEX, credentials: [{ name: "account", google: "machine" }] },
  ], { files });
  assert.deepEqual(bedrock!.credentials.map(({ secret, auth }) => [secret, auth.kind === "aws" && auth.keys]), [
    ["", null],
    [AWS.secretAccessKey, {
      accessKeyId: "ASIAHUSH00EXAMPLE",
      secretAccessKey: AWS.secretAccessKey,
      sessionToken: "hush-token==",
    }],
  ]);
  assert.deepEqual(vertex!.credentials.map(({ secret, auth }) => [secret, auth]), [["", { kind: "google", keyFile: null }]]);
});

Deno.test("parseUpstreams() keeps the text of a service account's file, and knows the key in it as the secret", () => {
  const [vertex] = parse([VERTEX]);
  const [credential] = vertex!.credentials;
  assert.deepEqual([credential!.secret, credential!.auth], [PEM, { kind: "google", keyFile: SERVICE_ACCOUNT }]);
  assert.deepEqual(vertex!.place, { project: "acme", locations: ["global", "europe-west1"] });
  assert.equal(vertex!.baseUrl, "https://{location}-aiplatform.googleapis.com");
  const [own] = parse([{ ...VERTEX, baseUrl: "https://gateway.example/{location}/x" }]);
  assert.equal(own!.baseUrl, "https://gateway.example/{location}/x");
});

Deno.test("parseUpstreams() lets one key serve several upstreams", () => {
  const again = { ...OPENAI, name: "cheap", models: ["*-mini"], credentials: [{ ...PAID, name: "d" }] };
  assert.equal(parse([OPENAI, again]).length, 2);
  const regions = ["us-east-1", "eu-west-1"].map((region) => ({ name: region, aws: { ...AWS, region } }));
  assert.equal(parse([{ ...BEDROCK, credentials: regions }])[0]!.credentials.length, 2);
});
