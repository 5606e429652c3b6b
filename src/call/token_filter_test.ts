import assert from "node:assert/strict";
import { carriedSecrets, headersWithout, pathToShow, unlessSecret } from "./token_filter.ts";

Deno.test("unlessSecret() keeps what holds none of the secrets, and nothing of what holds one", () => {
  assert.equal(unlessSecret("claude-opus-4-8", ["tok-1", "sk-ant-1"]), "claude-opus-4-8");
  assert.equal(unlessSecret("", ["tok-1"]), "");
  for (const text of [null, "tok-1", "user_tok-1_session_x", "tok%2d1", "at-sk-ant-1"]) {
    assert.equal(unlessSecret(text, ["tok-1", "sk-ant-1"]), null);
  }
});

Deno.test("headersWithout() is as if headers that hold the token were not sent", () => {
  const headers = headersWithout(
    new Headers({ "x-api-key": "tok-1", "x-trace-id": "run-tok-1", "user-agent": "claude-cli/2" }),
    ["tok-1"],
  );
  assert.deepEqual(["x-trace-id", "x-api-key", "User-Agent", "x-none"].map((name) => headers.get(name)), [
    null,
    null,
    "claude-cli/2",
    null,
  ]);
});

Deno.test("carriedSecrets() is all that stands in the credential headers, whatever is wrong with it", () => {
  const of = (headers: Record<string, string>) => carriedSecrets(new Headers(headers));
  assert.deepEqual(of({}), []);
  assert.deepEqual(of({ "x-api-key": "t1", authorization: "Bearer t2" }), ["t1", "Bearer t2", "t2"]);
  assert.deepEqual(of({ authorization: "t3" }), ["t3"]);
  assert.deepEqual(of({ authorization: "Token t4 more" }), ["Token t4 more", "Token", "t4", "more"]);
});

Deno.test("pathToShow() shows what a client got wrong, cut, and nothing that is a token or looks like one", () => {
  for (
    const plain of [
      "/",
      "/v1/v1/messages",
      "/v1/responses",
      "/v1beta/models/gemini-2.5-pro:generateContent",
      "/v1/messages/count_tokens",
      "/get-models",
      "/v1//messages",
    ]
  ) {
    assert.equal(pathToShow(plain, ["tok-1"]), plain);
  }
  assert.equal(pathToShow("/v1/tok-1/messages", ["tok-1"]), "[redacted]");
  assert.equal(pathToShow("/v1/tok%2d1/messages", ["tok-1"]), "[redacted]");
  for (const odd of ["4f1c".repeat(8), "00000000-0000-4000-8000-00000000000a", "aGVsbG8gd29ybGQhISEhISEh", "x".repeat(21)]) {
    assert.equal(pathToShow(`/${odd}/v1/messages`, []), "/[redacted]/v1/messages");
  }
  assert.ok(pathToShow("/abcdefgh".repeat(5_000), []).length <= 256);
});
