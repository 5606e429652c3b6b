import assert from "node:assert/strict";
import * as providers from "../providers.ts";
import { bedrock } from "./bedrock.ts";
import { invoke } from "./invoke.ts";

const ARN = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc";

Deno.test("routes take names with encoded slashes where Bedrock has the ARNs of inference profiles, and nowhere else (trap 30)", () => {
  const routes = Object.values(providers).flatMap(({ routes }) => routes).filter(({ hasEncodedSlashes }) =>
    hasEncodedSlashes === true
  );
  assert.deepEqual(routes.map(({ method, path }) => `${method} ${path}`), [
    "POST /model/:id/invoke",
    "POST /model/:id/invoke-with-response-stream",
    "GET /inference-profiles/:id",
  ]);
});

Deno.test("bedrock says what is wrong with a base URL that the path gives away", () => {
  assert.match(bedrock.baseUrlFault("/model/model/x/invoke")!.message, /ends in \/model/);
  for (const path of ["/v1/model/x/invoke", "/bedrock/model/x/converse", "/a/b/model/x/count-tokens"]) {
    assert.match(bedrock.baseUrlFault(path)!.message, /Take off what stands between/, path);
  }
  for (const path of ["/model/x/invoke", `/model/${ARN}/invoke`, "/inference-profiles/x", "/model/x/converse", "/"]) {
    assert.equal(bedrock.baseUrlFault(path), null, path);
  }
});

Deno.test("invoke takes the facts of the body from where they are, and neither model nor stream from it", () => {
  const values = new Map<string, unknown>([
    ["max_tokens", 4096],
    ["metadata", { user_id: "u" }],
    ["model", "claude-opus-5-5"],
    ["stream", true],
    ["inference_geo", "eu"],
  ]);
  assert.deepEqual(invoke.request.factsOf(values, "/model/us.anthropic.claude-haiku-4-5/invoke"), {
    ...{ model: "us.anthropic.claude-haiku-4-5", isStreamed: false, maxTokens: 4096, userId: "u" },
    ...{ speed: null, inferenceGeo: "us" },
  });
  assert.equal(invoke.request.maxBodyBytes, 25 * 1024 * 1024);
});

Deno.test("bedrock knows its own credentials in any text: the ids of access keys and both kinds of API keys", () => {
  const own = [
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    "ABSKQmVkcm9ja0FQSUtleS1leGFtcGxlLWF0LTEyMzQ1Njc4OTAxMjp4eHg=",
    "bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29tLz9BY3Rpb249",
  ];
  for (const key of own) assert.deepEqual(`x ${key} y`.match(bedrock.credentialShape), [key]);
  for (const other of ["sk-ant-api03-x", "llmp_AKIA", "ABSK", "at-01M8AKIA"]) {
    assert.equal(other.match(bedrock.credentialShape), null);
  }
});

Deno.test("bedrock waits as long as a refused call says, for a day at most, and knows no limits", () => {
  const wait = (status: number, headers: Record<string, string>) =>
    bedrock.waitMsOf({ status, headers: new Headers(headers) }, 0);
  assert.equal(wait(429, { "retry-after": "3" }), 3_000);
  assert.equal(wait(503, { "retry-after": "3" }), 3_000);
  assert.equal(wait(429, {}), 0);
  assert.equal(wait(400, { "retry-after": "3" }), 0);
  assert.equal(wait(429, { "retry-after": "99999999" }), 24 * 3_600_000);
  assert.deepEqual(bedrock.roomOf(), {});
});
