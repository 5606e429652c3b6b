/** The bench of the dashboard's pages at a small size, so that it works when someone needs it. */
import assert from "node:assert/strict";
import { PAGES } from "../src/http/dashboard/pages.ts";

Deno.test("bench:pages asks every page of the dashboard, and its spans, orders and next pages", async () => {
  const output = await bench("--rows=20000", "--asks=1");
  for (const { path, isPart } of PAGES) {
    if (!isPart) assert.match(output, new RegExp(`^${path} +\\d+( +[\\d.]+){5}`, "m"));
  }
  for (const view of ["traces range=year&order=cost.desc ", "traces range=year&cursor ", "workspaces cursor "]) {
    assert.ok(output.includes(`\n/dashboard/${view}`), output);
  }
});

Deno.test("bench:pages --live measures the proxy with and without viewers", async () => {
  const output = await bench("--live", "--calls=5", "--rounds=1", "--seconds=1");
  assert.match(output, /^5 calls in flight, 10 events a second each; 1 rounds of 1 s$/m);
  for (const viewers of [1, 5]) assert.match(output, new RegExp(`^${viewers}( +-?[\\d.]+){4}`, "m"));
});

async function bench(...options: readonly string[]): Promise<string> {
  const path = new URL("../bench/pages.ts", import.meta.url).pathname;
  const args = ["run", "-A", "--no-check", path, ...options];
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}
