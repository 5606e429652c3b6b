import assert from "node:assert/strict";
import { deadline } from "../../src/async/deadline.ts";
import { connected } from "../raw_client.ts";
import { SQL, Stand } from "../bad_input.ts";
import { messageCall, startProxy } from "../proxy_under_test.ts";
import { rawCall, rawRequest } from "../raw_http.ts";

const LISTS = ["/internal/usage", "/internal/traces", "/internal/refusals"];

/**
 * By filter: values that cannot be read. Each must be a 400 that names the filter; none may be
 * ignored.
 */
const UNREADABLE: Readonly<Record<string, readonly string[]>> = {
  workspace_id: ["", "%00", "%0a", "%7f", "%ff", "%c3%28", "%", "w".repeat(257)],
  sandbox_id: ["", "a%09b", "%ed%a0%80", "%zz", "s".repeat(10_000)],
  since: [
    "",
    "yesterday",
    "0",
    "1767323045000",
    "2026-01-31",
    "2026-01-31T12:00Z",
    "2026-02-30T00:00:00Z",
    "2026-01-31+12:00:00Z",
  ],
  limit: ["", "0", "-1", "1001", "1e2", "0x10", "10.0", "%205", "5;", "all", "%D9%A3", "99999999999999999999"],
  offset: ["", "-1", "1.5", "NaN", "Infinity", "1e3", "9007199254740993", "0%27%20OR%201=1"],
};
/** What is no filter at all, by the name that the refusal must show. */
const UNKNOWN: Readonly<Record<string, string>> = {
  "workspace=w1": "workspace",
  "Workspace_ID=w1": "Workspace_ID",
  "limit[]=5": "limit[]",
  "__proto__=1": "__proto__",
  "constructor": "constructor",
  "=5": "",
  "%00=5": "\\u0000",
  "limit%00=5": "limit\\u0000",
  "x'--=1": "x'--",
};

const TOKENS_BODIES: Readonly<Record<string, readonly [body: string | Uint8Array, status: number, names: RegExp]>> = {
  "nothing": ["", 400, /body as JSON/],
  "what is not JSON": ["{", 400, /body as JSON/],
  "invalid UTF-8": [Uint8Array.of(0x22, 0xff, 0x22), 400, /body as JSON/],
  "an array": ["[]", 400, /JSON object/],
  "null": ["null", 400, /JSON object/],
  "no workspace": ['{"sandboxId":"s"}', 400, /workspaceId/],
  "an empty workspace": ['{"workspaceId":"","sandboxId":"s"}', 400, /workspaceId/],
  "a workspace that is a number": ['{"workspaceId":7,"sandboxId":"s"}', 400, /workspaceId/],
  "a workspace with a space": ['{"workspaceId":"a b","sandboxId":"s"}', 400, /workspaceId/],
  "a workspace with a null byte": ['{"workspaceId":"a\\u0000","sandboxId":"s"}', 400, /workspaceId/],
  "a workspace that is not ASCII": ['{"workspaceId":"\u00e9","sandboxId":"s"}', 400, /workspaceId/],
  "a workspace of 129 characters": [JSON.stringify({ workspaceId: "w".repeat(129), sandboxId: "s" }), 400, /workspaceId/],
  "a sandbox that is an object": ['{"workspaceId":"w","sandboxId":{}}', 400, /sandboxId/],
  "an expiry in the past": ['{"workspaceId":"w","sandboxId":"s","expiresAt":"2001-01-01T00:00:00Z"}', 400, /expiresAt/],
  "an expiry that is no time": ['{"workspaceId":"w","sandboxId":"s","expiresAt":"tomorrow"}', 400, /expiresAt/],
  "a key that there is not": ['{"workspaceId":"w","sandboxId":"s","admin":true}', 400, /admin/],
  "a body of 20 kB": [JSON.stringify({ workspaceId: "w", sandboxId: "s", x: "x".repeat(20_000) }), 413, /16384 bytes/],
  "8,000 levels": ["[".repeat(8_000) + "]".repeat(8_000), 400, /JSON object/],
};

Deno.test("the admin API refuses each filter that it cannot read by name, and ignores none", async () => {
  await using stand = await opened();
  for (const list of LISTS) {
    for (const [filter, values] of Object.entries(UNREADABLE)) {
      for (const value of values) await stand.refuses(`${list}?${filter}=${value}`, { status: 400, names: filter });
      await stand.refuses(`${list}?${filter}=1&${filter}=1`, { status: 400, names: filter });
      await stand.refuses(`${list}?limit=5&${filter}`, { status: 400, names: filter });
    }
    for (const [query, name] of Object.entries(UNKNOWN)) await stand.refuses(`${list}?${query}`, { status: 400, names: name });
  }
  await stand.refuses("/internal/traces/at-1?workspace_id=%00", { status: 400, names: "workspace_id" });
  await stand.refuses("/internal/traces/at-1?limit=5", { status: 400, names: "limit" });
  await stand.refuses("/internal/tokens?limit=5", { status: 400, names: "limit" });
  for (const id of ["%00", "..%2f..", "'%20OR%201=1", "x".repeat(5_000), "%ff"]) {
    await stand.refuses(`/internal/traces/${id}`, { status: 404, names: "" });
  }
  await stand.refuses("/internal/traces/\u00e9", { status: 400, names: "HTTP/1.1" });
  await stand.serves();
  await stand.lostNothing();
});

Deno.test("the admin API makes no token of a body that it cannot read, and says why", async (t) => {
  await using stand = await opened();
  for (const [name, [body, status, names]] of Object.entries(TOKENS_BODIES)) {
    await t.step(`the admin API refuses ${name} as a new token`, async () => {
      const answer = await stand.admin("/internal/tokens", { method: "POST", body });
      assert.equal(answer.status, status, answer.body);
      assert.match(JSON.parse(answer.body).error.message, names);
    });
  }
  const { tokens } = await stand.proxy.ask("/internal/tokens") as { tokens: unknown[] };
  assert.equal(tokens.length, 1);
  await stand.serves();
  await stand.lostNothing();
});

Deno.test("the admin API takes SQL in every text field for data", async () => {
  await using stand = await opened();
  const { proxy } = stand;
  const [workspaceId, sandboxId] = [`w${SQL.replaceAll(" ", "/**/")}`, `s${SQL.replaceAll(" ", "/**/")}`];
  const traceId = `t${SQL.replaceAll(" ", "/**/")}`;
  const token = await proxy.token(workspaceId, sandboxId);
  await stand.serves();
  const call = messageCall(token, { text: SQL, headers: { "x-trace-id": traceId } });
  const answer = await fetch(`${proxy.url}/v1/messages`, call);
  assert.equal(answer.status, 200, await answer.text());
  await proxy.closedRows(2);

  const narrowed = `workspace_id=${encodeURIComponent(workspaceId)}&sandbox_id=${encodeURIComponent(sandboxId)}`;
  const { usage } = await proxy.ask(`/internal/usage?${narrowed}`) as { usage: { requestCount: number; inputTokens: number }[] };
  assert.deepEqual(usage.map(({ requestCount, inputTokens }) => [requestCount, inputTokens]), [[1, SQL.length]]);
  const { traces, total } = await proxy.ask(`/internal/traces?${narrowed}`) as { traces: { id: string }[]; total: number };
  assert.deepEqual([traces.map(({ id }) => id), total], [[traceId], 1]);
  const detail = await proxy.ask(`/internal/traces/${encodeURIComponent(traceId)}`) as { requests: { workspaceId: string }[] };
  assert.deepEqual(detail.requests.map((request) => request.workspaceId), [workspaceId]);
  const listed = await proxy.ask(`/internal/tokens?workspace_id=${encodeURIComponent(workspaceId)}`) as {
    tokens: { id: string }[];
  };
  assert.equal(listed.tokens.length, 1);
  for (const filter of ["workspace_id", "sandbox_id"]) {
    for (const sql of [SQL, "' OR '1'='1", "%", "_", "w1'--", 'w1" OR ""="']) {
      assert.deepEqual((await proxy.ask(`/internal/usage?${filter}=${encodeURIComponent(sql)}`)).usage, []);
    }
  }
  assert.equal((await stand.admin(`/internal/tokens/${encodeURIComponent(SQL)}`, { method: "DELETE" })).status, 404);
  assert.equal((await proxy.ask("/internal/tokens") as { tokens: unknown[] }).tokens.length, 2);
  await stand.serves();
  assert.equal((await proxy.closedRows(3)).length, 3);
});

class AdminStand extends Stand {
  async admin(target: string, { method = "GET", body = "" }: { method?: string; body?: string | Uint8Array } = {}) {
    const { adminUrl, adminToken } = this.proxy;
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    const lines = [`Host: ${new URL(adminUrl).host}`, `Authorization: Bearer ${adminToken}`, `content-length: ${bytes.length}`];
    const [answer] = await rawCall(adminUrl, rawRequest(`${method} ${target} HTTP/1.1`, { lines, body: bytes }));
    assert.ok(answer !== undefined, `there is no answer to ${method} ${target}`);
    this.assertNoLeak(answer.text);
    assert.ok(!answer.text.includes(adminToken));
    return answer;
  }

  /** The refusal has that status, and its message shows the name. */
  async refuses(target: string, { status, names }: { readonly status: number; readonly names: string }): Promise<void> {
    const answer = await this.admin(target);
    assert.equal(answer.status, status, `${target}: ${answer.body}`);
    const { error } = JSON.parse(answer.body);
    assert.equal(error.type, status === 400 ? "invalid_request_error" : "not_found_error");
    assert.ok(error.message.includes(names), `${target}: ${error.message}`);
    assert.ok(error.message.length < 500, `${target}: ${error.message}`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.proxy[Symbol.asyncDispose]());
  }
}

async function opened(): Promise<AdminStand> {
  const proxy = await startProxy();
  return new AdminStand(proxy, await proxy.token());
}

Deno.test("the admin API lets go of a connection whose request's body is cut short or malformed", async () => {
  await using stand = await opened();
  const { adminUrl, adminToken } = stand.proxy;
  const head = `POST /internal/tokens HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${adminToken}\r\n`;
  for (
    const [rest, ends] of [["Content-Length: 1000\r\n\r\n{}", true], ["Transfer-Encoding: chunked\r\n\r\nZZ\r\n", false]] as const
  ) {
    using client = await connected(adminUrl);
    client.send(head + rest);
    if (ends) client.socket.end();
    await deadline(client.ended, 5_000, () => new Error(`${rest}: the connection stays open`));
  }
  await stand.serves();
});
