import assert from "node:assert/strict";
import { openOffline } from "../src/server/offline.ts";
import { openHandOver } from "../src/stores/sqlite/hand_over.ts";
import { rowOf } from "./conformance/samples.ts";
import { shipmentsOf } from "./shipments.ts";

Deno.test("what is written offline into a database that was handed over is handed over when there is a shared one again", async () => {
  const dir = Deno.makeTempDirSync();
  const path = `${dir}/llmproxy.db`;
  const storage = { dataDir: dir, sync: "normal", database: null, retentionMs: null } as const;
  await (await openOffline(storage)).end();
  const before = openHandOver(path, { synchronous: "normal", onRefused: () => {} });
  assert.deepEqual(shipmentsOf(before, 10), []);
  before.close();
  const offline = await openOffline(storage);
  const row = rowOf();
  await offline.records.recordUsage([row]);
  await offline.end();
  const again = openHandOver(path, { synchronous: "normal", onRefused: () => {} });
  assert.deepEqual(shipmentsOf(again, 10).flatMap(({ rows }) => rows.map(({ call }) => call.id)), [row.call.id]);
  again.close();
  Deno.removeSync(dir, { recursive: true });
});
