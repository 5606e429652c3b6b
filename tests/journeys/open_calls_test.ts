import assert from "node:assert/strict";
import { LEAST_BYTES_A_CALL } from "../../src/wire/body.ts";
import { messageCall, startProxy } from "../proxy_under_test.ts";
import { waitFor } from "../wait.ts";

const BUDGET_MB = 32;
const MOST_CALLS = BUDGET_MB * 1024 * 1024 / LEAST_BYTES_A_CALL;

Deno.test("the proxy refuses one sandbox more open calls than its share, serves others, and takes calls again as those end", async () => {
  await using proxy = await startProxy({ env: { LLMPROXY_BODY_BUDGET_PER_SANDBOX_MB: String(BUDGET_MB) } });
  const [greedy, modest] = [await proxy.token("w1", "greedy"), await proxy.token("w1", "modest")];
  proxy.upstream.answer("stall");
  const leaving = new AbortController();
  const call = () => fetch(`${proxy.url}/v1/messages`, messageCall(greedy, { stream: true, signal: leaving.signal }));
  const open = Array.from({ length: MOST_CALLS }, () => call().catch(() => null));
  await waitFor(() => proxy.upstream.calls.length === MOST_CALLS, { what: "all calls to be upstream", deadlineMs: 20_000 });

  const refused = await call();
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "1"]);
  await refused.body?.cancel();
  proxy.upstream.answer("default");
  const served = await fetch(`${proxy.url}/v1/messages`, messageCall(modest));
  assert.equal(served.status, 200);
  await served.body?.cancel();

  leaving.abort();
  await Promise.all(open);
  await waitFor(async () => {
    const answer = await fetch(`${proxy.url}/v1/messages`, messageCall(greedy));
    await answer.body?.cancel();
    return answer.status === 200;
  }, { what: "the room to be free again" });
});
