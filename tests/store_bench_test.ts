/** The bench of the stores at a small size, so that it works when someone needs it. */
import assert from "node:assert/strict";

const ROWS = 20_000;

Deno.test(`bench:store asks every query of ${ROWS} rows in SQLite, and ships rows`, async () => {
  const bench = new URL("../bench/store.ts", import.meta.url).pathname;
  const args = ["run", "-A", "--no-check", bench, "--store=sqlite", `--rows=${ROWS}`, "--quick"];
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  const output = new TextDecoder().decode(stdout);
  assert.ok(success, new TextDecoder().decode(stderr));
  for (const line of [/^sqlite, 20000 rows: \d+ bytes a row$/m, /^usage, fleet, 30 days by workspace /m, /^a trace's cache /m]) {
    assert.match(output, line);
  }
  assert.match(output, /^recordUsage, 500 rows( +[\d.]+){3}$/m);
});
