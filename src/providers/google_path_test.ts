import assert from "node:assert/strict";
import { decoded, queryFault, targetFault } from "./google_path.ts";

Deno.test("queryFault() lets pass what streams, pages and SDKs need", () => {
  for (const query of ["", "?alt=sse", "?alt=json", "?prettyPrint=false", "?pageSize=50&pageToken=a%2Bb", "?beta=true", "?"]) {
    assert.equal(queryFault(`/v1beta/models${query}`), null, query);
  }
});

Deno.test("queryFault() refuses what hides usage, names another payer, carries a key, or changes the method", () => {
  for (
    const query of [
      ...[
        "fields=candidates",
        "$fields=candidates",
        "%66ields=candidates",
        "alt=proto",
        "alt=media",
        "alt=sse&alt=proto",
        "$alt=proto",
      ],
      ...["$userProject=p", "userProject=p", "quotaUser=x", "key=AIza", "access_token=a", "oauth_token=a", "callback=f"],
      ...["$httpMethod=GET", "uploadType=media", "$.xgafv=2", "x"],
    ]
  ) {
    const fault = queryFault(`/v1beta/models/m:generateContent?${query}`);
    assert.equal(fault?.code, "path_not_allowed", query);
    assert.ok(!fault.message.includes("AIza"));
  }
});

Deno.test("targetFault() refuses a method behind a colon that is spelled otherwise, which no route knows, and any odd query", () => {
  for (
    const target of ["/v1beta/models/m%3AgenerateContent", "/v1beta/models/m%3acountTokens?alt=sse", "/v1beta/models/m?key=a"]
  ) {
    assert.equal(targetFault(target)?.code, "path_not_allowed", target);
  }
  assert.equal(targetFault("/v1beta/models/m%40001:generateContent?pageToken=a%3Ab"), null);
});

Deno.test("decoded() reads a segment, and leaves alone what is not percent-encoded UTF-8", () => {
  assert.deepEqual(["claude-sonnet-4-5%4020250929", "a", "%ff", "%"].map(decoded), [
    "claude-sonnet-4-5@20250929",
    "a",
    "%ff",
    "%",
  ]);
});
