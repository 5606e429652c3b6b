import assert from "node:assert/strict";
import { openOffline } from "../src/server/offline.ts";
import { openEmbedded } from "../src/stores/sqlite/embedded.ts";
import { openSpool } from "../src/stores/sqlite/spool.ts";
import { rowOf } from "./conformance/samples.ts";

Deno.test("what is written offline into the file of a spool is handed over when it is a spool again", async () => {
  const dir = Deno.makeTempDirSync();
  const options = { dir, instanceId: "run-1", synchronous: "normal", now: Date.now, onTrouble: () => {} } as const;
  const asSpool = () => openEmbedded({ ...options, spool: { maxBytes: 1e9, onFull: "refuse" } });
  const before = await asSpool();
  while (await before.store.handOver()) continue;
  await before.end();
  const offline = await openOffline({ dataDir: dir, sync: "normal", database: null, retentionMs: null });
  const row = rowOf();
  await offline.records.recordUsage([row]);
  await offline.end();
  const again = await asSpool();
  while (await again.store.handOver()) continue;
  const spool = openSpool(again.databasePath, { synchronous: "normal" });
  assert.deepEqual(spool.unshipped(10).rows.map(({ call }) => call.id), [row.call.id]);
  spool.close();
  await again.end();
  Deno.removeSync(dir, { recursive: true });
});
