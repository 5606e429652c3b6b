/** Attacks on the dashboard and its API over sockets: each page, action and route of the tables. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { ADMIN_ROUTES } from "../../src/http/admin_routes.ts";
import { PAGES } from "../../src/http/dashboard/pages.ts";
import { browserAt, dashboardAt, type DashboardBrowser } from "../dashboard_browser.ts";
import { actionPaths, isEvents, type NamesInPaths, pathOf } from "../dashboard_paths.ts";
import { callAndRead } from "../metered_calls.ts";
import { type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";

const VIEWER_TOKEN = "viewer-token-of-the-tests-0123456789";
const NAMES: NamesInPaths = { workspaceId: "w1", sandboxId: "s1", traceId: "t1" };
const ACTIONS = actionPaths(NAMES);
const SHOWN = PAGES.filter((page) => !isEvents(page));
/** Fields that the actions read, so that an admin's form changes something. */
const FIELDS = { kind: "rpd", max: "7", reason: "a test", sandbox: "s1", expires: "", back: "/dashboard/live" };
const FORGED = "llmproxy_session=%7B%22role%22%3A%22admin%22%7D.c2lnbmF0dXJl";
const LINE_BREAK = "x\r\nx-injected: 1\r\nset-cookie: llmproxy_session=evil\r\n\r\n<script>";

interface Scene extends AsyncDisposable {
  readonly proxy: ProxyUnderTest;
  readonly browser: () => DashboardBrowser;
  readonly signedIn: (token: string) => Promise<DashboardBrowser>;
}

/** A proxy with one call of `NAMES`. */
async function openScene(env: Readonly<Record<string, string>> = {}): Promise<Scene> {
  const proxy = await startProxy({ env: { LLMPROXY_VIEWER_TOKEN: VIEWER_TOKEN, ...env } });
  const token = await proxy.token(NAMES.workspaceId, NAMES.sandboxId);
  await callAndRead(proxy.url, { token, text: "hello", traceId: NAMES.traceId });
  await proxy.closedRows(1);
  const browser = () => browserAt(dashboardAt(proxy.adminUrl));
  return {
    proxy,
    browser,
    signedIn: async (secret) => {
      const person = browser();
      await person.signIn(secret);
      return person;
    },
    [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
  };
}

/** All that a form could have changed. */
async function stateOf({ text }: ProxyUnderTest): Promise<string> {
  const paths = ["audit", "quotas", "suspensions", "tokens"];
  return (await Promise.all(paths.map((path) => text(`/internal/${path}`)))).join("\n");
}

Deno.test("no page, action or route of the API answers without a session or token, or with a forged one", async () => {
  await using scene = await openScene();
  const { proxy } = scene;
  const before = await stateOf(proxy);
  const paths = PAGES.map((page) => pathOf(page, NAMES));
  const viewer = await scene.signedIn(VIEWER_TOKEN);
  const strangers: readonly Record<string, string>[] = [
    {},
    { cookie: FORGED },
    { cookie: viewer.cookie().replace("viewer", "admin") },
    { cookie: `${viewer.cookie()}x` },
    { authorization: `Bearer ${proxy.adminToken}` },
  ];
  for (const headers of strangers) {
    for (const path of [...paths, ...paths.map((path) => `${path}?format=csv`)]) {
      const { status, headers: { location }, text } = await answerTo(proxy, { path, headers });
      assert.deepEqual([status, text], [303, ""], `${path} with ${JSON.stringify(headers)}`);
      assert.match(location ?? "", /^\/dashboard\/sign-in\?next=%2Fdashboard/);
    }
    for (const path of ACTIONS) {
      const { status, headers: { location } } = await answerTo(proxy, { path, headers, form: FIELDS });
      assert.deepEqual([status, location], [303, "/dashboard/sign-in"], path);
    }
  }
  const guarded = ADMIN_ROUTES.filter(({ isOpen }) => !isOpen);
  assert.ok(guarded.length > 10);
  for (const { method, path } of guarded) {
    for (const headers of [{}, { cookie: viewer.cookie() }, { authorization: "Bearer wrong-token-of-someone" }]) {
      const { status } = await answerTo(proxy, { method, path: path.replace(/:\w+/g, "x"), headers });
      assert.equal(status, 401, `${method} ${path}`);
    }
  }
  assert.equal(await stateOf(proxy), before);
});

Deno.test("a viewer changes nothing: not by a form of any page, and not by any route of the API", async () => {
  await using scene = await openScene();
  const { proxy } = scene;
  const viewer = await scene.signedIn(VIEWER_TOKEN);
  const before = await stateOf(proxy);
  assert.ok(ACTIONS.length > 0);
  for (const path of ACTIONS) {
    const { status, text } = await viewer.submit(path, FIELDS);
    assert.equal(status, 403, path);
    assert.match(text, /as a viewer/);
  }
  for (const { method, path } of ADMIN_ROUTES.filter(({ method }) => method !== "GET")) {
    const headers = { authorization: `Bearer ${VIEWER_TOKEN}`, "content-type": "application/json" };
    const { status } = await answerTo(proxy, { method, path: path.replace(/:\w+/g, "w1"), headers });
    assert.equal(status, 403, `${method} ${path}`);
  }
  assert.equal(await stateOf(proxy), before);
});

Deno.test("a form counts only if a page of the same session has sent it, for every action", async () => {
  await using scene = await openScene();
  const { proxy } = scene;
  const [admin, other, viewer] = [
    await scene.signedIn(proxy.adminToken),
    await scene.signedIn(proxy.adminToken),
    await scene.signedIn(VIEWER_TOKEN),
  ];
  const form = { ...FIELDS, form_token: await admin.formToken() };
  const origin = new URL(proxy.adminUrl);
  const foreign: readonly (readonly [string, Record<string, string>, Record<string, string>])[] = [
    ["another site", form, { "sec-fetch-site": "cross-site" }],
    ["another port", form, { "sec-fetch-site": "same-site" }],
    ["an address typed", form, { "sec-fetch-site": "none" }],
    ["another origin, of an old browser", form, { "sec-fetch-site": "", origin: "http://evil.example" }],
    ["a port of this host, of an old browser", form, { "sec-fetch-site": "", origin: `http://${origin.hostname}:1` }],
    ["a file or a sandboxed frame", form, { "sec-fetch-site": "", origin: "null" }],
    ["no form token", FIELDS, {}],
    ["an empty form token", { ...FIELDS, form_token: "" }, {}],
    ["a token of another session", { ...FIELDS, form_token: await other.formToken() }, {}],
    ["a token of a viewer", { ...FIELDS, form_token: await viewer.formToken() }, {}],
  ];
  const before = await stateOf(proxy);
  for (const path of [...ACTIONS, "/dashboard/sign-out"]) {
    for (const [what, fields, headers] of foreign) {
      const { status } = await answerTo(proxy, { path, form: fields, headers: { cookie: admin.cookie(), ...headers } });
      assert.equal(status, 403, `${path} from ${what}`);
    }
    assert.notEqual((await admin.open(`${path}?${new URLSearchParams(form)}`)).status, 303, `${path} as a link`);
  }
  assert.equal(await stateOf(proxy), before);
  // The same forms from a page of the session itself get through to what they ask for.
  for (const path of ACTIONS) assert.notEqual((await admin.submit(path, FIELDS)).status, 403, path);
  assert.notEqual(await stateOf(proxy), before);
});

Deno.test("a session that someone plants in a browser is not the one that its owner signs in to", async () => {
  await using scene = await openScene();
  const { proxy } = scene;
  const attacker = await scene.signedIn(VIEWER_TOKEN);
  for (const planted of [attacker.cookie(), FORGED, "llmproxy_session=planted"]) {
    const victim = scene.browser();
    const form = { token: proxy.adminToken, next: "/dashboard/audit" };
    const { headers } = await victim.send("/dashboard/sign-in", form, { cookie: planted });
    const own = headers.get("set-cookie") ?? "";
    assert.match(own, /^llmproxy_session=/);
    assert.ok(!own.startsWith(planted));
    // What was planted is still no admin.
    for (const path of ACTIONS) {
      const form = { ...FIELDS, form_token: await victim.formToken() };
      const { status } = await answerTo(proxy, { path, form, headers: { cookie: planted, "sec-fetch-site": "same-origin" } });
      assert.ok(status === 403 || status === 303, path);
    }
  }
  assert.equal((await proxy.ask("/internal/suspensions") as { suspensions: unknown[] }).suspensions.length, 0);
});

Deno.test("no header can be injected by a name in a path, in a query, in a form or in a cookie", async () => {
  await using scene = await openScene();
  const { proxy } = scene;
  const admin = await scene.signedIn(proxy.adminToken);
  const hostile = { workspaceId: LINE_BREAK, sandboxId: LINE_BREAK, traceId: LINE_BREAK };
  const query = new URLSearchParams(
    ["order", "cursor", "range", "since", "workspace_id", "sandbox_id", "id", "cut", "by", "go", "next"].map((
      name,
    ) => [name, LINE_BREAK]),
  );
  const headers = { cookie: admin.cookie() };
  const asked = SHOWN.flatMap((page) => [
    { path: pathOf(page, hostile), headers },
    { path: `${pathOf(page, hostile)}?format=csv`, headers },
    { path: `${pathOf(page, NAMES)}?${query}`, headers },
    ...[...query].map(([name, value]) => ({ path: `${pathOf(page, NAMES)}?${new URLSearchParams({ [name]: value })}`, headers })),
  ]);
  const form_token = await admin.formToken();
  const fields = { ...Object.fromEntries(Object.keys(FIELDS).map((name) => [name, LINE_BREAK])), id: LINE_BREAK, form_token };
  const sent = [...ACTIONS, ...actionPaths(hostile)].map((path) => ({ path, headers, form: fields }));
  const signIns = [
    { path: `/dashboard/sign-in?next=${encodeURIComponent(`/dashboard/${LINE_BREAK}`)}`, headers },
    { path: "/dashboard/sign-in", form: { token: proxy.adminToken, next: `/dashboard/${LINE_BREAK}` } },
    { path: `/dashboard/${encodeURIComponent(LINE_BREAK)}` },
    { path: "/dashboard/audit", headers: { cookie: `${admin.cookie()}; llmproxy_zone=${encodeURIComponent(LINE_BREAK)}` } },
  ];
  for (const request of [...asked, ...sent, ...signIns]) {
    const { status, headers } = await answerTo(proxy, request);
    assert.ok(status >= 200 && status < 500, `${request.path} answers ${status}`);
    assert.equal(headers["x-injected"], undefined, request.path);
    assert.ok(!(headers["set-cookie"] ?? "").includes("evil"), request.path);
  }
  assert.deepEqual(proxy.logs.filter((line) => line.includes("a page of the dashboard failed")), []);
});

Deno.test("every answer of the dashboard keeps scripts, frames, sniffing and caches of others out", async () => {
  await using scene = await openScene();
  const { proxy } = scene;
  const admin = await scene.signedIn(proxy.adminToken);
  const headers = { cookie: admin.cookie() };
  const requests = [
    ...SHOWN.flatMap((page) => [pathOf(page, NAMES), `${pathOf(page, NAMES)}?format=csv`]).map((path) => ({ path, headers })),
    ...ACTIONS.map((path) => ({ path, headers, form: FIELDS })),
    { path: "/dashboard/no-such-page", headers },
    { path: "/dashboard/audit?order=none", headers },
    { path: "/dashboard/sign-in" },
    { path: "/dashboard/sign-in", form: { token: "wrong" } },
  ];
  for (const request of requests) {
    const { headers } = await answerTo(proxy, request);
    const policy = headers["content-security-policy"] ?? "";
    assert.match(policy, /default-src 'none'/, request.path);
    for (const rule of ["frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"]) assert.ok(policy.includes(rule));
    assert.ok(!/unsafe|\*|https?:|data:(?!$|;)/.test(policy.replace("img-src 'self' data:", "")), policy);
    assert.deepEqual(
      [
        headers["x-frame-options"],
        headers["x-content-type-options"],
        headers["cache-control"],
        headers["access-control-allow-origin"],
      ],
      ["DENY", "nosniff", "no-store", undefined],
      request.path,
    );
  }
});

Deno.test("the session's cookie is out of reach of scripts, other sites, other paths and plain http", async () => {
  await using scene = await openScene({ LLMPROXY_DASHBOARD_URL: "https://127.0.0.1" });
  const { proxy } = scene;
  for (const token of [proxy.adminToken, VIEWER_TOKEN]) {
    const { headers } = await scene.browser().signIn(token);
    const parts = (headers.get("set-cookie") ?? "").split("; ").slice(1);
    assert.deepEqual(parts.sort(), ["HttpOnly", "Max-Age=43200", "Path=/dashboard", "SameSite=Lax", "Secure"]);
  }
});

interface Asked {
  readonly path: string;
  /** `POST` with a form and `GET` without, if left out. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly form?: Readonly<Record<string, string>>;
}

/** As an attacker sends it: `fetch` would refuse some of these headers. */
async function answerTo(
  { adminUrl }: Pick<ProxyUnderTest, "adminUrl">,
  { path, method, headers = {}, form }: Asked,
): Promise<{ readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly text: string }> {
  const { hostname, port, host } = new URL(adminUrl);
  const body = form === undefined ? "" : String(new URLSearchParams(form));
  const sent: Record<string, string> = {
    host,
    connection: "close",
    ...(form === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" }),
    ...(form !== undefined || method !== undefined && method !== "GET" ? { "content-length": String(body.length) } : {}),
    ...headers,
  };
  const lines = Object.entries(sent).filter(([, value]) => value !== "").map(([name, value]) => `${name}: ${value}`);
  const socket = connect(Number(port), hostname);
  socket.end(`${method ?? (form === undefined ? "GET" : "POST")} ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n${body}`);
  let got = "";
  for await (const chunk of socket.setEncoding("utf8")) got += chunk;
  const end = got.indexOf("\r\n\r\n");
  const [first = "", ...rest] = got.slice(0, end).split("\r\n");
  const fields = rest.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]);
  const isChunked = fields.some(([name, value]) => name === "transfer-encoding" && value === "chunked");
  const text = got.slice(end + 4);
  return { status: Number(first.split(" ")[1]), headers: Object.fromEntries(fields), text: isChunked ? unchunked(text) : text };
}

function unchunked(text: string): string {
  return text.replace(/(?:^|\r\n)[0-9a-f]+\r\n/g, "").replace(/\r\n$/, "");
}
