/** What holds for every page of the dashboard, in a real Chromium. */
import assert from "node:assert/strict";
import type { Browser } from "playwright-core";
import { PAGES } from "../../src/http/dashboard/pages.ts";
import { pathOf } from "../dashboard_paths.ts";
import { failing } from "../fake_answers.ts";
import { messageCall, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import {
  drawn,
  openWindow,
  type Person,
  SCHEMES,
  seriousFaults,
  type SignedIn,
  signIn,
  startChromium,
  WIDTHS,
} from "./chromium.ts";

const VIEWER_TOKEN = "viewer-token-of-the-tests-0123456789";
const MOST_BYTES = 150_000;
const TRACE = "the-trace-of-a-page";
/** These run in the page. */
const WATCH_SHIFTS = `
  globalThis.shifts = [];
  new PerformanceObserver((list) => shifts.push(...list.getEntries().map(({ value }) => value)))
    .observe({ type: "layout-shift", buffered: true });
`;
const LAYOUT = "({ shifts, wide: document.documentElement.scrollWidth - document.documentElement.clientWidth })";
/** A name that would be markup, and longer than a phone is wide. */
const HOSTILE = `<img src=x onerror=alert(1)>"'&${"w".repeat(100)}`;

Deno.test("every page is light, still, readable by everyone and fits, on a phone and a screen, in both schemes", async (test) => {
  await using proxy = await startProxy({ env: { LLMPROXY_VIEWER_TOKEN: VIEWER_TOKEN } });
  await using browser = await startChromium();
  await fill(proxy);
  const paths = await pathsOf(proxy);
  const admin = await signedIn(browser, proxy, proxy.adminToken);
  const viewer = await signedIn(browser, proxy, VIEWER_TOKEN);
  for (const colorScheme of SCHEMES) {
    for (const width of WIDTHS) {
      for (const path of [...paths, "/dashboard/sign-in"]) {
        await test.step(`${path}, ${colorScheme}, ${width} pixels`, async () => {
          const known = path === "/dashboard/sign-in" ? {} : { storageState: admin };
          await using person = await openWindow(browser, proxy.adminUrl, { colorScheme, width, ...known });
          await holdsOn(person, path);
        });
      }
    }
  }
  await test.step("without scripts each page shows its content too", async () => {
    const options = { javaScriptEnabled: false, storageState: admin };
    await using person = await openWindow(browser, proxy.adminUrl, options);
    for (const path of paths) {
      const page = await person.open(path);
      assert.ok((await page.locator("main").innerText()).length > 40, path);
    }
  });
  await test.step("a viewer is shown no way to change anything", async () => {
    await using person = await openWindow(browser, proxy.adminUrl, { storageState: viewer });
    for (const path of paths) {
      const page = await person.open(path);
      assert.equal(await page.locator("main form[method=post]").count(), 0, path);
    }
  });
});

async function signedIn(browser: Browser, { adminUrl }: ProxyUnderTest, token: string): Promise<SignedIn> {
  await using person = await signIn(browser, { adminUrl, token });
  return await person.signedIn();
}

async function holdsOn(person: Person, path: string): Promise<void> {
  const { page, faults } = person;
  let bytes = 0;
  const sizes: Promise<void>[] = [];
  page.on("response", (response) => {
    // A stream of events has no end.
    if (response.headers()["content-type"]?.startsWith("text/event-stream")) return;
    sizes.push(response.body().then((body) => void (bytes += body.length), () => {}));
  });
  await page.addInitScript(WATCH_SHIFTS);
  await person.open(path);
  await drawn(page);
  await Promise.all(sizes);
  assert.ok(bytes > 1_000 && bytes < MOST_BYTES, `${path} takes ${bytes} bytes`);
  const layout = await page.evaluate(LAYOUT);
  assert.deepEqual(layout, { shifts: [], wide: 0 }, `${path} shifts, or is wider than its window`);
  assert.deepEqual(await seriousFaults(page), []);
  assert.deepEqual(faults, []);
}

/** Every page of the table that is one for itself, with values for the parameters of its path. */
async function pathsOf(proxy: ProxyUnderTest): Promise<string[]> {
  const names = { workspaceId: "w1", sandboxId: "s1", traceId: TRACE };
  const paths = PAGES.filter(({ isPart }) => !isPart).map((page) => pathOf(page, names));
  assert.ok(paths.length > 0);
  await proxy.closedRows(4);
  return paths;
}

/** Calls of two workspaces, one with hostile names, one that breaks, and changes for the audit. */
async function fill(proxy: ProxyUnderTest): Promise<void> {
  const token = await proxy.token("w1", "s1");
  const call = async (text: string, headers: Record<string, string> = {}, over: Record<string, unknown> = {}) => {
    const init = messageCall(token, { text, stream: true, headers: { "x-trace-id": TRACE, ...headers } });
    const body = JSON.stringify({ ...JSON.parse(String(init.body)), ...over });
    await fetch(`${proxy.url}/v1/messages`, { ...init, body }).then((answer) => answer.text());
  };
  await call("one");
  await call("two");
  await call("three", { "x-trace-id": "another" }, { model: HOSTILE });
  proxy.upstream.answer(failing(529));
  await call("four");
  proxy.upstream.answer("default");
  await proxy.closedRows(4);
}
