/**
 * `deno task screenshots`: makes the pictures of the documents from the demo. Look at each before
 * you commit it.
 */
import { startTool } from "../dev_process.ts";
import { waitFor } from "../wait.ts";
import { drawn, openWindow, signIn, startChromium } from "./chromium.ts";
import { type DemoNames, fileOf, MOST_PICTURE_BYTES, PICTURES } from "./pictures.ts";

const IMAGES = new URL("../../docs/images/", import.meta.url).pathname;
/** The clock goes on from there, so that calls in flight grow older. */
const NOW = "2026-11-27T15:30:00Z";
const LIVE_CALLS = 14;
/** This runs in the page: every call in flight has a cost, and has run for a while. */
const HAS_RUN = `[...document.querySelectorAll("[data-call]")].filter((row) => /\\$/.test(row.textContent)).length >= ${
  LIVE_CALLS - 4
}`;

const folder = await Deno.makeTempDir({ prefix: "llmproxy-screenshots-" });
const args = ["--now", NOW, "--live", String(LIVE_CALLS), "--data-dir", `${folder}/demo`];
const demo = await startTool("demo.ts", { args, cwd: folder, untilPrinted: "spent most, in the session" });
try {
  await using browser = await startChromium();
  const adminUrl = new URL(printed(/dashboard {2}(\S+)/)).origin;
  const token = Deno.readTextFileSync(printed(/\(token in (\S+)\)/)).trim();
  const names = await namesIn({ adminUrl, token });
  await using operator = await signIn(browser, { adminUrl, token }, { timezoneId: "UTC" });
  const storageState = await operator.signedIn();
  await operator.open("/dashboard/live");
  await waitFor(() => operator.page.evaluate<boolean>(HAS_RUN), { what: "calls that have run for a while", deadlineMs: 60_000 });
  Deno.mkdirSync(IMAGES, { recursive: true });
  for (const picture of PICTURES) {
    const { scheme: colorScheme, width, height, from } = picture;
    await using person = await openWindow(browser, adminUrl, { storageState, colorScheme, width, timezoneId: "UTC" });
    await person.page.setViewportSize({ width, height });
    await person.open(picture.pathOf(names));
    await drawn(person.page);
    if (from !== undefined) await person.page.getByRole("table", { name: from }).evaluate(toTop);
    const path = IMAGES + fileOf(picture);
    const { length } = await person.page.screenshot({ path });
    console.log(`${path}: ${length} bytes${length > MOST_PICTURE_BYTES ? `, more than ${MOST_PICTURE_BYTES}` : ""}`);
  }
} finally {
  await demo.stop();
  await Deno.remove(folder, { recursive: true });
}

function printed(pattern: RegExp): string {
  const found = pattern.exec(demo.printed)?.[1];
  if (found === undefined) throw new Error(`Cannot find ${pattern} in what the demo printed: ${demo.printed}`);
  return found;
}

async function namesIn({ adminUrl, token }: { readonly adminUrl: string; readonly token: string }): Promise<DemoNames> {
  const traceId = printed(/in the session (\S+)/);
  const answer = await fetch(`${adminUrl}/internal/traces/${encodeURIComponent(traceId)}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const { trace: { workspaceId } } = await answer.json();
  return { workspaceId, traceId };
}

/** Runs in the page: the table's panel comes to the top, with some room above it. */
function toTop(table: { closest(selector: string): { getBoundingClientRect(): { top: number } } }): void {
  const { top } = table.closest("section").getBoundingClientRect();
  (globalThis as unknown as { scrollTo(x: number, y: number): void }).scrollTo(0, top - 16);
}
