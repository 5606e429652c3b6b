/** Files of upstreams as texts, for tests of what they are read as. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { ConfigProblems } from "../src/config/settings_reader.ts";
import { parseUpstreams } from "../src/config/upstreams_file.ts";
import type { UpstreamConfig } from "../src/domain/upstream.ts";

type Texts = Readonly<Record<string, string>>;

export const PATH = "/etc/llmproxy/upstreams.json";
export const KEY = "sk-hush-0123456789";
export const ACCESS_KEY_ID = "AKIAHUSH00EXAMPLE";
export const AWS = { accessKeyId: ACCESS_KEY_ID, secretAccessKey: "hush/secret+key" };
export const PEM = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
  publicKeyEncoding: { type: "spki", format: "pem" },
}).privateKey;
export const SERVICE_ACCOUNT = JSON.stringify({
  type: "service_account",
  project_id: "acme",
  private_key_id: "hush-id",
  private_key: PEM,
  client_email: "proxy@acme.iam.gserviceaccount.com",
  token_uri: "https://oauth2.googleapis.com/token",
});
export const FILES = { "/run/key": `${KEY}\n`, "/run/google.json": SERVICE_ACCOUNT, "/run/secret": `${AWS.secretAccessKey}\n` };

export const PAID = { name: "c", key: KEY };
export const OPENAI = { name: "openai", dialect: "openai", credentials: [PAID] };
export const BEDROCK = { name: "bedrock", dialect: "bedrock", region: "us-east-1", credentials: [{ name: "c", aws: AWS }] };
export const VERTEX = {
  ...{ name: "vertex", dialect: "vertex", project: "acme", locations: ["global", "europe-west1"] },
  credentials: [{ name: "c", google: { serviceAccountFile: "/run/google.json" } }],
};

export function parse(
  value: unknown,
  {
    files = FILES,
    others = [] as readonly Pick<UpstreamConfig, "name" | "credentials">[],
    text = JSON.stringify(value),
  } = {},
) {
  const readFile = (path: string) => (files as Texts)[path] ?? assert.fail(`hush: no file ${path}`);
  return parseUpstreams(text, { path: PATH, readFile, others });
}

export function upstreamProblems(value: unknown, options?: Parameters<typeof parse>[1]): readonly string[] {
  try {
    parse(value, options);
  } catch (error) {
    assert.ok(error instanceof ConfigProblems, String(error));
    assert.doesNotMatch(error.message, /hush|PRIVATE/i);
    return error.problems;
  }
  return [];
}
