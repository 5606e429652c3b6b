/** A real Chromium, and the people who look at the dashboard with it. */
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import axe, { type AxeResults } from "axe-core";
import { debianProgram } from "../debian_programs.ts";
import { waitFor } from "../wait.ts";

/** Without them it calls its maker's hosts, all the time. */
const QUIET = [
  ...["--disable-background-networking", "--disable-component-update", "--disable-quic", "--disable-sync", "--no-first-run"],
  ...["--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb", "--font-render-hinting=none"],
  // Tests may run as root, for whom it has no sandbox.
  "--no-sandbox",
];

/** Phones and screens that the dashboard is made for, in CSS pixels. */
export const WIDTHS = [390, 1440] as const;
export const SCHEMES = ["light", "dark"] as const;

export interface Person extends AsyncDisposable {
  readonly page: Page;
  readonly signedIn: () => Promise<SignedIn>;
  /** What went wrong in the browser: errors of scripts, and what the policy of content stopped. */
  readonly faults: readonly string[];
  /** Opens a page of the dashboard, and waits until it is whole. */
  readonly open: (path: string) => Promise<Page>;
}

export interface PersonOptions
  extends Pick<BrowserContextOptions, "colorScheme" | "javaScriptEnabled" | "storageState" | "timezoneId"> {
  readonly width?: number;
}

/** The cookies of someone who has signed in, for other windows. */
export type SignedIn = Exclude<BrowserContextOptions["storageState"], string | undefined>;

export async function startChromium(): Promise<Browser> {
  const { path, env } = await debianProgram("chromium");
  return await chromium.launch({ executablePath: path, args: QUIET, env: { ...Deno.env.toObject(), ...env } });
}

/** Someone with a browser window of their own, who has not signed in. */
export async function openWindow(browser: Browser, adminUrl: string, options: PersonOptions = {}): Promise<Person> {
  const { width = 1440, ...rest } = options;
  const context = await browser.newContext({
    baseURL: adminUrl,
    viewport: { width, height: width < 600 ? 844 : 900 },
    locale: "en-GB",
    ...rest,
  });
  const page = await context.newPage();
  return {
    page,
    signedIn: () => context.storageState(),
    faults: watchedFaults(page, adminUrl),
    open: async (path) => {
      await page.goto(path, { waitUntil: "load" });
      return page;
    },
    [Symbol.asyncDispose]: () => context.close(),
  };
}

/** The same, signed in with that token. */
export async function signIn(
  browser: Browser,
  { adminUrl, token }: { readonly adminUrl: string; readonly token: string },
  options: PersonOptions = {},
): Promise<Person> {
  const person = await openWindow(browser, adminUrl, options);
  await person.open("/dashboard/sign-in?next=/dashboard/audit");
  await person.page.getByLabel("Admin or viewer token").fill(token);
  await person.page.getByRole("button", { name: "Sign in" }).click();
  await person.page.waitForURL("/dashboard/audit");
  return person;
}

/**
 * Waits until that is true in the page. Playwright's `waitForFunction` evaluates text in the page,
 * which its policy of content refuses.
 */
export async function until(page: Page, expression: string): Promise<void> {
  // A page that is being left evaluates nothing.
  await waitFor(() => page.evaluate<boolean>(expression).catch(() => false), { what: expression });
}

/** These run in the page. */
const IS_DRAWN = "[...document.querySelectorAll('[data-chart]')].every((plot) => plot.querySelector('canvas') !== null)";
const PAINTED = "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(null))))";

/** Charts have been drawn, and the browser has painted. */
export async function drawn(page: Page): Promise<void> {
  await until(page, IS_DRAWN);
  await page.evaluate(PAINTED);
}

/**
 * What axe finds serious or critical on the page, one line each. Rules of WCAG 2.2, A and AA, and
 * axe's best practices.
 */
export async function seriousFaults(page: Page): Promise<string[]> {
  // The page's policy of content lets no script in; this way in is the debugger's.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<AxeResults>("axe.run({ resultTypes: ['violations'] })");
  return violations.filter(({ impact }) => impact === "serious" || impact === "critical").flatMap(({ id, help, nodes }) =>
    nodes.map(({ html }) => `${id}: ${help}: ${html.slice(0, 200)}`)
  );
}

function watchedFaults(page: Page, adminUrl: string): readonly string[] {
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(`script: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`${adminUrl}/`) && !url.startsWith("data:")) faults.push(`leaves the proxy: ${url}`);
  });
  return faults;
}
