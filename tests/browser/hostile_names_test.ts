/** Names and texts that would be markup, stored by real calls, on every page in a real Chromium. */
import assert from "node:assert/strict";
import { PAGES } from "../../src/http/dashboard/pages.ts";
import { isEvents, type NamesInPaths, pathOf } from "../dashboard_paths.ts";
import type { Answer, SeenCall } from "../fake_answers.ts";
import { messageBody, usageOf } from "../fake_messages.ts";
import { messageCall, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { drawn, type Person, signIn, startChromium, until } from "./chromium.ts";

/** It leaves attributes and elements, and has what our script acts on. An id has no spaces. */
const HOSTILE = `'"></script><img/src=x/onerror=pwned=1><i/data-calls=//evil.example><svg/onload=alert(1)>`;
const NAMES: NamesInPaths = { workspaceId: HOSTILE, sandboxId: HOSTILE, traceId: HOSTILE };
/** Spoken by the upstream or an operator: it may have spaces and scripts of its own. */
const TEXT = `${HOSTILE}<script>pwned = 2</script><a href="javascript:pwned=3" onclick="pwned = 3">x</a>&lt;script&gt;`;
/** A model's name that a link could run. */
const SCRIPT_URL = "javascript:pwned=4";
const CALLS = 4;
const PARAMETERS: readonly (readonly [name: string, value: string])[] = [
  ...["workspace_id", "sandbox_id", "id", "cut", "done", "go"].map((name) => [name, HOSTILE] as const),
  ...["order", "range", "cursor", "since", "by"].map((name) => [name, TEXT] as const),
  ["model", SCRIPT_URL],
];

/** These run in the page. */
const WATCH = `
  globalThis.refused = [];
  addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => refused.push(violatedDirective + " " + blockedURI));
`;
const DAMAGE = `({
  pwned: globalThis.pwned,
  refused,
  made: document.querySelectorAll("img, iframe, object, embed, base, [onerror], [onload], [onclick], i[data-calls], body script").length,
  led: [...document.querySelectorAll("a, form")].map((one) => one.href ?? one.action).filter((to) => !to.startsWith(location.origin)),
})`;
const UNHARMED = { pwned: undefined, refused: [], made: 0, led: [] };
/** A refusal is a page too, which Chromium notes. */
const IS_REFUSAL = /^console: Failed to load resource: the server responded with a status of 4\d\d/;
const IS_LISTED = "document.querySelectorAll('[data-calls] tbody tr').length > 0";

Deno.test("names and texts of strangers are text on every page, and run, load and send nothing", async (test) => {
  await using proxy = await startProxy({ env: { LLMPROXY_VIEWER_TOKEN: "viewer-token-of-the-tests-0123456789" } });
  await using browser = await startChromium();
  await store(proxy);
  await using admin = await signIn(browser, { adminUrl: proxy.adminUrl, token: proxy.adminToken });
  const visit = await watched(admin);
  const shown: string[] = [];
  for (const page of PAGES.filter((page) => !isEvents(page))) {
    const path = pathOf(page, NAMES);
    await test.step(`${page.path} of hostile names`, async () => {
      if (await visit(path)) shown.push(page.path);
    });
    await test.step(`${page.path} with hostile parameters`, async () => {
      for (const [name, value] of PARAMETERS) await visit(`${path}?${new URLSearchParams({ [name]: value })}`);
    });
  }
  await test.step("a call that begins while the live page is open", async () => {
    await visit("/dashboard/live");
    await put(proxy, `quotas/${encodeURIComponent(HOSTILE)}`, { max_rpd: 0 });
    const call = callOf(proxy, await proxy.token(HOSTILE, `${HOSTILE}3`));
    call({ model: HOSTILE }).catch(() => {});
    await until(admin.page, `document.querySelectorAll("[data-call]").length === 2`);
    assert.deepEqual(await admin.page.evaluate(DAMAGE), UNHARMED);
  });
  // The pages did show them: each that lists calls, places or changes.
  const lists = PAGES.filter(({ isInNavigation, path }) => isInNavigation && !path.endsWith("/health"));
  assert.deepEqual(lists.map(({ path }) => path).filter((path) => !shown.includes(path)), []);
});

/**
 * Opens pages. Resolves to whether a page shows the hostile name as text, and fails if it did more
 * than that.
 */
async function watched({ page, open, faults }: Person): Promise<(path: string) => Promise<boolean>> {
  const dialogs: string[] = [];
  page.on("dialog", (dialog) => {
    dialogs.push(dialog.message());
    void dialog.dismiss();
  });
  await page.addInitScript(WATCH);
  return async (path) => {
    await open(path);
    await drawn(page);
    if (path === "/dashboard/live") await until(page, IS_LISTED);
    assert.deepEqual(await page.evaluate(DAMAGE), UNHARMED, path);
    assert.deepEqual(dialogs, [], path);
    assert.deepEqual(faults.filter((fault) => !IS_REFUSAL.test(fault)), [], path);
    return (await page.locator("main").innerText()).includes(HOSTILE);
  };
}

/** All that someone outside can name: by calls, by the upstream's answers, and by the API. */
async function store(proxy: ProxyUnderTest): Promise<void> {
  const call = callOf(proxy, await proxy.token(HOSTILE, HOSTILE));
  proxy.upstream.answer(hostileMessage);
  for (const model of [HOSTILE, SCRIPT_URL, "claude-haiku-4-5"]) await (await call({ model })).text();
  proxy.upstream.answer(hostileError);
  await (await call({ model: HOSTILE })).text();
  await proxy.closedRows(CALLS);
  await put(proxy, `quotas/${encodeURIComponent(HOSTILE)}`, { max_rpd: CALLS + 1 });
  await put(proxy, `suspensions/another/sandboxes/${encodeURIComponent(HOSTILE)}`, { reason: TEXT });
  await put(proxy, `suspensions/${encodeURIComponent(`${HOSTILE}2`)}`, { reason: TEXT });
  // One stays in flight, and another is refused by the limit.
  proxy.upstream.answer("stall");
  call({ model: HOSTILE }).catch(() => {});
  await proxy.upstream.waitForCalls(CALLS + 1);
  assert.equal((await call({ model: HOSTILE })).status, 429);
}

function callOf({ url }: ProxyUnderTest, token: string) {
  const init = messageCall(token, {
    headers: {
      "x-trace-id": HOSTILE,
      "user-agent": `claude-cli/2.0 ${HOSTILE}`,
      "x-claude-code-session-id": HOSTILE,
      "x-claude-code-agent-id": HOSTILE,
      "x-claude-code-parent-agent-id": `${HOSTILE}2`,
      "x-claude-code-agent-type": HOSTILE,
      "x-claude-code-request-class": HOSTILE,
    },
  });
  return (over: Readonly<Record<string, unknown>>) =>
    fetch(`${url}/v1/messages`, { ...init, body: JSON.stringify({ ...JSON.parse(String(init.body)), ...over }) });
}

async function put({ adminUrl, adminToken }: ProxyUnderTest, path: string, body: unknown): Promise<void> {
  const headers = { authorization: `Bearer ${adminToken}`, "content-type": "application/json", "x-llmproxy-actor": HOSTILE };
  const { status } = await fetch(`${adminUrl}/internal/${path}`, { method: "PUT", headers, body: JSON.stringify(body) })
    .then(async (answer) => ({ status: answer.status, text: await answer.text() }));
  assert.equal(status, 200, path);
}

function hostileMessage({ messageId }: SeenCall): Answer {
  const usage = { ...usageOf("hello"), service_tier: HOSTILE, inference_geo: HOSTILE };
  const message = {
    ...messageBody({ id: messageId, model: HOSTILE, usage: usageOf("hello"), deltas: 1 }),
    usage,
    stop_reason: HOSTILE,
  };
  return { headers: { "content-type": "application/json", "request-id": HOSTILE }, body: JSON.stringify(message) };
}

function hostileError(): Answer {
  const error = { type: HOSTILE, message: TEXT };
  return { status: 400, headers: { "content-type": "application/json" }, body: JSON.stringify({ type: "error", error }) };
}
