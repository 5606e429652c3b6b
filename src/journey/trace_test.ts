import assert from "node:assert/strict";
import { extractTraceId } from "./trace.ts";

const SESSION = "00000000-0000-4000-8000-000000000001";
const TOKEN = 'tok/"1"';
const HEX = "a".repeat(64);

function clue(headers: Record<string, string>, userId: string | null = null) {
  return extractTraceId(new Headers(headers), { userId, traceHeader: "x-trace-id", token: TOKEN });
}

Deno.test("extractTraceId() takes the trace header as given, before all others", () => {
  const headers = { "x-trace-id": "my-run-7", "x-claude-code-session-id": SESSION };
  assert.deepEqual(clue(headers), { id: "my-run-7", source: "header" });
});

Deno.test("extractTraceId() finds Claude Code's session in its header and in both forms of metadata.user_id", () => {
  const expected = { id: `at-${SESSION}`, source: "claude-code" };
  assert.deepEqual(clue({ "x-claude-code-session-id": SESSION }), expected);
  assert.deepEqual(clue({}, JSON.stringify({ device_id: HEX, account_uuid: "", session_id: SESSION, more: 1 })), expected);
  assert.deepEqual(clue({}, `user_${HEX}_account__session_${SESSION}`), expected);
  assert.deepEqual(clue({}, `user_${HEX}_account_${SESSION}_session_${SESSION}`), expected);
});

Deno.test("extractTraceId() finds no session where Claude Code to 1.0.50 names none", () => {
  assert.equal(clue({}, HEX), null);
});

Deno.test("extractTraceId() prefers Claude Code's session to another agent's header", () => {
  assert.equal(clue({ "x-session-id": "ses_1" }, `user_x_account__session_${SESSION}`)?.source, "claude-code");
});

Deno.test("extractTraceId() knows the session headers of other agents", () => {
  const known = {
    "x-opencode-session": "opencode",
    "x-session-affinity": "opencode",
    "x-session-id": "opencode",
    "session-id": "codex",
    "session_id": "codex",
    "thread-id": "codex",
    "x-mux-workspace-id": "mux",
    "x-client-session-id": "copilot-cli",
    "x-kilocode-taskid": "kilo",
    "x-coder-chat-id": "coder",
  };
  for (const [header, source] of Object.entries(known)) assert.deepEqual(clue({ [header]: "ses_9" }), { id: "at-ses_9", source });
});

Deno.test("extractTraceId() ignores ids that are not 1 to 128 visible ASCII characters, and looks on", () => {
  for (const bad of ["", "a b", "x".repeat(129), "tab\tin", "\u00e9", "x".repeat(10_000)]) {
    assert.deepEqual(clue({ "x-trace-id": bad, "x-session-id": "ses_1" }), { id: "at-ses_1", source: "opencode" });
  }
  assert.equal(clue({ "x-trace-id": "x".repeat(128) })?.id.length, 128);
  assert.equal(clue({ "x-session-id": "x".repeat(126) }), null);
});

Deno.test("extractTraceId() ignores ids that hold the proxy token, however they are spelled", () => {
  for (const bad of [TOKEN, `run-${TOKEN}`, encodeURIComponent(TOKEN)]) {
    assert.deepEqual(clue({ "x-trace-id": bad, "x-session-id": "ses_1" }), { id: "at-ses_1", source: "opencode" });
  }
  assert.equal(clue({ "x-session-id": TOKEN }), null);
  assert.equal(clue({}, JSON.stringify({ session_id: TOKEN })), null);
  assert.equal(clue({}, JSON.stringify({ session_id: TOKEN }).replace("tok", "\\u0074ok")), null);
});

Deno.test("extractTraceId() is not broken by a user id that is rubbish", () => {
  for (
    const rubbish of [
      "{",
      "{}",
      "[]",
      "null",
      '{"session_id":7}',
      '{"session_id":null}',
      '{"session_id":""}',
      "_session_",
      "{\u0000",
    ]
  ) {
    assert.equal(clue({}, rubbish), null);
  }
});
