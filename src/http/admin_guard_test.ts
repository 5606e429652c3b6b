import assert from "node:assert/strict";
import { Hono } from "hono";
import { guardAdmin, guardHost } from "./admin_guard.ts";
import { AdminRefusal, adminRefusalResponse } from "./admin_refusal.ts";

const TOKEN = "an-admin-token-of-32-characters!";

Deno.test("guardAdmin() lets the token through in an Authorization: Bearer header", async () => {
  for (const authorization of [`Bearer ${TOKEN}`, `bearer ${TOKEN}`, `BEARER   ${TOKEN} `]) {
    assert.equal((await ask({ authorization })).status, 200, authorization);
  }
});

Deno.test("guardAdmin() answers 401 to every other credential, and names the right one", async () => {
  const wrong = [
    undefined,
    "",
    "Bearer",
    "Bearer ",
    TOKEN,
    `Basic ${TOKEN}`,
    `Bearer ${TOKEN.slice(0, -1)}`,
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN} ${TOKEN}`,
    `Bearer ${TOKEN.toUpperCase()}`,
    `Bearer,${TOKEN}`,
    "Bearer null",
    `Bearer ${"x".repeat(50_000)}`,
  ];
  for (const authorization of wrong) {
    const { status, headers, body } = await ask(authorization === undefined ? {} : { authorization });
    assert.equal(status, 401, authorization);
    assert.match(headers.get("www-authenticate")!, /^Bearer /);
    assert.equal(body.error.type, "authentication_error");
    assert.match(body.error.message, /Authorization: Bearer with LLMPROXY_ADMIN_TOKEN/);
    assert.ok(!JSON.stringify(body).includes(TOKEN));
  }
});

Deno.test("guardAdmin() refuses every request while there is no token", async () => {
  for (const authorization of ["Bearer ", "Bearer undefined", "Bearer"]) {
    assert.equal((await ask({ authorization }, { token: () => "" })).status, 401);
  }
});

Deno.test("guardAdmin() reads a rotated token at the next request", async () => {
  let token = "the-first-token-0123";
  const options = { token: () => token };
  assert.equal((await ask({ authorization: "Bearer the-first-token-0123" }, options)).status, 200);
  token = "the-second-token-0123";
  assert.equal((await ask({ authorization: "Bearer the-first-token-0123" }, options)).status, 401);
  assert.equal((await ask({ authorization: "Bearer the-second-token-0123" }, options)).status, 200);
});

Deno.test("guardAdmin() serves addresses, localhost and the names that it was given, and 403 to every other host", async () => {
  const authorization = `Bearer ${TOKEN}`;
  const hosts = () => ["proxy.internal", "only.internal:8082"];
  const ours = [
    ...["127.0.0.1", "127.0.0.1:8082", "10.1.2.3:80", "[::1]", "[::1]:8082", "[fe80::1]:8082", "localhost", "LocalHost:8082"],
    ...["proxy.internal", "proxy.internal:9999", "PROXY.internal:1", "only.internal:8082"],
  ];
  for (const host of ours) assert.equal((await ask({ authorization, host }, { hosts })).status, 200, host);
  const foreign = [
    ...["evil.example", "evil.example:8082", "localhost.evil.example", "127.0.0.1.evil.example", "xlocalhost", "only.internal"],
    ...[
      "only.internal:8083",
      "proxy.internal.evil.example",
      "1.2.3",
      "[evil]",
      "127.0.0.1:80:80",
      "evil.example:localhost",
      "%00",
    ],
  ];
  for (const host of foreign) {
    const { status, body } = await ask({ authorization, host }, { hosts });
    assert.equal(status, 403, host);
    assert.match(body.error.message, /LLMPROXY_ADMIN_HOSTS/);
    assert.ok(body.error.message.includes(JSON.stringify(host)), body.error.message);
  }
});

Deno.test("guardHost() looks at the host of a target in absolute form too", async () => {
  const headers = { authorization: `Bearer ${TOKEN}`, host: "localhost" };
  assert.equal((await ask(headers, { url: "http://evil.example/x" })).status, 403);
});

Deno.test("guardAdmin() lets the viewer's token look, and change nothing", async () => {
  const viewerToken = () => "a-token-that-only-looks";
  const headers = { authorization: `Bearer ${viewerToken()}` };
  assert.equal((await ask(headers, { viewerToken })).status, 200);
  for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
    const { status, body } = await ask(headers, { viewerToken, method });
    assert.deepEqual([status, body.error.type], [403, "permission_error"], method);
  }
  assert.equal((await ask(headers)).status, 401);
  assert.equal((await ask({ authorization: "Bearer " }, { viewerToken: () => "" })).status, 401);
});

async function ask(
  headers: Readonly<Record<string, string>>,
  given: {
    readonly token?: () => string;
    readonly viewerToken?: () => string | null;
    readonly hosts?: () => readonly string[];
    readonly url?: string;
    readonly method?: string;
  } = {},
) {
  const app = new Hono();
  app.use(guardHost(given.hosts ?? (() => [])));
  app.use(guardAdmin({ token: () => TOKEN, viewerToken: () => null, ...given }));
  app.all("*", (context) => context.json({ in: true }));
  app.onError((error) => {
    assert.ok(error instanceof AdminRefusal);
    return adminRefusalResponse(error);
  });
  const response = await app.request(given.url ?? "http://localhost/x", { headers, method: given.method ?? "GET" });
  return { status: response.status, headers: response.headers, body: await response.json() };
}
