import assert from "node:assert/strict";
import { arrivedError, carriedError, DatabaseUnavailable } from "../domain/unavailable.ts";
import { ADMIN_TOKEN, openAdmin } from "../../tests/admin_under_test.ts";
import { PRICES } from "../../tests/prices.ts";

const ROUTES: readonly (readonly [method: string, path: string])[] = [
  ["GET", "/internal/usage"],
  ["GET", "/internal/traces"],
  ["GET", "/internal/traces/at-1"],
  ["GET", "/internal/refusals"],
  ["GET", "/internal/tokens"],
  ["POST", "/internal/tokens"],
  ["DELETE", "/internal/tokens/lt-1"],
  ["GET", "/internal/audit"],
  ["GET", "/internal/openapi.json"],
  ["GET", "/metrics"],
  ["HEAD", "/metrics"],
  ["OPTIONS", "/internal/usage"],
  ["PUT", "/internal/usage"],
  ["GET", "/"],
  ["GET", "/nothing"],
  ["GET", "/healthz/x"],
  ["POST", "/healthz"],
  ["GET", "//healthz"],
  ["GET", "/healthz%2f..%2finternal/usage"],
  ["POST", "/v1/messages"],
];

Deno.test("adminApp() answers 401 without the token on every route but health, and does nothing", async () => {
  await using admin = await openAdmin();
  const body = JSON.stringify({ workspaceId: "ws-1", sandboxId: "sb-1" });
  for (const [method, path] of ROUTES) {
    for (const headers of [{}, { authorization: `Bearer ${ADMIN_TOKEN}x` }, { "x-api-key": ADMIN_TOKEN }]) {
      const init = { method, headers, ...(method === "POST" ? { body } : {}) };
      const { status, json } = await admin.askBare(path, init);
      assert.equal(status, 401, `${method} ${path}`);
      if (method !== "HEAD") assert.equal(json.error.type, "authentication_error");
    }
  }
  assert.deepEqual((await admin.ask("/internal/tokens")).json, { tokens: [] });
});

Deno.test("adminApp() answers 403 to a foreign host, with the token neither", async () => {
  await using admin = await openAdmin();
  for (const [method, path] of ROUTES) {
    assert.equal((await admin.ask(path, { method, headers: { host: "evil.example" } })).status, 403, `${method} ${path}`);
  }
  admin.deps.hosts = ["proxy.internal"];
  assert.equal((await admin.ask("/internal/usage", { headers: { host: "proxy.internal:8082" } })).status, 200);
});

Deno.test("adminApp() answers health without a token under any host", async () => {
  await using admin = await openAdmin();
  admin.deps.reason = "draining";
  const headers = { host: "evil.example" };
  assert.equal((await admin.askBare("/healthz", { headers })).status, 200);
  const { status, json } = await admin.askBare("/readyz", { headers });
  assert.deepEqual([status, json.reason], [503, "draining"]);
});

Deno.test("adminApp() answers 404 and 405 in JSON, and names the methods that there are", async () => {
  await using admin = await openAdmin();
  for (
    const path of ["/", "/nothing", "/internal", "/internal/usage/", "/internal/traces/a/b", "/INTERNAL/usage", "/v1/messages"]
  ) {
    const { status, json } = await admin.ask(path);
    assert.deepEqual([status, json?.error.type], [404, "not_found_error"], path);
  }
  for (
    const [method, path, allow] of [
      ["POST", "/internal/usage", "GET, HEAD"],
      ["PUT", "/internal/tokens", "GET, HEAD, POST"],
      ["GET", "/internal/tokens/lt-1", "DELETE"],
      ["DELETE", "/metrics", "GET, HEAD"],
      ["POST", "/healthz", "GET, HEAD"],
    ] as const
  ) {
    const { status, headers, json } = await admin.ask(path, { method });
    assert.deepEqual([status, headers.get("allow"), json.error.type], [405, allow, "method_not_allowed_error"]);
  }
});

Deno.test("adminApp() serves the metrics in their own content type", async () => {
  await using admin = await openAdmin();
  const { status, headers, text } = await admin.ask("/metrics");
  assert.deepEqual([status, text], [200, "llmproxy_up 1\n"]);
  assert.equal(headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
});

Deno.test("adminApp() shows the prices in force of all sellers' models, with the day on which each ends", async () => {
  await using admin = await openAdmin();
  const { status, json } = await admin.ask("/internal/prices");
  const { version, prices } = json as { readonly version: string; readonly prices: readonly { readonly model: string }[] };
  assert.deepEqual([status, version], [200, PRICES.version]);
  const of = (model: string) => prices.filter((price) => price.model === model);
  assert.deepEqual(of("gemini-3.8-flash"), [{
    ...{ model: "gemini-3.8-flash", from: "1970-01-01", until: "2027-01-01", promptFrom: 0, fastPercent: null },
    ...{ input: "0.75", read: "0.075", output: "3.75", serviceTierPercent: { flex: 50, batch: 50 } },
  }]);
  assert.deepEqual(of("gpt-5.4"), [
    {
      ...{ model: "gpt-5.4", from: "1970-01-01", until: null, promptFrom: 0, fastPercent: null },
      ...{ input: "2.50", read: "0.25", output: "15", serviceTierPercent: { priority: 200 } },
    },
    {
      ...{ model: "gpt-5.4", from: "1970-01-01", until: null, promptFrom: 272_001, fastPercent: null },
      ...{ input: "5", read: "0.50", output: "22.50", serviceTierPercent: {} },
    },
  ]);
  assert.equal((await admin.ask("/internal/prices?model=gpt-5.4")).status, 400);
});

Deno.test("adminApp() shows the upstreams, and takes no filter for them", async () => {
  await using admin = await openAdmin();
  const { status, json } = await admin.ask("/internal/upstreams");
  const shown = { name: "anthropic", dialect: "anthropic", provider: "anthropic", baseUrl: "https://api.example" };
  const credentials = [{ id: "key-a", weight: 1, baseUrl: "https://api.example" }];
  assert.deepEqual([status, json], [200, { upstreams: [{ ...shown, models: ["*"], workspaces: null, credentials }] }]);
  assert.equal((await admin.ask("/internal/upstreams?name=anthropic")).status, 400);
});

Deno.test("adminApp() lets nothing be cached", async () => {
  await using admin = await openAdmin();
  for (const path of ["/internal/usage", "/internal/tokens", "/metrics", "/nothing", "/internal/usage?limit=x"]) {
    assert.equal((await admin.ask(path)).headers.get("cache-control"), "no-store", path);
  }
});

Deno.test("adminApp() answers 500 without detail if a part of it fails, and tells the operator", async () => {
  const admin = await openAdmin();
  await admin.embedded.store.close();
  const { status, json, text } = await admin.ask("/internal/usage");
  assert.deepEqual([status, json.error.type], [500, "api_error"]);
  assert.equal(json.error.message, "The proxy failed on this request; its log says why");
  assert.ok(!/sqlite|worker|closed/i.test(text));
  const [level, , fields] = admin.notes[0] as [string, string, Record<string, unknown>];
  assert.deepEqual([level, fields["method"], fields["path"]], ["error", "GET", "/internal/usage"]);
  assert.ok(fields["error"] instanceof Error);
  await admin[Symbol.asyncDispose]();
});

Deno.test("adminApp() answers 400 on every route if until is not after since, or since is in the future", async () => {
  await using admin = await openAdmin();
  const [earlier, later] = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"];
  const routes = [
    ["GET", "/internal/usage?"],
    ["GET", "/internal/traces?"],
    ["GET", "/internal/refusals?"],
    ["GET", "/internal/export?format=csv&"],
    ["GET", "/internal/export?format=parquet&"],
    ["POST", "/internal/reprice?"],
    ["POST", "/internal/reprice?dry_run=true&"],
  ] as const;
  for (const [method, path] of routes) {
    for (const [since, until] of [[later, earlier], [later, later]]) {
      for (const span of [`since=${since}&until=${until}`, `until=${until}&since=${since}`]) {
        const { status, json } = await admin.ask(path + span, { method });
        assert.deepEqual([status, json.error.type], [400, "invalid_request_error"], path + span);
        assert.match(json.error.message, /^Cannot read the filter until as a time after since: /, path);
      }
    }
  }
  for (
    const [method, path] of [["GET", "/internal/export?format=csv"], ["POST", "/internal/reprice?"], [
      "POST",
      "/internal/reship?",
    ]]
  ) {
    const { status, json } = await admin.ask(`${path}&since=2030-01-01T00:00:00Z`, { method: method! });
    assert.equal(status, 400, path);
    assert.match(json.error.message, /^Cannot read the filter since as a time before now/, path);
  }
});

Deno.test("adminApp() refuses a time without its seconds, and shows one that has them", async () => {
  await using admin = await openAdmin();
  const says = /a time by RFC 3339 with its seconds, such as 2026-01-31T12:00:00Z/;
  for (const path of ["/internal/usage?since=2026-01-01T00:00Z", "/internal/export?format=csv&until=2026-01-01T00:00Z"]) {
    const { status, json } = await admin.ask(path);
    assert.equal(status, 400, path);
    assert.match(json.error.message, says, path);
  }
  const body = JSON.stringify({ workspaceId: "w", sandboxId: "s", expiresAt: "2030-01-01T00:00Z" });
  assert.match((await admin.ask("/internal/tokens", { method: "POST", body })).json.error.message, says);
  const trace = {
    id: "t",
    sandboxId: "s",
    workspaceId: "w",
    source: "x",
    createdAt: "2026-01-01T00:00Z",
    updatedAt: "2026-01-01",
  };
  const refused = await admin.ask("/internal/import", { method: "POST", body: JSON.stringify({ traces: [trace] }) });
  assert.equal(refused.status, 400);
  assert.match(refused.json.error.message, says);
});

Deno.test("adminApp() answers 503 with the reason and retry-after if a database cannot be used, and logs it", async () => {
  await using admin = await openAdmin();
  const cause = new Error("connect ECONNREFUSED 10.0.0.7:5432");
  const asked = new DatabaseUnavailable("PostgreSQL cannot be reached (ECONNREFUSED)", { cause });
  Object.assign(admin.embedded.store, { queryUsage: () => Promise.reject(arrivedError(carriedError(asked))) });
  const { status, headers, json } = await admin.ask("/internal/usage");
  assert.deepEqual([status, headers.get("retry-after")], [503, "5"]);
  assert.deepEqual(json, { error: { type: "unavailable_error", message: "PostgreSQL cannot be reached (ECONNREFUSED)" } });
  const [level, , fields] = admin.notes[0] as [string, string, { readonly error: Error }];
  assert.deepEqual([level, (fields.error.cause as Error).message], ["warn", cause.message]);
});
