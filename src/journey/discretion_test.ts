import assert from "node:assert/strict";
import { headersToKeep, unlessToken } from "./discretion.ts";

Deno.test("unlessToken() keeps what does not hold the token, and nothing of what does", () => {
  assert.equal(unlessToken("claude-opus-4-8", "tok-1"), "claude-opus-4-8");
  assert.equal(unlessToken("", "tok-1"), "");
  for (const text of [null, "tok-1", "user_tok-1_session_x", "tok%2d1"]) assert.equal(unlessToken(text, "tok-1"), null);
});

Deno.test("headersToKeep() is as if headers that hold the token were not sent", () => {
  const headers = headersToKeep(new Headers({ "x-api-key": "tok-1", "x-trace-id": "run-tok-1", "user-agent": "claude-cli/2" }));
  assert.deepEqual(["x-trace-id", "x-api-key", "User-Agent", "x-none"].map((name) => headers.get(name)), [
    null,
    null,
    "claude-cli/2",
    null,
  ]);
});
