import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { DataDirLocked } from "../src/stores/sqlite/data_dir.ts";
import { openEmbedded } from "../src/stores/sqlite/embedded.ts";
import type { Synchronous } from "../src/stores/sqlite/connection.ts";

for (const synchronous of ["normal", "full"] as const) {
  Deno.test(`openEmbedded() finds every call whose promise resolved before kill -9, and sweeps the rest (synchronous ${synchronous})`, async () => {
    const dir = Deno.makeTempDirSync();
    const said = { open: new Set<string>(), close: new Set<string>() };
    for (const run of ["run-1", "run-2"]) await recordUntilKilled({ dir, run, synchronous, said });

    const embedded = await openEmbedded({
      dir,
      instanceId: "run-3",
      synchronous,
      now: Date.now,
      onTrouble: () => {},
    });
    assert.equal(await embedded.shipping.caughtUp(30_000), true);
    const db = new DatabaseSync(`${dir}/llmproxy.db`);
    const outcomes = new Map(db.prepare("SELECT id, outcome FROM usage").all().map((row) => [row.id, row.outcome]));
    for (const id of said.open) assert.ok(outcomes.has(id), `${id} was lost`);
    for (const id of said.close) assert.equal(outcomes.get(id), "completed", id);
    // A row may have been committed whose word did not get out; none may be open.
    assert.ok([...outcomes.values()].every((outcome) => outcome === "completed" || outcome === "unknown"));
    assert.equal(embedded.ledger.openCount(), 0);

    const totals = db.prepare("SELECT sum(request_count) AS calls, sum(total_output_tokens) AS output FROM traces").get();
    assert.equal(totals?.calls, outcomes.size);
    assert.equal(totals?.output, [...outcomes.values()].filter((outcome) => outcome === "completed").length);
    assert.deepEqual(db.prepare("PRAGMA integrity_check").get(), Object.assign(Object.create(null), { integrity_check: "ok" }));
    db.close();
    await embedded.end();
    Deno.removeSync(dir, { recursive: true });
  });
}

interface Killing {
  readonly dir: string;
  readonly run: string;
  readonly synchronous: Synchronous;
  readonly said: { readonly open: Set<string>; readonly close: Set<string> };
}

/**
 * Lets a process record until it has said 3,000 lines, then kills it; everything that it said is
 * noted.
 */
async function recordUntilKilled({ dir, run, synchronous, said }: Killing): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", new URL("./conformance/ledger_child.ts", import.meta.url).pathname, dir, run, synchronous],
    stdout: "piped",
  }).spawn();
  let text = "";
  let isKilled = false;
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (isKilled || text.length < 3_000 * "close ar-run-1-10-100\n".length) continue;
    await assert.rejects(
      openEmbedded({ dir, instanceId: "second", synchronous, now: Date.now, onTrouble: () => {} }),
      DataDirLocked,
    );
    child.kill("SIGKILL");
    isKilled = true;
  }
  await child.status;
  assert.ok(isKilled, "the process ended by itself");
  // The last line may have been cut by the kill.
  for (const line of text.slice(0, text.lastIndexOf("\n")).split("\n")) {
    const [verb, id] = line.split(" ") as ["open" | "close", string];
    said[verb].add(id);
  }
}
