import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { messageCall, OPERATOR_KEY, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { RawConnection, type RawReply } from "../raw_connection.ts";

type Header = readonly [name: string, value: string];

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];
const ADMIN_PATHS = [
  ...["/internal", "/internal/usage", "/internal/traces", "/internal/traces/at-1", "/internal/refusals", "/internal/tokens"],
  ...["/internal/tokens/lt-1", "/internal/quotas/w1", "/internal/nothing", "/metrics", "/dashboard", "/dashboard/traces"],
  ...[
    "/internal/usage?limit=5",
    "/internal/calls",
    "/internal/../internal/usage",
    "/internal/%75sage",
    "/internal/usage/",
    "/metrics/",
  ],
];
/**
 * Other spellings of `/internal/usage`, `/metrics` and `/dashboard`, none of which is a path of any
 * listener.
 */
const ODD_SPELLINGS = [
  ...["//internal/usage", "/./internal/usage", "/v1/../internal/usage", "/x/../metrics", "/%2e%2e/internal/usage", "/../metrics"],
  ...["/INTERNAL/usage", "/Metrics", "/DASHBOARD", "/%69nternal/usage", "/%6Detrics", "/%2Finternal/usage", "/internal%2Fusage"],
  ...[
    "/internal\\usage",
    "\\internal\\usage",
    "/v1\\..\\metrics",
    "/internal;x/usage",
    "/metrics;x",
    "/metrics%00",
    "/metrics%20",
  ],
  ...["/healthz/../metrics", "/healthz/internal/usage", "/readyz%2f..%2fmetrics", "/api/hello/../../metrics", "/%64ashboard"],
];
const NEW_TOKEN = JSON.stringify({ workspaceId: "w9", sandboxId: "s9" });

Deno.test("the proxy listener shows a sandbox nothing administrative, whatever the spelling, the method and the token", async () => {
  await using proxy = await startProxy({ env: { LLMPROXY_ALLOW_PATHS: "*" } });
  const token = await proxy.token();
  const admin = new URL(proxy.adminUrl).host;
  using caller = new Caller(proxy.url);
  const absolute = [`${proxy.url}/internal/usage`, `${proxy.adminUrl}/internal/usage`, `${proxy.adminUrl}/metrics`];
  for (const headers of [[], ...tokensAs(token), ...tokensAs(proxy.adminToken), bothOf(token, proxy.adminToken)]) {
    for (const target of [...ADMIN_PATHS, ...absolute]) {
      for (const method of METHODS) await caller.isRefused({ method, target, headers }, [404]);
      await caller.isRefused({ method: "GET", target, headers, host: admin }, [404]);
    }
    for (const target of ODD_SPELLINGS) await caller.isRefused({ method: "GET", target, headers }, [400, 404]);
  }
  assert.deepEqual(proxy.upstream.calls, []);
  assert.equal((await proxy.ask("/internal/tokens") as { tokens: unknown[] }).tokens.length, 1);
});

Deno.test("the admin listener answers nothing without its token, on any path by any method, and does nothing", async () => {
  await using proxy = await startProxy();
  await holdsOut(proxy, {
    url: proxy.adminUrl,
    paths: [...ADMIN_PATHS, "/", "/nothing", "/v1/messages", "/healthz/x", "//healthz"],
  });
});

Deno.test("the admin listener that is mounted on the proxy's answers nothing without its token, and does nothing", async () => {
  await using proxy = await startProxy({ env: { LLMPROXY_ADMIN_ADDR: "same" } });
  assert.equal(proxy.adminUrl, proxy.url);
  await holdsOut(proxy, { url: proxy.url, paths: ADMIN_PATHS });
});

Deno.test("the admin listener that is mounted on the proxy's takes no other spelling, and its token for no proxy token", async () => {
  await using proxy = await startProxy({ env: { LLMPROXY_ADMIN_ADDR: "same", LLMPROXY_ALLOW_PATHS: "*" } });
  const token = await proxy.token();
  using caller = new Caller(proxy.url);
  for (const headers of [[], ...tokensAs(token), ...tokensAs(proxy.adminToken)]) {
    for (const target of ODD_SPELLINGS) await caller.isRefused({ method: "GET", target, headers }, [400, 401, 404]);
    for (const target of ["/", "/nothing", "/internals", "/metricsx"]) {
      await caller.isRefused({ method: "GET", target, headers }, [404]);
    }
  }
  for (const headers of tokensAs(proxy.adminToken)) {
    await caller.isRefused({ method: "POST", target: "/v1/messages", headers }, [401]);
  }
  assert.deepEqual(proxy.upstream.calls, []);
  const answer = await fetch(`${proxy.url}/v1/messages`, messageCall(token));
  assert.equal(answer.status, 200, await answer.text());
});

Deno.test("the proxy keeps equal trace ids of two workspaces apart, and asks which is meant", async () => {
  await using proxy = await startProxy();
  const id = "one-name-for-two";
  const [ours, theirs] = [await proxy.token("w1", "s1"), await proxy.token("w2", "s2")];
  await call(proxy, ours, { text: "ours", id });
  await call(proxy, theirs, { text: "and theirs", id });
  await call(proxy, theirs, { text: "and theirs again", id });
  await proxy.closedRows(3);

  const bare = await fetch(`${proxy.adminUrl}/internal/traces/${id}`, {
    headers: { authorization: `Bearer ${proxy.adminToken}` },
  });
  const { error } = await bare.json();
  assert.deepEqual([bare.status, error.type], [409, "conflict_error"]);
  assert.match(error.message, /workspace_id/);
  for (
    const [workspaceId, sandboxId, texts] of [["w1", "s1", ["ours"]], ["w2", "s2", ["and theirs", "and theirs again"]]] as const
  ) {
    const { trace, requests } = await detailOf(proxy, `${id}?workspace_id=${workspaceId}`);
    assert.deepEqual([trace.workspaceId, trace.sandboxId], [workspaceId, sandboxId]);
    assert.deepEqual(requests.map((request) => request.workspaceId), texts.map(() => workspaceId));
    assert.deepEqual(requests.map((request) => request.inputTokens), texts.map((text) => text.length));
    const { traces, total } = await proxy.ask(`/internal/traces?workspace_id=${workspaceId}`) as {
      traces: Json[];
      total: number;
    };
    assert.deepEqual([total, traces[0]!.requestCount], [1, texts.length]);
  }
});

Deno.test("a sandbox cannot join another workspace's trace by naming it in any way, nor move its activity", async () => {
  let at = Date.parse("2026-01-31T12:00:00Z");
  await using proxy = await startProxy({ system: { now: () => at } });
  const session = "00000000-0000-4000-8000-000000000001";
  await call(proxy, await proxy.token("w1", "s1"), { text: "mine", id: `at-${session}` });
  await proxy.closedRows(1);
  const before = await detailOf(proxy, `at-${session}`);
  at += 60_000;
  const token = await proxy.token("w2", "s2");
  const namings: readonly Readonly<Record<string, string>>[] = [
    { "x-trace-id": `at-${session}` },
    { "x-claude-code-session-id": session },
    { "x-opencode-session": session },
    { "session-id": session },
  ];
  for (const headers of namings) {
    for (const path of ["/v1/messages", "/v1/messages/count_tokens"]) {
      const answer = await fetch(proxy.url + path, messageCall(token, { headers }));
      assert.equal(answer.status, 200, await answer.text());
    }
  }
  const { body, ...init } = messageCall(token);
  const metadata = { user_id: `user_x_account__session_${session}` };
  const answer = await fetch(`${proxy.url}/v1/messages`, {
    ...init,
    body: JSON.stringify({ ...JSON.parse(String(body)), metadata }),
  });
  assert.equal(answer.status, 200, await answer.text());
  const rows = await proxy.closedRows(namings.length + 2);
  assert.deepEqual(rows.map((row) => row.trace_id), rows.map(() => `at-${session}`), "a naming was not understood");
  assert.deepEqual(await detailOf(proxy, `at-${session}?workspace_id=w1`), before);
  const { requests } = await detailOf(proxy, `at-${session}?workspace_id=w2`);
  assert.equal(requests.length, namings.length + 1);
});

interface Asked {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly Header[];
  readonly host?: string;
}

/** Asks one thing after the other over one connection. */
class Caller implements Disposable {
  readonly #connection: RawConnection;
  readonly #host: string;

  constructor(url: string) {
    this.#connection = new RawConnection(url);
    this.#host = new URL(url).host;
  }

  async send({ method, target, headers, host = this.#host }: Asked): Promise<RawReply> {
    const body = Buffer.from(["GET", "HEAD", "TRACE"].includes(method) ? "" : NEW_TOKEN);
    const framed: readonly Header[] = body.length === 0 ? [] : [["content-length", String(body.length)]];
    return await this.#connection.send({ method, target, headers: [["Host", host], ...headers, ...framed], body });
  }

  /**
   * One of those statuses, and in the body an error of ours or, where the runtime refuses it,
   * nothing.
   */
  async isRefused(asked: Asked, statuses: readonly number[]): Promise<RawReply> {
    const reply = await this.send(asked);
    const text = Buffer.from(reply.body).toString();
    const what = `${asked.method} ${asked.target} ${JSON.stringify(asked.headers)} ${asked.host}: ${reply.status} ${text}`;
    assert.ok(statuses.includes(reply.status), what);
    if (text !== "") {
      assert.match(text, /^\{("type":"error",)?"error":\{"type":"[a-z_]+","message":"[^"\\]*(\\.[^"\\]*)*"\}/, what);
    }
    return reply;
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }
}

/**
 * An admin listener that refuses calls without the token, and calls for a foreign host. Its
 * dashboard sends them to the sign-in page.
 */
async function holdsOut(
  proxy: ProxyUnderTest,
  { url, paths }: { readonly url: string; readonly paths: readonly string[] },
): Promise<void> {
  const { adminToken } = proxy;
  const right: readonly Header[] = [["Authorization", `Bearer ${adminToken}`]];
  using caller = new Caller(url);
  const wrong = wrongCredentials(adminToken, await proxy.token());
  for (const target of paths) {
    for (const headers of wrong) {
      for (const method of METHODS) {
        const isDashboard = target.startsWith("/dashboard");
        const { headers: answered } = await caller.isRefused({ method, target, headers }, [isDashboard ? 303 : 401]);
        if (isDashboard) assert.match(answered.get("location") ?? "", /^\/dashboard\/sign-in(\?next=%2Fdashboard[%\w]*)?$/);
        else assert.match(answered.get("www-authenticate") ?? "", /^Bearer /);
      }
    }
    for (
      const host of ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", `evil.example:${new URL(url).port}`]
    ) {
      for (const method of METHODS) await caller.isRefused({ method, target, headers: right, host }, [403]);
    }
  }
  for (const target of ["http://evil.example/internal/usage", "http://evil.example/metrics"]) {
    await caller.isRefused({ method: "GET", target, headers: right }, [403]);
  }
  await caller.isRefused({ method: "GET", target: `${url}/internal/usage`, headers: right, host: "evil.example" }, [403]);
  for (const target of ["/healthz", "/readyz"]) {
    for (const headers of [[], right, ...wrong]) {
      assert.equal((await caller.send({ method: "GET", target, headers, host: "evil.example" })).status, 200, target);
    }
  }
  for (const target of ["/internal/usage", "/internal/traces", "/internal/refusals", "/metrics"]) {
    for (const host of ["localhost", "127.0.0.1", "[::1]:8082"]) {
      assert.equal((await caller.send({ method: "GET", target, headers: right, host })).status, 200, target);
    }
  }
  assert.deepEqual(proxy.upstream.calls, []);
  assert.equal((await proxy.ask("/internal/tokens") as { tokens: unknown[] }).tokens.length, 1);
}

function wrongCredentials(adminToken: string, token: string): readonly (readonly Header[])[] {
  const basic = Buffer.from(`admin:${adminToken}`).toString("base64");
  const authorizations = [
    ...["", "Bearer", "Bearer ", adminToken, `Basic ${basic}`, `Token ${adminToken}`, `Bearer ${adminToken.toUpperCase()}`],
    ...[`Bearer ${adminToken}x`, `Bearer ${adminToken.slice(0, -1)}`, `Bearer ${adminToken} x`, "Bearer undefined"],
    ...[`Bearer ${token}`, `Bearer ${OPERATOR_KEY}`, `Bearer ${adminToken}, Bearer ${adminToken}`],
  ];
  return [
    [],
    ...authorizations.map((value): readonly Header[] => [["Authorization", value]]),
    [["x-api-key", adminToken]],
    [["Proxy-Authorization", `Bearer ${adminToken}`]],
    [["Cookie", `token=${adminToken}`]],
    [["Authorization", `Bearer ${token}`], ["x-api-key", adminToken]],
  ];
}

function tokensAs(token: string): readonly (readonly Header[])[] {
  return [[["x-api-key", token]], [["Authorization", `Bearer ${token}`]]];
}

function bothOf(token: string, adminToken: string): readonly Header[] {
  return [["x-api-key", token], ["Authorization", `Bearer ${adminToken}`]];
}

type Json = Readonly<Record<string, unknown>>;

async function detailOf(proxy: ProxyUnderTest, idAndQuery: string): Promise<{ trace: Json; requests: Json[] }> {
  return await proxy.ask(`/internal/traces/${idAndQuery}`) as { trace: Json; requests: Json[] };
}

async function call(
  proxy: ProxyUnderTest,
  token: string,
  { text, id }: { readonly text: string; readonly id: string },
): Promise<void> {
  const answer = await fetch(`${proxy.url}/v1/messages`, messageCall(token, { text, headers: { "X-Trace-Id": id } }));
  assert.equal(answer.status, 200, await answer.text());
}
