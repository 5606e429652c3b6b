import assert from "node:assert/strict";
import { startPostgres } from "../postgres_server.ts";
import { messageCall, type ProxyUnderTest, received, startProxy } from "../proxy_under_test.ts";
import { arrivedRows } from "../shared_rows.ts";

const HOUR_MS = 3_600_000;
/** The last minute of a slot of twelve hours. */
const BEGUN = Date.UTC(2026, 10, 28, 11, 59);
const OPENCODE = { "user-agent": "opencode/1.18.33 ai-sdk/provider-utils/4.0.46 runtime/bun/1.3.14" };

const postgres = await startPostgres();
Deno.test.afterAll(async () => await postgres[Symbol.asyncDispose]());

Deno.test("replicas place the calls of a run without a session, and of nested sub-agents, in the same traces", async () => {
  const url = await postgres.newDatabase();
  const clock = { now: BEGUN };
  const start = () => startProxy({ env: { LLMPROXY_DATABASE_URL: url }, system: { now: () => clock.now } });
  await using one = await start();
  await using other = await start();
  const token = await one.token();
  let count = 0;
  /** Makes a call and gives its row, as soon as all replicas can know of it. */
  const call = async (proxy: ProxyUnderTest, headers: Readonly<Record<string, string>> = {}) => {
    await received(await fetch(`${proxy.url}/v1/messages`, messageCall(token, { text: "go", headers })));
    const rows = await arrivedRows(postgres, { count: ++count, url });
    const { id } = proxy.rows().at(-1)!;
    return rows.find((row) => row.id === id)!;
  };
  const session = (id: string, parent: string) => ({ ...OPENCODE, "x-session-id": id, "x-parent-session-id": parent });

  const first = await call(one);
  assert.equal((await call(other)).trace_id, first.trace_id);
  await call(one, session("ses_child", "ses_main"));
  const nested = await call(other, session("ses_grandchild", "ses_child"));
  assert.deepEqual([nested.trace_id, nested.agent_id, nested.parent_agent_id], ["at-ses_main", "ses_grandchild", "ses_child"]);

  // The next slot, and a replica that has seen nothing of the one before.
  clock.now = BEGUN + 2 * HOUR_MS;
  await using fresh = await start();
  for (const proxy of [fresh, one, other]) assert.equal((await call(proxy)).trace_id, first.trace_id);
  clock.now = BEGUN + 12 * HOUR_MS;
  const next = [await call(other), await call(fresh), await call(one)].map(({ trace_id }) => trace_id);
  assert.equal(new Set(next).size, 1);
  assert.notEqual(next[0], first.trace_id);
});
