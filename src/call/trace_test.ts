import assert from "node:assert/strict";
import { CLIENTS, messages } from "../../tests/anthropic.ts";
import { HeaderFields } from "../domain/header_fields.ts";
import { inferredIdOf } from "./sessions.ts";
import { agentNames } from "./clients.ts";
import { belongingOf, extractTraceId } from "./trace.ts";
import type { Deps } from "./deps.ts";

const SESSION = "00000000-0000-4000-8000-000000000001";
const TOKEN = 'tok/"1"';
const HEX = "a".repeat(64);

function clue(headers: Record<string, string>, userId: string | null = null) {
  return extractTraceId({ headers: new Headers(headers), userId }, {
    traceHeader: "x-trace-id",
    clients: CLIENTS,
    token: TOKEN,
  });
}

Deno.test("extractTraceId() takes the trace header as given, before all others", () => {
  const headers = { "x-trace-id": "my-run-7", "x-claude-code-session-id": SESSION };
  assert.deepEqual(clue(headers), { id: "my-run-7", source: "header", child: null });
});

Deno.test("extractTraceId() finds Claude Code's session in its header and in both forms of metadata.user_id", () => {
  const expected = { id: `at-${SESSION}`, source: "claude-code", child: null };
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
  for (const [header, source] of Object.entries(known)) {
    assert.deepEqual(clue({ [header]: "ses_9" }), { id: "at-ses_9", source, child: null });
  }
});

Deno.test("extractTraceId() ignores ids that are not 1 to 128 visible ASCII characters, and looks on", () => {
  for (const bad of ["", "a b", "x".repeat(129), "tab\tin", "\u00e9", "x".repeat(10_000)]) {
    assert.deepEqual(clue({ "x-trace-id": bad, "x-session-id": "ses_1" }), { id: "at-ses_1", source: "opencode", child: null });
  }
  assert.equal(clue({ "x-trace-id": "x".repeat(128) })?.id.length, 128);
  assert.equal(clue({ "x-session-id": "x".repeat(126) }), null);
});

Deno.test("extractTraceId() ignores ids that hold the proxy token, however they are spelled", () => {
  for (const bad of [TOKEN, `run-${TOKEN}`, encodeURIComponent(TOKEN)]) {
    assert.deepEqual(clue({ "x-trace-id": bad, "x-session-id": "ses_1" }), { id: "at-ses_1", source: "opencode", child: null });
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

Deno.test("extractTraceId() names as source who sent a header that several agents share", () => {
  const senders = {
    "opencode/1.18.33 ai-sdk/provider-utils/4.0.46 runtime/bun/1.3.14": "opencode",
    "kilo/latest/7.7.9/cli ai-sdk/provider-utils/4.0.27 runtime/bun/1.3.14": "kilo",
    "pi/1.6.0 (linux; node/v24.21.0; x64)": "pi",
    // Libraries and strangers: the first agent of the header.
    "ai-sdk/anthropic/4.0.42 ai-sdk/provider-utils/4.0.46 runtime/bun/1.3.14": "opencode",
    "Anthropic/JS 0.94.0": "opencode",
    "something/1": "opencode",
  };
  for (const [agent, source] of Object.entries(senders)) {
    for (const header of ["x-session-affinity", "x-session-id"]) {
      assert.deepEqual(clue({ "user-agent": agent, [header]: "ses_9" }), { id: "at-ses_9", source, child: null });
    }
  }
});

Deno.test("extractTraceId() takes OpenCode's own session and name, also beside a session-id (trap 6)", () => {
  const headers = { "user-agent": "opencode/1.18.33", originator: "opencode", "session-id": "ses_2" };
  const own = { "x-session-affinity": "ses_1", "x-session-id": "ses_1" };
  assert.deepEqual(clue({ ...headers, ...own }), { id: "at-ses_1", source: "opencode", child: null });
  assert.deepEqual(clue(headers), { id: "at-ses_2", source: "opencode", child: null });
  const child = clue({ ...headers, ...own, "x-parent-session-id": "ses_0" })?.child;
  assert.deepEqual(child, { session: "ses_1", parent: "ses_0" });
  // Of another client, Codex's names say nothing.
  const names = agentNames({ headers: new Headers({ ...headers, "thread-id": "ses_3" }), userId: null }, CLIENTS);
  assert.deepEqual(Object.values(names).filter((name) => name !== null), []);
});

Deno.test("extractTraceId() takes the session of Codex's sub-agents, of headers or body, and no client request id (trap 5)", () => {
  const found = { id: "at-s", source: "codex", child: null };
  const agent = { "user-agent": "codex_exec/0.171.0", "x-client-request-id": "c", "session-id": "s", "thread-id": "c" };
  assert.deepEqual(clue(agent), found);
  assert.equal(clue({ "user-agent": "codex_exec/0.171.0", "x-client-request-id": "c" }), null);
  const options = { traceHeader: "x-trace-id", clients: CLIENTS, token: TOKEN };
  const inBody = (metadata: Readonly<Record<string, unknown>>, headers = {}) =>
    extractTraceId({ headers: new Headers(headers), userId: null, metadata }, options);
  assert.deepEqual(inBody({ session_id: "s", thread_id: "c" }), found);
  assert.deepEqual(inBody({ session_id: "s", thread_id: "c" }, { "user-agent": "codex_cli_rs/0.171.0" }), found);
  // An SDK's own word, and one that holds the token.
  assert.equal(inBody({ session_id: "s" }, { "user-agent": "OpenAI/JS 7.59.0" }), null);
  assert.equal(inBody({ session_id: TOKEN, thread_id: TOKEN }), null);
  const own = inBody({ session_id: "c", thread_id: "c", "x-codex-parent-thread-id": "s" });
  assert.deepEqual(own, { id: "at-c", source: "codex", child: { session: "c", parent: "s" } });
});

Deno.test("extractTraceId() finds the session that started a sub-agent's, also beside a trace header", () => {
  const child = { session: "ses_child", parent: "ses_main" };
  const headers = { "x-session-id": "ses_child", "x-parent-session-id": "ses_main" };
  assert.deepEqual(clue(headers), { id: "at-ses_child", source: "opencode", child });
  assert.deepEqual(clue({ ...headers, "user-agent": "kilo/7" }), { id: "at-ses_child", source: "kilo", child });
  assert.deepEqual(clue({ ...headers, "x-trace-id": "run-7" }), { id: "run-7", source: "header", child });
  // pi has no sub-agents, Claude Code names its own in another way.
  assert.equal(clue({ ...headers, "user-agent": "pi/1.6.0" })?.child, null);
  assert.equal(clue({ ...headers, "x-claude-code-session-id": SESSION })?.child, null);
});

Deno.test("extractTraceId() holds a parent to the rules for sessions: otherwise the child is a session of its own", () => {
  for (const bad of ["", "a b", "\u00e9", "x".repeat(126), TOKEN, `ses_${TOKEN}`, encodeURIComponent(TOKEN), "ses_child"]) {
    const found = clue({ "x-session-id": "ses_child", "x-parent-session-id": bad });
    assert.deepEqual(found, { id: "at-ses_child", source: "opencode", child: null }, bad);
  }
});

Deno.test("extractTraceId() ignores a client that names an inferred session", () => {
  const inferred = inferredIdOf({ workspaceId: "w1", sandboxId: "s1", client: "pi", firstMessage: HEX }, 7);
  assert.match(inferred, /^at-[0-9A-HJKMNP-TV-Z]{26}$/);
  assert.equal(clue({ "x-trace-id": inferred }), null);
  assert.equal(clue({ "x-session-id": inferred.slice(3) }), null);
  assert.equal(clue({ "x-session-id": "ses_1", "x-parent-session-id": inferred.slice(3) })?.child, null);
  // A ULID of our own may be named: that is how a client goes on in a trace that it has been told
  // of.
  assert.equal(clue({ "x-trace-id": "at-01KB4Z5V5Q0000000000000000" })?.id, "at-01KB4Z5V5Q0000000000000000");
});

Deno.test("belongingOf() of a named session reads no message and asks no records; a sub-agent's, without a row too, is its root's", async () => {
  const asked: unknown[] = [];
  const deps = {
    clients: CLIENTS,
    traceHeader: "x-trace-id",
    now: () => 7,
    newId: () => "new",
    sessions: {
      infers: true,
      inferred: () => assert.fail("a named session is not inferred"),
      rootOf: (child: unknown) => {
        asked.push(child);
        return Promise.resolve({ traceId: "at-root", isParentMain: false });
      },
    },
  } as unknown as Deps;
  const sandbox = { sandboxId: "s1", workspaceId: "w1", tokenId: null };
  const body = {
    chunks: [],
    get length(): number {
      return assert.fail("the body is not looked at");
    },
  };
  const call = (headers: Record<string, string>, isRead = true) =>
    belongingOf({
      incoming: {
        request: { method: "POST", body: null, headers: new HeaderFields(Object.entries({ "x-api-key": "tok-1", ...headers })) },
        dialect: messages,
      },
      asked: isRead ? { userId: null, messages: { start: 0, end: 9 }, body } as never : null,
      caller: { sandbox, token: "tok-1" },
    }, deps);
  for (const headers of [{ "x-trace-id": "run-1" }, { "x-session-id": "ses_1" }, { "x-claude-code-session-id": SESSION }]) {
    assert.notEqual((await call(headers)).trace.source, "inferred");
  }
  assert.deepEqual(asked, []);
  const child = { "x-session-id": "c", "x-parent-session-id": "p" };
  for (const isRead of [true, false]) {
    const { trace, agent } = await call(child, isRead);
    assert.deepEqual([trace.id, trace.source, agent.agentId, agent.parentAgentId], ["at-root", "opencode", "c", "p"]);
  }
  const named = await call({ ...child, "x-trace-id": "run-1" });
  assert.deepEqual([named.trace.id, named.trace.source, named.agent.agentId], ["run-1", "header", "c"]);
  assert.deepEqual(asked[0], { workspaceId: "w1", sandboxId: "s1", session: "c", parent: "p" });
  assert.deepEqual([(await call({}, false)).trace.id, (await call({}, false)).trace.source], ["at-new", "auto"]);
  const spelled = await call({ "x-codex-turn-metadata": '{"session_id":"s","thread_id":"\\u0074ok-1","turn_id":"\\u0074ok-1"}' });
  assert.deepEqual([spelled.trace.id, spelled.agent.agentId, spelled.agent.promptId], ["at-s", null, null]);
});
