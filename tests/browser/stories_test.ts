/** The five minutes a day: from who spent most to the refusal that stops it, in a real Chromium. */
import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { callAndRead } from "../metered_calls.ts";
import { WIDTHS } from "./chromium.ts";
import { BUSY, openFleet, runningCall } from "./working_fleet.ts";

for (const width of WIDTHS) {
  Deno.test(`an operator finds who spent most yesterday, cuts its call, sets a limit and sees a refusal come, at ${width} pixels`, async () => {
    await using fleet = await openFleet();
    await using person = await fleet.open({ width });
    const { page } = person;
    const running = await runningCall(fleet);

    await person.open("/dashboard");
    await page.getByRole("link", { name: "Yesterday" }).click();
    const sandboxes = page.getByRole("table", { name: /^Sandboxes/ });
    await sandboxes.getByRole("link", { name: "Spend" }).click();
    await sandboxes.getByRole("link", { name: "Spend" }).click();
    assert.equal(await sandboxes.locator("thead th[aria-sort=descending]").innerText(), "Spend");
    const most = sandboxes.locator("tbody tr").first();
    assert.match(await most.innerText(), /sb-busy/);
    await most.getByRole("link", { name: BUSY.sandboxId }).click();

    await page.getByRole("link", { name: "Sessions of these calls" }).click();
    await page.getByRole("link", { name: BUSY.traceId }).click();
    const tree = await page.getByRole("table", { name: "Agents" }).innerText();
    for (const name of ["main", "a-search", "a-write"]) assert.ok(tree.includes(name), `${name} in ${tree}`);

    await page.getByRole("link", { name: "Live", exact: true }).click();
    await page.getByRole("link", { name: `Cut ${BUSY.sandboxId}` }).click();
    await page.getByRole("button", { name: "Cut it" }).click();
    await page.getByText(/^The call \S+ is cut\.$/).waitFor();
    const { isWhole, text } = await running.answer;
    assert.deepEqual([isWhole, text], [false, "on"]);

    await page.getByRole("link", { name: "Workspaces", exact: true }).click();
    await page.getByRole("link", { name: BUSY.workspaceId, exact: true }).first().click();
    await limitRow(page, "requests a day").getByRole("textbox").fill("1");
    await limitRow(page, "requests a day").getByRole("button", { name: "Set" }).click();
    await page.getByText("The limit is set.").waitFor();

    await page.getByRole("link", { name: "Live", exact: true }).click();
    await page.evaluate("globalThis.isSame = true");
    const refused = await callAndRead(fleet.proxy.url, { token: running.token, text: "again", traceId: BUSY.traceId });
    assert.equal(refused.status, 429);
    const row = page.getByRole("table", { name: /^Refused/ }).getByRole("row").filter({ hasText: BUSY.sandboxId });
    await row.waitFor();
    assert.match(await row.innerText(), /requests a day/);
    assert.equal(await page.evaluate("globalThis.isSame"), true, "the page was not loaded again");
    assert.deepEqual(person.faults, []);
  });
}

function limitRow(page: Page, words: string) {
  return page.getByRole("table", { name: "Limits" }).getByRole("row").filter({ hasText: words });
}
