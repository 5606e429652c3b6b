import assert from "node:assert/strict";
import { quota, tenCentAnswer, tenCentEnv } from "../limited_calls.ts";
import { startPostgres } from "../postgres_server.ts";
import { startProxy } from "../proxy_under_test.ts";

/** As JSON: none is a number of tokens that a model can make. */
const HOSTILE = ["-1", "-1000000000000", "-0.5", "0.5", "1000000000000", "9007199254740991", "1e300", "1e309", '"x"', "[]"];

Deno.test("no number in a body gets past a limit on SQLite, or holds it for more than a call can use", async () => {
  await assertHeld({});
});

Deno.test("no number in a body gets past a limit on PostgreSQL, or holds it for more than a call can use", async () => {
  await using server = await startPostgres({ own: true });
  await assertHeld({ LLMPROXY_DATABASE_URL: server.url });
});

async function assertHeld(env: Readonly<Record<string, string>>): Promise<void> {
  await using proxy = await startProxy({ env: { ...await tenCentEnv(), ...env } });
  proxy.upstream.answer((call) => tenCentAnswer(call));
  for (
    const [workspace, full, roomy] of [
      ["tokens", { max_tokens_per_day: 1_500 }, { max_tokens_per_day: 1_000_000 }],
      ["cost", { max_cost_per_day_usd: "0.05" }, { max_cost_per_day_usd: "13" }],
    ] as const
  ) {
    const token = await proxy.token(workspace);
    const ask = async (maxTokens: string) => {
      const answer = await fetch(`${proxy.url}/v1/messages`, {
        method: "POST",
        headers: { "x-api-key": token, "content-type": "application/json" },
        body: `{"model":"house-model","max_tokens":${maxTokens},"messages":[{"role":"user","content":"hi"}]}`,
      });
      await answer.body?.cancel();
      return answer.status;
    };
    await quota(proxy, `/${workspace}`, full);
    for (const number of HOSTILE) {
      assert.equal(await ask(number), 429, `${workspace}: ${number}`);
      assert.equal(await ask(`1000,"max_tokens":${number}`), 429, `${workspace}: 1000, and then ${number}`);
    }
    const deep = '{"type":"enabled","budget_tokens":-1e12,"max_tokens":-1e12}';
    assert.equal(await ask(`1000,"thinking":${deep},"metadata":${deep}`), 429, `${workspace}: deeper`);
    await quota(proxy, `/${workspace}`, roomy);
    assert.equal(await ask("9007199254740991"), 200, `${workspace}: a call that a limit has room for`);
  }
  const ready = await fetch(`${proxy.url}/readyz`);
  assert.equal((await ready.json()).status, "ok");
}
