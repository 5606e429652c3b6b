/** Sign-in at an OpenID provider, in a real Chromium: cookies and redirects between two sites. */
import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { openScene } from "../openid_scene.ts";
import { openWindow, SCHEMES, seriousFaults, startChromium, WIDTHS } from "./chromium.ts";

const WAY = "Sign in with your organisation";

Deno.test("someone signs in at the provider with a click, comes back to the view of a link, and signs out", async () => {
  await using scene = await openScene();
  await using browser = await startChromium();
  await using person = await openWindow(browser, scene.dashboard);
  const page = await person.open("/dashboard/audit?limit=7");
  await page.getByRole("link", { name: WAY }).click();
  await page.waitForURL(`${scene.provider.issuer}/**`);
  await logIn(page, "ada");
  await page.waitForURL("/dashboard/audit?limit=7");
  assert.match(await page.locator("header").innerText(), /ada@corp\.example/);
  const cookies = await page.context().cookies(`${scene.dashboard}/dashboard/oidc`);
  // What tied the sign-in to this browser is gone.
  assert.deepEqual(
    cookies.map(({ name, httpOnly, sameSite }) => [name, httpOnly, sameSite]).filter(([name]) => name !== "llmproxy_zone"),
    [
      ["llmproxy_session", true, "Lax"],
    ],
  );
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL("/dashboard/sign-in");
  await page.goto("/dashboard/audit");
  assert.match(page.url(), /\/dashboard\/sign-in/);
});

Deno.test("someone whom no setting names sees why, and that a token still opens the dashboard", async () => {
  await using scene = await openScene();
  await using browser = await startChromium();
  await using person = await openWindow(browser, scene.dashboard);
  const page = await person.open("/dashboard/audit");
  await page.getByRole("link", { name: WAY }).click();
  await logIn(page, "eve");
  const alert = page.getByRole("alert");
  await alert.waitFor();
  assert.match(await alert.innerText(), /knows you as eve/);
  await page.getByLabel("Admin or viewer token").fill(scene.proxy.adminToken);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.waitForURL("/dashboard/audit");
});

Deno.test("the sign-in page with both ways is readable by everyone and fits, on a phone and a screen, in both schemes", async () => {
  await using scene = await openScene();
  await using browser = await startChromium();
  for (const colorScheme of SCHEMES) {
    for (const width of WIDTHS) {
      await using person = await openWindow(browser, scene.dashboard, { colorScheme, width });
      const page = await person.open("/dashboard/sign-in");
      assert.ok(await page.getByRole("link", { name: WAY }).isVisible());
      assert.deepEqual([...person.faults, ...await seriousFaults(page)], []);
      assert.equal(await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"), 0);
    }
  }
});

/** Fills in the provider's login and agrees to what it asks. */
async function logIn(page: Page, name: string): Promise<void> {
  await page.getByPlaceholder("Enter any login").fill(name);
  await page.getByPlaceholder("and password").fill("of no matter");
  await page.getByRole("button", { name: "Sign-in" }).click();
  await page.getByRole("button", { name: "Continue" }).click();
}
