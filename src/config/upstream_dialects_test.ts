import assert from "node:assert/strict";
import type { Provider } from "../domain/provider.ts";
import { BILLINGS } from "../providers/billings.ts";
import * as providers from "../providers/providers.ts";
import { awsHostOf, DIALECTS, READ_ON_MS, SELLERS } from "./upstream_dialects.ts";

Deno.test("DIALECTS has every dialect of the program, with its seller and a header for keys that stops at the proxy", () => {
  for (const { name, seller, credentialHeaders } of Object.values(providers) as readonly Provider[]) {
    const defaults = DIALECTS[name as keyof typeof DIALECTS];
    assert.equal(defaults.seller, seller, name);
    assert.ok(credentialHeaders.includes(defaults.keyHeader.header), name);
  }
});

Deno.test("SELLERS are those that bill, and each says how long its streams are read on", () => {
  assert.deepEqual([...SELLERS].sort(), [...BILLINGS.keys()].sort());
  assert.deepEqual(Object.keys(READ_ON_MS).sort(), [...SELLERS].sort());
});

for (
  const [url, region, service] of [
    ["https://bedrock-runtime.us-east-1.amazonaws.com", "us-east-1", "bedrock"],
    ["https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com/anthropic", "us-gov-west-1", "bedrock"],
    ["https://vpce-0a1b-2c3d.bedrock-runtime.eu-central-2.vpce.amazonaws.com", "eu-central-2", "bedrock"],
    ["https://bedrock-mantle.ap-southeast-2.api.aws/anthropic", "ap-southeast-2", "bedrock-mantle"],
    ["https://aws-external-anthropic.us-west-2.api.aws", "us-west-2", "aws-external-anthropic"],
    ["https://abc.execute-api.us-east-1.amazonaws.com", "us-east-1", null],
  ] as const
) {
  Deno.test(`awsHostOf() knows region and service of ${url}`, () => {
    const host = awsHostOf(url)!;
    assert.deepEqual([host.region, host.service?.service ?? null], [region, service]);
  });
}

Deno.test("awsHostOf() is null for hosts of others", () => {
  for (const url of ["https://amazonaws.com.example", "https://xamazonaws.com", "https://gateway.example/x.amazonaws.com", "x"]) {
    assert.equal(awsHostOf(url), null, url);
  }
});
