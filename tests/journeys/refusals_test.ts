import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { startFakeAgentserver } from "../fake_agentserver.ts";
import { startProxy } from "../proxy_under_test.ts";

const TOKEN = "proxy-token-of-sandbox-1";
const QWEN = "claude-cli/0.24.4 (external, cli)";

interface Case {
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
  readonly status: number;
  /** What the line says beyond its id, time, status and words. */
  readonly line: Readonly<Record<string, unknown>>;
}

const OWN = { workspaceId: "ws-1", sandboxId: "sb-1" };

const CASES: readonly Case[] = [
  // A base URL with one /v1 too many, and one too few.
  {
    path: "/v1/v1/messages?beta=true",
    headers: { "x-api-key": TOKEN, "user-agent": "claude-cli/2.1.332 (external, cli)", "x-claude-code-session-id": "1" },
    status: 421,
    line: { fault: "path_misdirected", ...OWN, path: "/v1/v1/messages", client: "claude-code" },
  },
  {
    path: "/messages",
    headers: { authorization: `Bearer ${TOKEN}`, "user-agent": "opencode/1.18.33 ai-sdk/provider-utils/4.0.46" },
    status: 404,
    line: { fault: "path_unknown", ...OWN, path: "/messages", client: "opencode" },
  },
  // No sandbox has it.
  {
    path: "/v1/responses",
    headers: { "x-api-key": "made-up", "user-agent": "codex_exec/0.171.0" },
    status: 403,
    line: { fault: "path_not_allowed", path: "/v1/responses", client: "codex" },
  },
  { path: "/wp-login.php", status: 404, line: { fault: "path_unknown", path: "/wp-login.php", client: "Deno" } },
  // Refused before the body was read, so the proxy cannot say which of two clients it is.
  {
    path: "/v1/messages",
    method: "POST",
    headers: { "x-api-key": "made-up", "user-agent": QWEN },
    status: 401,
    line: { fault: "unauthenticated", path: "/v1/messages", client: "claude-cli" },
  },
  // Tokens at the wrong place.
  {
    path: `/v1/${TOKEN}/messages`,
    headers: { "x-api-key": TOKEN, "user-agent": TOKEN },
    status: 403,
    line: { fault: "path_not_allowed", path: "[redacted]" },
  },
  {
    path: `/${"0a1b2c3d".repeat(4)}/v1/messages`,
    headers: { "user-agent": "curl/8" },
    status: 421,
    line: { fault: "path_misdirected", path: "/[redacted]/v1/messages", client: "curl" },
  },
];

Deno.test("the proxy says of each refusal whose it was, which path and which client, and counts it so", async () => {
  await using control = startFakeAgentserver();
  control.sandboxes.set(TOKEN, { sandbox_id: "sb-1", workspace_id: "ws-1", status: "running" });
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  try {
    {
      await using proxy = await startProxy({ dataDir, env: { LLMPROXY_AGENTSERVER_URL: control.url } });
      for (const { path, headers = {}, method = "GET", status, line } of CASES) {
        const answer = await fetch(proxy.url + path, { method, headers });
        await answer.body?.cancel();
        assert.equal(answer.status, status, path);
        const told = JSON.parse(proxy.logs.at(-1)!);
        assert.equal(told.requestId, answer.headers.get("x-llmproxy-request-id"));
        const { level: _level, time: _time, requestId: _id, status: _status, said: _said, msg, ...rest } = told;
        assert.deepEqual([msg, rest], ["refused", line], path);
      }
      assert.ok(!proxy.logs.some((log) => log.includes(TOKEN)));
      assert.deepEqual(proxy.upstream.calls, []);
    }
    const database = new DatabaseSync(`${dataDir}/llmproxy.db`, { readOnly: true });
    const counted = database.prepare("SELECT sandbox_id, fault, sum(count) AS n FROM refusals GROUP BY 1, 2 ORDER BY 1, 2").all();
    database.close();
    assert.deepEqual(counted.map(({ sandbox_id, fault, n }) => [sandbox_id, fault, n]), [
      ["", "path_misdirected", 1],
      ["", "path_not_allowed", 2],
      ["", "path_unknown", 1],
      ["", "unauthenticated", 1],
      ["sb-1", "path_misdirected", 1],
      ["sb-1", "path_unknown", 1],
    ]);
  } finally {
    await Deno.remove(dataDir, { recursive: true });
  }
});

Deno.test("the proxy refuses floods of made-up tokens at made-up paths with a handful of lookups", async () => {
  await using control = startFakeAgentserver();
  await using proxy = await startProxy({ env: { LLMPROXY_AGENTSERVER_URL: control.url } });
  const begun = performance.now();
  for (let n = 0; n < 300; n++) {
    const answer = await fetch(`${proxy.url}/v1/made/up`, { headers: { "x-api-key": `made-up-${n}` } });
    await answer.body?.cancel();
  }
  const seconds = Math.ceil((performance.now() - begun) / 1_000) + 1;
  assert.ok(control.lookUps.length <= 10 * seconds, `${control.lookUps.length} lookups in ${seconds} s`);
});
