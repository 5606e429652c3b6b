/** What pages of other sites try with the browser of an operator who has signed in. */
import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { actionPaths, type NamesInPaths } from "../dashboard_paths.ts";
import { type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { signIn, startChromium } from "./chromium.ts";

const NAMES: NamesInPaths = { workspaceId: "w1", sandboxId: "s1", traceId: "t1" };
const FIELDS = { kind: "rpd", max: "7", reason: "a test", sandbox: "s1", expires: "" };
/** Another port is the same site for cookies, and another host name is another site. */
const HOSTS = ["127.0.0.1", "localhost"];

/** This runs in the foreign page. */
const READ = (url: string) =>
  `(async () => {
  const got = [];
  for (const mode of ["cors", "same-origin"]) {
    await fetch(${
    JSON.stringify(url)
  }, { credentials: "include", mode }).then((answer) => answer.text()).then((text) => got.push(text), () => {});
  }
  await new Promise((resolve) => {
    const events = new EventSource(${JSON.stringify(`${url}/events`)}, { withCredentials: true });
    events.addEventListener("message", ({ data }) => got.push(data));
    events.addEventListener("error", () => resolve(events.close()));
  });
  return got;
})()`;

interface ForeignSite extends AsyncDisposable {
  readonly url: (host: string) => string;
  readonly serve: (html: string) => void;
}

function foreignSite(): ForeignSite {
  let body = "";
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    () => new Response(`<!doctype html><title>x</title>${body}`, { headers: { "content-type": "text/html" } }),
  );
  return {
    url: (host) => `http://${host}:${server.addr.port}/`,
    serve: (html) => void (body = html),
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

async function stateOf({ text }: ProxyUnderTest): Promise<string> {
  return (await Promise.all(["audit", "quotas", "suspensions", "tokens"].map((path) => text(`/internal/${path}`)))).join("\n");
}

Deno.test("a page of another site shows no page of the dashboard in a frame, and reads none", async (test) => {
  await using proxy = await startProxy();
  await using browser = await startChromium();
  await using site = foreignSite();
  await using admin = await signIn(browser, { adminUrl: proxy.adminUrl, token: proxy.adminToken });
  const live = `${proxy.adminUrl}/dashboard/live`;
  for (const host of HOSTS) {
    await test.step(`frames on ${host}`, async () => {
      for (const markup of [`<iframe src="${live}"></iframe>`, `<object data="${live}"></object>`, `<embed src="${live}">`]) {
        site.serve(markup);
        await admin.page.goto(site.url(host));
        for (const text of await framesOf(admin.page)) assert.ok(!/sign out|in flight/i.test(text), `${markup} shows ${text}`);
      }
    });
    await test.step(`scripts on ${host}`, async () => {
      assert.deepEqual(await admin.page.evaluate(READ(live)), []);
    });
    await test.step(`a window opened from ${host} has no opener`, async () => {
      const [opened] = await Promise.all([
        admin.page.waitForEvent("popup"),
        admin.page.evaluate(`void (globalThis.opened = open(${JSON.stringify(live)}))`),
      ]);
      await opened.waitForLoadState();
      assert.equal(await opened.title(), "Live · llmproxy");
      assert.equal(await opened.evaluate("opener"), null);
      assert.equal(await admin.page.evaluate("opened.closed"), true);
      await opened.close();
    });
  }
});

Deno.test("a page of another site sends no form that counts, whatever the action", async (test) => {
  await using proxy = await startProxy();
  await using browser = await startChromium();
  await using site = foreignSite();
  await proxy.token("w1", "s1");
  const before = await stateOf(proxy);
  await using admin = await signIn(browser, { adminUrl: proxy.adminUrl, token: proxy.adminToken });
  for (const host of HOSTS) {
    for (const path of [...actionPaths(NAMES), "/dashboard/sign-out", "/dashboard/sign-in"]) {
      await test.step(`${path} from ${host}`, async () => {
        const inputs = Object.entries({ ...FIELDS, token: proxy.adminToken }).map(([name, value]) =>
          `<input name=${name} value="${value}">`
        );
        site.serve(`<form method=post action="${proxy.adminUrl}${path}">${inputs.join("")}<button>Win</button></form>`);
        await admin.page.goto(site.url(host));
        const [answer] = await Promise.all([
          admin.page.waitForResponse((response) => response.request().method() === "POST"),
          admin.page.getByRole("button", { name: "Win" }).click(),
        ]);
        assert.equal(answer.status(), 403);
        await admin.open("/dashboard/audit");
        assert.equal(new URL(admin.page.url()).pathname, "/dashboard/audit", "the session lasts");
      });
    }
  }
  assert.equal(await stateOf(proxy), before);
});

/** The text of each frame in the page, once each has loaded or was refused. */
async function framesOf(page: Page): Promise<readonly string[]> {
  await page.waitForLoadState("load");
  const inner = page.frames().filter((frame) => frame !== page.mainFrame());
  return await Promise.all(inner.map((frame) => frame.locator("body").innerText({ timeout: 5_000 }).catch(() => "")));
}
