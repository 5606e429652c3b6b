import assert from "node:assert/strict";
import { awsHostOf, DIALECTS, readOnMsOf, SELLERS } from "./upstream_dialects.ts";

Deno.test("DIALECTS have keys in headers that stop at the proxy, and sellers of their own", () => {
  for (const { name, seller, settings, credentialHeaders } of DIALECTS.values()) {
    assert.ok(credentialHeaders.includes(settings.keyHeader.header), name);
    assert.ok(SELLERS.includes(seller), name);
  }
  assert.equal(SELLERS.length, DIALECTS.size);
});

Deno.test("readOnMsOf() is a time for those that bill an interrupted call in full, and none for others (trap 42)", () => {
  const times = ["anthropic", "openai", "aws.bedrock", "gcp.vertex_ai", "gcp.gemini", "unknown"].map(readOnMsOf);
  assert.deepEqual(times, [0, 120_000, 120_000, 0, 120_000, 0]);
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
