import assert from "node:assert/strict";
import { callOf, closingOf, rowOf, T0, traceOf } from "../../../tests/conformance/samples.ts";
import { backUpSpools, countCopied, whyNotSound } from "./backup.ts";
import { migrateSpool } from "./migrate.ts";
import { openOwnLedger } from "./recording.ts";
import { openOutgoing } from "./spool/outgoing.ts";

Deno.test("backUpSpools() makes one sound spool of those of all workers: every call, open or ended, and every claim is in it once", async () => {
  const dir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const ended: string[] = [];
  const open: string[] = [];
  const paths = [0, 1, 2].map((number) => `${dir}/spool-${number}.db`);
  for (const [number, path] of paths.entries()) {
    migrateSpool(path);
    const unwatched = { onTrouble: () => {}, onCommit: () => {}, loss: () => null, spool: null };
    const { ledger } = await openOwnLedger({
      ...unwatched,
      dir,
      path,
      instanceId: "run-1",
      synchronous: "normal",
      now: () => T0,
    });
    for (let n = 0; n < 3; n++) {
      const call = callOf();
      await ledger.open(call, traceOf(call));
      (n === 0 ? open : ended).push(call.id);
      if (n > 0) await ledger.close(call, closingOf());
    }
    const owned = { kind: "file", workspaceId: "w-1", sandboxId: "sb-1", createdAt: T0, call: null, dueAt: null } as const;
    await ledger.claim([{ ...owned, id: `file_${number}` }, { ...owned, id: "file_of_all" }]);
    const refused = { workspaceId: "w-1", sandboxId: "sb-1", fault: "path_unknown", minute: T0, count: 2 } as const;
    await ledger.countRefusals([{ ...refused, instanceId: `run-${number}` }]);
    await ledger.end();
  }
  // What the first one has shipped is in the copy too.
  const first = openOutgoing(paths[0]!, { synchronous: "normal", store: "shared" });
  first.shipped(first.unshipped(100), { rows: [{ row: rowOf(), reason: "no" }], traces: [], refusals: [], owned: [] });
  first.close();

  const into = `${dir}/copy.db`;
  const bounds = backUpSpools(paths, into);
  assert.deepEqual(bounds, { least: ended.length, most: ended.length });
  assert.equal(whyNotSound(into, countCopied(into, bounds)), null);
  const copy = openOutgoing(into, { synchronous: "normal", store: "shared" });
  assert.deepEqual(copy.openCalls().map(({ id }) => id).sort(), open.sort());
  const { rows, owned, refusals } = copy.unshipped(100);
  assert.deepEqual(rows.map(({ call }) => call.id).sort(), ended.slice(2).sort(), "those that the first has not shipped");
  assert.deepEqual([...new Set(owned.map(({ id }) => id))].sort(), ["file_1", "file_2", "file_of_all"]);
  assert.deepEqual(copy.findOwnedHere(["file_0", "file_1", "file_2", "file_of_all"]).length, 4);
  assert.equal(refusals.reduce((sum, { count }) => sum + count, 0), 4);
  assert.equal(copy.backlog().quarantined, 1);
  copy.close();
  await Deno.remove(dir, { recursive: true });
});
