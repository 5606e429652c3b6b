/** What people do on each page of the dashboard, in a real Chromium. */
import assert from "node:assert/strict";
import type { Download, Page } from "playwright-core";
import { PAGES } from "../../src/http/dashboard/pages.ts";
import { pathOf } from "../dashboard_paths.ts";
import { failing } from "../fake_answers.ts";
import { callAndRead } from "../metered_calls.ts";
import { waitFor } from "../wait.ts";
import { until } from "./chromium.ts";
import { BUSY, openFleet, runningCall } from "./working_fleet.ts";

/** More than a page of the list has. */
const SESSIONS = 120;

Deno.test("the overview is narrowed, sorted and downloaded, and each view is an address that goes back and to others", async () => {
  await using fleet = await openFleet();
  await using person = await fleet.open({});
  const { page } = person;
  await person.open("/dashboard?range=yesterday");
  const table = () => page.getByRole("table", { name: /^Sandboxes/ });
  const first = () => table().locator("tbody tr").first().innerText();
  const dearest = await first();
  assert.match(dearest, /sb-busy/);
  await table().getByRole("link", { name: "Spend" }).click();
  await until(page, "location.search.includes('.asc')");
  assert.doesNotMatch(await first(), /sb-busy/);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    table().locator("xpath=ancestor::section").getByRole("link", { name: "Download CSV" }).click(),
  ]);
  const { head, lines } = await csvOf(download);
  assert.ok(head.includes("sandbox_id") && head.includes("cost_usd"), head.join());
  assert.equal(lines.length, 5);
  assert.equal(lines.at(-1)![head.indexOf("sandbox_id")], BUSY.sandboxId, "in the order of the page");

  await table().getByRole("link", { name: BUSY.sandboxId }).click();
  await page.getByRole("link", { name: "Show every sandbox" }).waitFor();
  await using colleague = await fleet.open({ role: "viewer" });
  await colleague.open(page.url());
  assert.deepEqual(await colleague.page.locator(".card").allInnerTexts(), await page.locator(".card").allInnerTexts());
  await page.goBack();
  await page.goBack();
  assert.equal(await first(), dearest);
  assert.deepEqual([...person.faults, ...colleague.faults], []);
});

Deno.test("the list of traces is searched, paged and downloaded, and a trace opens down to one call", async () => {
  await using fleet = await openFleet();
  const token = await fleet.proxy.token("acme", "sb-many");
  for (let n = 0; n < SESSIONS; n++) await callAndRead(fleet.proxy.url, { token, text: "x", traceId: `many-${n}` });
  await fleet.proxy.closedRows(8 + SESSIONS);
  await using person = await fleet.open({});
  const { page } = person;
  await person.open("/dashboard/traces");
  await page.getByLabel("Trace id begins with").fill("many-");
  await page.getByRole("button", { name: "Search" }).click();
  const table = page.getByRole("table").first();
  const ids = () => table.locator("tbody tr a").allInnerTexts();
  const seen = new Set((await ids()).filter((id) => id.startsWith("many-")));
  const one = seen.size;
  assert.ok(one > 0 && one < SESSIONS, `${one} on a page`);
  await page.getByRole("link", { name: "Next page" }).click();
  await page.getByRole("link", { name: "First page" }).waitFor();
  for (const id of await ids()) assert.ok(!seen.has(id), `${id} is on both pages`);
  await page.goBack();
  assert.ok((await ids()).some((id) => seen.has(id)));
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download CSV" }).click()]);
  assert.equal((await csvOf(download)).lines.length, SESSIONS);

  await person.open(`/dashboard/traces/${BUSY.traceId}`);
  await page.getByRole("table", { name: "Agents" }).getByRole("link", { name: "a-search" }).click();
  const bars = page.locator(".waterfall li");
  await waitFor(async () => await bars.count() === 2, { what: "the two calls of that agent" });
  const bar = bars.first().locator("summary");
  await bar.focus();
  await page.keyboard.press("Enter");
  await bars.first().getByText("claude-opus-4-8").first().waitFor();
  assert.deepEqual(person.faults, []);
});

Deno.test("the live page follows calls, stops when it is paused, and says that a session has ended", async () => {
  await using fleet = await openFleet();
  await using admin = await fleet.open({});
  await using viewer = await fleet.open({ role: "viewer" });
  await admin.open("/dashboard/live");
  await viewer.open("/dashboard/live");
  const running = await runningCall(fleet);
  for (const { page } of [admin, viewer]) await page.getByRole("row").filter({ hasText: BUSY.sandboxId }).waitFor();
  assert.equal(await viewer.page.getByRole("link", { name: /^Cut/ }).count(), 0, "a viewer has no button");
  const output = () => admin.page.locator("[data-call] td").nth(3).innerText();
  const before = await output();
  await waitFor(async () => await output() !== before, { what: "more output" });
  await admin.page.getByRole("button", { name: "Pause" }).click();
  await admin.page.getByText(/^Paused at/).waitFor();

  // Signed out in another window of the same browser.
  const other = await viewer.page.context().newPage();
  await other.goto("/dashboard/audit");
  await other.getByRole("button", { name: "Sign out" }).click();
  await viewer.page.getByText("Your session has ended. Reload the page to sign in.").waitFor();

  await admin.open("/dashboard/live");
  await admin.page.getByRole("link", { name: `Cut ${BUSY.sandboxId}` }).press("Enter");
  await admin.page.keyboard.press("Escape");
  await waitFor(async () => await admin.page.getByRole("dialog").count() === 0, { what: "Escape to close the question" });
  assert.match(await admin.page.evaluate("document.activeElement.textContent"), /^Cut/, "the focus is back");
  await admin.page.keyboard.press("Enter");
  await admin.page.getByRole("button", { name: "Cut it" }).press("Enter");
  await admin.page.getByText(/ is cut\.$/).waitFor();
  assert.equal((await running.answer).isWhole, false);
  assert.deepEqual(admin.faults, []);
});

Deno.test("a workspace is suspended and served again, and a token made and revoked, by keyboard alone, as the audit says", async () => {
  await using fleet = await openFleet();
  await using person = await fleet.open({});
  const { page } = person;
  const old = await fleet.proxy.token("acme", "sb-1");
  const status = async (token: string) => (await callAndRead(fleet.proxy.url, { token, text: "hi" })).status;
  await person.open("/dashboard/workspaces/acme");
  await tabTo(page, "Suspend…");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").getByText("makes no call until it is resumed").waitFor();
  await page.keyboard.press("Escape");
  await waitFor(async () => await page.getByRole("dialog").count() === 0, { what: "Escape to close the question" });
  assert.equal(await focused(page), "Suspend…", "the focus is back");
  assert.equal(await status(old), 200);
  await page.keyboard.press("Enter");
  await tabTo(page, "Suspend");
  await page.keyboard.press("Enter");
  await page.getByText("It is suspended: its calls are refused").waitFor();
  assert.equal(await status(old), 403);
  await tabTo(page, "Resume…");
  await page.keyboard.press("Enter");
  await tabTo(page, "Resume");
  await page.keyboard.press("Enter");
  await page.getByText("It is served again.").waitFor();
  assert.equal(await status(old), 200);

  await page.getByLabel("Sandbox", { exact: true }).fill("sb-new");
  await page.keyboard.press("Enter");
  const secret = await page.locator("code.secret").innerText();
  assert.equal(await status(secret), 200);
  await tabTo(page, "I have copied it");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Workspace acme" }).waitFor();
  assert.ok(!(await page.content()).includes(secret), "it is shown once");
  const row = page.getByRole("table", { name: "Local tokens" }).getByRole("row").filter({ hasText: "sb-new" });
  await row.getByRole("button", { name: "Revoke…" }).press("Enter");
  await page.getByRole("dialog").getByRole("button", { name: "Revoke", exact: true }).press("Enter");
  await page.getByText("The token is revoked.").waitFor();
  assert.equal(await status(secret), 401);

  await page.getByRole("link", { name: "Audit" }).click();
  const changes = await page.getByRole("table").innerText();
  for (const change of ["suspension.begin", "suspension.end", "token.create", "token.revoke"]) {
    assert.ok(changes.includes(change), change);
  }
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download CSV" }).click()]);
  const { head, lines } = await csvOf(download);
  assert.deepEqual(lines.slice(0, 2).map((line) => line[head.indexOf("action")]), ["token.revoke", "token.create"]);
  assert.deepEqual(person.faults, []);
});

Deno.test("a sandbox of the list gets a limit, which refuses its next call, and loses it again", async () => {
  await using fleet = await openFleet();
  await using person = await fleet.open({ width: 390 });
  const { page } = person;
  const token = await fleet.proxy.token("acme", "sb-2");
  const status = async () => (await callAndRead(fleet.proxy.url, { token, text: "hi" })).status;
  await person.open("/dashboard/sandboxes?order=yesterday");
  await page.getByRole("row").filter({ hasText: "acme" }).getByRole("link", { name: "sb-2" }).click();
  const row = page.getByRole("table", { name: "Limits" }).getByRole("row").filter({ hasText: "dollars a day" });
  await row.getByRole("textbox").fill("many");
  await row.getByRole("button", { name: "Set" }).click();
  assert.match(await page.getByRole("alert").innerText(), /many/);
  await page.goBack();
  await row.getByRole("textbox").fill("0.000001");
  await row.getByRole("button", { name: "Set" }).click();
  await page.getByText("The limit is set.").waitFor();
  assert.equal(await status(), 429);
  await row.getByRole("button", { name: "Remove…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove", exact: true }).click();
  await page.getByText("The limit is removed.").waitFor();
  assert.equal(await status(), 200);
});

Deno.test("the health page says that the upstream fails and what was refused, and what a token costs", async () => {
  await using fleet = await openFleet();
  fleet.proxy.upstream.answer(failing(529));
  const token = await fleet.proxy.token("acme", "sb-1");
  assert.equal((await callAndRead(fleet.proxy.url, { token, text: "hi" })).status, 529);
  assert.equal((await callAndRead(fleet.proxy.url, { token: "llmp_of_no_one", text: "hi" })).status, 401);
  await using person = await fleet.open({ role: "viewer" });
  const { page } = person;
  await person.open("/dashboard/audit");
  await page.getByRole("link", { name: "Health" }).click();
  const rowOf = (table: RegExp, text: string) =>
    page.getByRole("table", { name: table }).getByRole("row").filter({ hasText: text });
  assert.match(await rowOf(/^How calls ended/, "529").innerText(), /upstream_error\s+529\s+1/);
  assert.match(await rowOf(/^What the proxy itself refused/, "unauthenticated").innerText(), /1$/);
  const prices = page.getByRole("table", { name: /^Prices in force/ });
  await prices.getByRole("link", { name: "Output", exact: true }).click();
  await until(page, "location.search.includes('prices_order=output')");
  assert.equal(await prices.locator("thead th[aria-sort=descending]").innerText(), "Output");
  assert.deepEqual(person.faults, []);
});

Deno.test("every stop of the tab key can be seen, and the first skips to the content", async (test) => {
  await using fleet = await openFleet();
  for (const width of [390, 1440]) {
    await using person = await fleet.open({ width });
    const { page } = person;
    for (const row of PAGES.filter(({ isPart }) => !isPart)) {
      const path = pathOf(row, BUSY);
      await test.step(`${path}, ${width} pixels`, async () => {
        await person.open(path);
        await page.keyboard.press("Tab");
        assert.equal(await focused(page), "Skip to the content");
        await page.keyboard.press("Enter");
        assert.equal(await page.evaluate("document.activeElement.id"), "main");
        await person.open(path);
        for (let n = 0; n < MOST_STOPS; n++) {
          await page.keyboard.press("Tab");
          const stop = await page.evaluate<{ name: string; isSeen: boolean } | null>(STOP);
          if (stop === null) break;
          assert.ok(stop.isSeen, `${stop.name} has the focus, which cannot be seen`);
        }
      });
    }
  }
});

const MOST_STOPS = 60;

/** This runs in the page: what has the focus, and if it is seen; null behind the last stop. */
const STOP = `(() => {
  const one = document.activeElement;
  if (one === null || one === document.body) return null;
  const { outlineStyle, outlineWidth } = getComputedStyle(one);
  const { width, height, bottom, top } = one.getBoundingClientRect();
  const isOnScreen = width > 0 && height > 0 && bottom > 0 && top < innerHeight;
  return { name: one.outerHTML.slice(0, 120), isSeen: outlineStyle !== "none" && parseFloat(outlineWidth) > 0 && isOnScreen };
})()`;

function focused(page: Page): Promise<string> {
  return page.evaluate<string>("document.activeElement.textContent.trim()");
}

/** Presses the tab key until that has the focus. */
async function tabTo(page: Page, text: string): Promise<void> {
  for (let n = 0; n < MOST_STOPS; n++) {
    await page.keyboard.press("Tab");
    if (await focused(page) === text) return;
  }
  assert.fail(`the tab key does not get to ${text}`);
}

/** No cell of these files has a comma or a line break in it. */
async function csvOf(download: Download): Promise<{ readonly head: readonly string[]; readonly lines: readonly string[][] }> {
  const text = await Deno.readTextFile(await download.path());
  const [head = [], ...lines] = text.trimEnd().split("\r\n").map((line) => line.split(","));
  return { head, lines };
}
