/** The command line's questions, on a terminal and piped, about a running proxy. */
import assert from "node:assert/strict";
import { failing } from "../fake_answers.ts";
import { operatorOf } from "../operator.ts";
import { runCommandLine } from "../proxy_process.ts";
import { messageCall, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";

/**
 * A call that says "hello" by the price list: 5 x 1 + 15005 x 1.25 + 5005 x 2 + 30005 x 0.1 +
 * 10005 x 5 millionths.
 */
const COST = "0.081796750";
const VIEWER_TOKEN = "viewer-token-of-the-tests-0123";
/** It clears the screen, colours what follows and rings. Beside it, letters of two cells. */
const HOSTILE = "\x1b[2J\x1b[31m\x07東京\u202e";
const SHOWN = "\\u{1b}[2J\\u{1b}[31m\\u{7}東京\\u{202e}";

Deno.test("usage, traces and trace show on a terminal and in a pipe what was used, by whom, and what it cost", async (t) => {
  await using proxy = await startProxy({ env: { LLMPROXY_VIEWER_TOKEN: VIEWER_TOKEN } });
  await makeCalls(proxy);
  const { piped, terminal, json, env } = operatorOf(proxy);

  await t.step("usage shows groups with a total, alike on a terminal and in a pipe", async () => {
    const args = ["usage", "--by", "workspace,model", "--order", "cost"];
    const text = await piped(...args);
    const rows = cellsOf(text);
    assert.deepEqual(rows[0], ["WORKSPACE", "MODEL", "CALLS", "INPUT", "CACHE WRITE", "CACHE READ", "OUTPUT", "COST", "OF THEM"]);
    assert.deepEqual(rows[1], ["acme", "claude-haiku-4-5", "2", "10", "40,020", "60,010", "20,010", "$0.1636"]);
    assert.deepEqual(rows[2]!.slice(0, 3), ["beta", SHOWN, "1"]);
    assert.deepEqual(rows[2]!.slice(-2), ["0", "$0.00"]);
    assert.deepEqual(rows.at(-1), ["total", "3", "10", "40,020", "60,010", "20,010", "$0.1636"]);
    assert.equal(await terminal(...args), text);
  });

  await t.step("usage --json prints what the admin API answers, and the filters narrow it", async () => {
    const { usage, totals } = await json("usage", "--workspace", "acme", "--sandbox", "sb-1", "--since", "1h", "--by", "trace");
    assert.deepEqual(
      (usage as Record<string, unknown>[]).map(({ workspaceId, traceId, costUsd }) => [workspaceId, traceId, costUsd]),
      [
        ["acme", "run-1", "0.163593500"],
      ],
    );
    assert.equal((totals as Record<string, unknown>).requestCount, 2);
    const nothing = await json("usage", "--outcome", "client_left");
    assert.deepEqual(nothing.usage, []);
  });

  await t.step("usage tells upstreams apart, and is narrowed to one", async () => {
    const args = ["usage", "--by", "upstream", "--workspace", "acme"];
    const rows = cellsOf(await piped(...args));
    assert.deepEqual(rows.map((cells) => cells.slice(0, 2)), [["UPSTREAM", "CALLS"], ["anthropic", "2"], ["total", "2"]]);
    assert.deepEqual(cellsOf(await piped(...args, "--upstream", "anthropic")), rows);
    assert.deepEqual((await json(...args, "--upstream", "elsewhere")).usage, []);
    assert.equal(((await json("traces", "--upstream", "anthropic")).traces as unknown[]).length, 2);
  });

  await t.step("usage --limit prints so many groups, says that there are more, and pages through all", async () => {
    const { stdout, stderr } = await runCommandLine(["usage", "--by", "workspace", "--limit", "1"], env);
    assert.deepEqual(cellsOf(stdout).map(([first]) => first), ["WORKSPACE", "acme", "total"]);
    assert.match(stderr, /There are more groups/);
    assert.equal(((await json("usage", "--by", "workspace", "--limit", "all")).usage as unknown[]).length, 2);
  });

  await t.step("traces lists sessions, newest activity first", async () => {
    const text = await piped("traces");
    const rows = cellsOf(text);
    assert.deepEqual(rows.slice(1).map((cells) => cells.slice(1, 5)), [["beta", "sb-2", rows[1]![3], "inferred"], [
      "acme",
      "sb-1",
      "run-1",
      "header",
    ]]);
    assert.deepEqual(rows[2]!.slice(5), ["2", "10", "20,010", "$0.1636"]);
    assert.equal(await terminal("traces"), text);
    const { traces, total } = await json("traces", "--workspace", "acme", "--order", "cost");
    assert.deepEqual([total, (traces as { id: string }[]).map(({ id }) => id)], [1, ["run-1"]]);
  });

  await t.step("trace shows one session: its agents, its calls and its cache", async () => {
    const text = await piped("trace", "run-1", "--workspace", "acme");
    assert.match(text, /^Session run-1 of sandbox sb-1 in workspace acme \(named by: header\)\nfrom 20\S+Z to 20\S+Z\n/);
    assert.match(text, /^main +1 /m);
    assert.match(text, /^└─ subagent Explore a1 +1 /m);
    assert.match(text, / ar-\S+ +claude-haiku-4-5 +anthropic +completed +\S.* +5 +30,005 +10,005 +\$0\.0818 +a1$/m);
    assert.match(text, /^The prompt cache: 60,010 tokens read saved \$/m);
    assert.equal(await terminal("trace", "run-1"), text);
    const { requests } = await json("trace", "run-1");
    assert.deepEqual((requests as { costUsd: string }[]).map(({ costUsd }) => costUsd), [COST, COST]);
  });

  await t.step("trace fails with 1 for a session that is not there", async () => {
    const { code, stdout, stderr } = await runCommandLine(["trace", "run-2"], env);
    assert.deepEqual([code, stdout, stderr], [1, "", 'The proxy refuses (404): There is no trace "run-2"\n']);
  });

  await t.step("a viewer's token asks and changes nothing, and another is refused with 2", async () => {
    const viewer = { ...env, LLMPROXY_ADMIN_TOKEN: VIEWER_TOKEN };
    assert.equal((await runCommandLine(["usage"], viewer)).code, 0);
    const changing = await runCommandLine(["suspend", "acme"], viewer);
    assert.deepEqual([changing.code, changing.stdout], [1, ""]);
    assert.match(changing.stderr, /^The proxy refuses \(403\): Cannot change anything with LLMPROXY_VIEWER_TOKEN/);
    const refused = await runCommandLine(["usage"], { ...env, LLMPROXY_ADMIN_TOKEN: "another-token-0123456789" });
    assert.deepEqual([refused.code, refused.stdout], [2, ""]);
    assert.doesNotMatch(refused.stderr, /another-token/);
  });
});

Deno.test("a command exits with 3 if no proxy answers", async () => {
  const proxy = await startProxy();
  const { env } = operatorOf(proxy);
  await proxy[Symbol.asyncDispose]();
  const { code, stderr } = await runCommandLine(["usage"], env);
  assert.equal(code, 3);
  assert.match(stderr, /^Cannot reach the proxy's admin listener at http:\/\/127\.0\.0\.1:\d+: is it running\?/);
});

/** Two calls of acme, the second by a sub-agent, and a failing one of beta with a hostile model. */
async function makeCalls(proxy: ProxyUnderTest): Promise<void> {
  const acme = await proxy.token("acme", "sb-1");
  const beta = await proxy.token("beta", "sb-2");
  const ask = async (call: RequestInit) => void await (await fetch(`${proxy.url}/v1/messages`, call)).text();
  const headers = { "x-trace-id": "run-1", "user-agent": "claude-cli/2.1.330 (external, cli)" };
  await ask(messageCall(acme, { headers }));
  await ask(
    messageCall(acme, { headers: { ...headers, "x-claude-code-agent-id": "a1", "x-claude-code-agent-type": "Explore" } }),
  );
  proxy.upstream.answer(failing(404));
  const call = messageCall(beta);
  await ask({ ...call, body: String(call.body).replace('"claude-haiku-4-5"', JSON.stringify(HOSTILE)) });
  await proxy.closedRows(3);
}

/** The cells of each line; no cell has two blanks. */
function cellsOf(text: string): readonly string[][] {
  return text.trimEnd().split("\n").map((line) => line.trim().split(/ {2,}/));
}
