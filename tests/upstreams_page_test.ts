/** The examples of docs/upstreams.md: an operator copies them. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { DIALECTS } from "../src/config/upstream_dialects.ts";
import { parseUpstreams } from "../src/config/upstreams_file.ts";
import { blocksOf, readPage, tableOf } from "./documents.ts";

const PAGE = readPage("docs/upstreams.md");

Deno.test("docs/upstreams.md has an example of each dialect, and the proxy can read them all", () => {
  const examples = blocksOf(PAGE).filter(({ language, text }) => language === "json" && text.startsWith("["));
  const upstreams = examples.flatMap(({ text }) => parseUpstreams(text, { path: "example.json", readFile, others: [] }));
  assert.deepEqual([...new Set(upstreams.map(({ dialect }) => dialect))].sort(), [...DIALECTS.keys()].sort());
});

Deno.test("docs/upstreams.md has every key that an entry and a credential may have", () => {
  const keysOf = (heading: string) =>
    tableOf(PAGE, heading).flatMap(([cell]) => [...cell!.matchAll(/`(\w+)`/g)].map((match) => match[1]!));
  // A schema that knows a key finds its value wrong; otherwise it says that there is no such key.
  const problems = (over: object, credential: object) => {
    try {
      parseUpstreams(JSON.stringify([{ ...over, credentials: [credential] }]), { path: "p", readFile, others: [] });
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  const documented = [keysOf("key"), keysOf("entry of `credentials`")];
  assert.ok(documented.every((keys) => keys.length > 5));
  const [upstream, credential] = documented.map((keys) => Object.fromEntries(keys.map((key) => [key, {}])));
  assert.doesNotMatch(problems(upstream!, credential!), /no such key/);
});

function readFile(path: string): string {
  return path.endsWith(".json") ? SERVICE_ACCOUNT : `key-of-${path.replaceAll("/", "-")}`;
}

const SERVICE_ACCOUNT = JSON.stringify({
  type: "service_account",
  client_email: "proxy@acme-models.iam.gserviceaccount.com",
  private_key: generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ type: "pkcs8", format: "pem" }),
});
