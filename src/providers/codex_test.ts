import assert from "node:assert/strict";
import { toldByCodex } from "./codex.ts";

const NAMELESS = { agentId: null, parentAgentId: null, agentType: null, requestClass: null, promptId: null };
const MAIN = { session_id: "s", thread_id: "s", turn_id: "t1", root_turn_id: "t1", request_kind: "turn", thread_source: "user" };
const CHILD = {
  ...{ session_id: "s", thread_id: "c", parent_thread_id: "s", turn_id: "t2", root_turn_id: "t1", request_kind: "turn" },
  ...{ thread_source: "subagent", subagent_kind: "thread_spawn", agent_name: "look" },
};

/** As Codex sends it over HTTP: in the headers, and in the body if `inBody`. */
function told(turn: Readonly<Record<string, unknown>>, { headers = {}, metadata = {} }: {
  readonly headers?: Readonly<Record<string, string>>;
  readonly metadata?: Readonly<Record<string, unknown>>;
} = {}) {
  const all = new Headers({ "x-codex-turn-metadata": JSON.stringify(turn), ...headers });
  return toldByCodex({ header: (name) => all.get(name), metadata });
}

Deno.test("toldByCodex() names main's session and turn, and no agent", () => {
  const agent = { ...NAMELESS, requestClass: "main", promptId: "t1" };
  assert.deepEqual(told(MAIN), { session: "s", parent: null, agent });
  // Older ones say less.
  assert.deepEqual(told({}, { headers: { "session-id": "s", "thread-id": "s" } }), {
    session: "s",
    parent: null,
    agent: NAMELESS,
  });
  assert.equal(told({}, { headers: { "thread-id": "s" } }).session, "s");
  assert.deepEqual(told({}), { session: null, parent: null, agent: NAMELESS });
});

Deno.test("toldByCodex() takes a thread of another id for a sub-agent, below the one that started it, in its user's turn", () => {
  const agent = { ...NAMELESS, agentId: "c", agentType: "collab_spawn", requestClass: "subagent", promptId: "t1" };
  const headers = { "x-openai-subagent": "collab_spawn", "x-codex-parent-thread-id": "s" };
  assert.deepEqual(told(CHILD, { headers }), { session: "s", parent: null, agent });
  assert.equal(told(CHILD).agent.agentType, "thread_spawn");
  const deeper = told({ ...CHILD, thread_id: "d", parent_thread_id: "c" });
  assert.deepEqual([deeper.agent.agentId, deeper.agent.parentAgentId], ["d", "c"]);
});

Deno.test("toldByCodex() names the parent of a sub-agent that has a session of its own", () => {
  const own = told({ ...CHILD, session_id: "c" });
  assert.deepEqual([own.session, own.parent, own.agent.agentId, own.agent.requestClass], ["c", "s", null, "subagent"]);
});

Deno.test("toldByCodex() tells what a request is for by its kind, of sub-agents too", () => {
  const classOf = (turn: Readonly<Record<string, unknown>>) => told(turn).agent.requestClass;
  const kinds = { compaction: "compaction", prewarm: "auxiliary", memory: "auxiliary" };
  for (const [request_kind, expected] of Object.entries(kinds)) {
    assert.deepEqual([classOf({ ...MAIN, request_kind }), classOf({ ...CHILD, request_kind })], [expected, expected]);
  }
  assert.deepEqual([classOf({ ...MAIN, request_kind: "new" }), classOf({ ...CHILD, request_kind: "new" })], [null, "subagent"]);
});

Deno.test("toldByCodex() believes the body before headers, which may be those of a connection (trap 7)", () => {
  const metadata = { thread_id: "b", session_id: "b", "x-codex-turn-metadata": JSON.stringify({ turn_id: "t9" }) };
  const { session, agent } = told({ ...CHILD, request_kind: "prewarm" }, { metadata });
  assert.deepEqual([session, agent.promptId], ["b", "t1"]);
  const whole = { ...metadata, "x-codex-turn-metadata": JSON.stringify(MAIN) };
  assert.deepEqual(toldByCodex({ header: () => null, metadata: whole }).session, "s");
  assert.deepEqual(toldByCodex({ header: () => null, metadata }), {
    session: "b",
    parent: null,
    agent: { ...NAMELESS, promptId: "t9" },
  });
});

Deno.test("toldByCodex() takes a session in another program's metadata for nothing", () => {
  assert.equal(toldByCodex({ header: () => null, metadata: { session_id: "mine", turn_id: "t" } }).session, null);
});

Deno.test("toldByCodex() names nothing by what is malformed or no text, and never throws", () => {
  const nothing = { session: null, parent: null, agent: NAMELESS };
  const texts = ["", "{", "null", "[]", "7", '"s"', '{"session_id":', "\u0000", '{"__proto__":{"session_id":"s"}}'];
  for (const text of texts) {
    const header = (name: string) => name === "x-codex-turn-metadata" ? text : null;
    assert.deepEqual(toldByCodex({ header, metadata: { "x-codex-turn-metadata": text } }), nothing, text);
  }
  const names = ["session_id", "thread_id", "parent_thread_id", "turn_id", "root_turn_id", "request_kind", "subagent_kind"];
  for (const odd of [7, null, true, "", [], ["s"], {}, { id: "s" }]) {
    const turn = Object.fromEntries([...names, "x-openai-subagent"].map((name) => [name, odd]));
    const metadata = { ...turn, "x-codex-turn-metadata": odd };
    assert.deepEqual(told(turn, { metadata }), nothing, JSON.stringify(odd));
  }
});
