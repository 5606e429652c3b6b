import assert from "node:assert/strict";
import { freeRequestOf, ofAnswer, ofClock } from "./upstream.ts";

Deno.test("ofClock() goes by the answer that is nearest, and says in which direction the clock is wrong", () => {
  assert.equal(ofClock([null, null]).state, "skipped");
  assert.equal(ofClock([null, 9_000, -60_000]).state, "ok");
  assert.deepEqual([ofClock([60_000]).state, ofClock([60_000]).says], [
    "warning",
    "This machine's clock is 60 s behind the upstream's",
  ]);
  assert.deepEqual([ofClock([-3_600_000]).state, ofClock([-3_600_000], "PostgreSQL's").says], [
    "failed",
    "This machine's clock is 3600 s ahead of PostgreSQL's",
  ]);
});

const CHECK_PATH = "/v1/models?limit=1";
const PLACE = { project: null, locations: [] };

for (
  const [baseUrl, place, expected] of [
    ["https://api.openai.com", PLACE, "https://api.openai.com/v1/models?limit=1"],
    [
      "https://bedrock-runtime.us-east-1.amazonaws.com",
      PLACE,
      "https://bedrock.us-east-1.amazonaws.com/inference-profiles?maxResults=1",
    ],
    [
      "https://bedrock-runtime.eu-west-1.amazonaws.com/anthropic",
      PLACE,
      "https://bedrock.eu-west-1.amazonaws.com/inference-profiles?maxResults=1",
    ],
    [
      "https://gateway.example/bedrock-runtime.x.amazonaws.com",
      PLACE,
      "https://gateway.example/bedrock-runtime.x.amazonaws.com/v1/models?limit=1",
    ],
    [
      "https://{location}-aiplatform.googleapis.com",
      { project: "p", locations: ["global", "us"] },
      "https://aiplatform.googleapis.com/v1/models?limit=1",
    ],
    [
      "https://gateway.example/{location}",
      { project: "p", locations: ["us-east5"] },
      "https://gateway.example/us-east5/v1/models?limit=1",
    ],
  ] as const
) {
  Deno.test(`freeRequestOf() asks ${expected} about a credential for ${baseUrl}`, () => {
    const request = freeRequestOf({ baseUrl }, { upstream: { place }, checkPath: CHECK_PATH });
    assert.equal(request.baseUrl + request.path, expected);
  });
}

for (
  const [dialect, seller, status, type, state, says] of [
    ["openai", "openai", 200, "", "ok", "is good"],
    ["openai", "openai", 401, "", "failed", "the upstream refuses it"],
    ["openai", "openai", 403, "", "failed", "may not list models"],
    ["openai", "openai", 404, "", "warning", "the upstream has no list of models"],
    ["openai", "openai", 400, "", "failed", "the upstream does not list its models"],
    ["gemini", "gcp.gemini", 400, "", "failed", "the upstream refuses it"],
    ["bedrock", "aws.bedrock", 403, "UnrecognizedClientException:http://internal/", "failed", "the upstream refuses it"],
    ["anthropic", "aws.bedrock", 403, "ExpiredTokenException", "failed", "the upstream refuses it"],
    ["bedrock", "aws.bedrock", 403, "AccessDeniedException", "warning", "may not list inference profiles"],
    ["bedrock", "aws.bedrock", 429, "ThrottlingException", "warning", "is at its rate limit"],
  ] as const
) {
  Deno.test(`ofAnswer() finds that a credential of ${dialect} ${says} by ${status} ${type}`, () => {
    const headers = new Headers(type === "" ? {} : { "x-amzn-errortype": type });
    const found = ofAnswer({ status, headers }, { what: "k at u", took: `${status} in 3 ms`, upstream: { dialect, seller } });
    assert.equal(found.state, state);
    assert.match(found.says, new RegExp(`^k at u:? ${says} \\(${status} in 3 ms\\)$`));
    assert.equal(found.advice === null, state === "ok");
  });
}
