import assert from "node:assert/strict";
import type { Owned, OwnedRecords } from "../../src/domain/owned.ts";
import { callOf, T0 } from "./samples.ts";

/** The laws of every store of files and batches. `open` returns an empty one. */
export function ownedLaws(
  name: string,
  open: () => Promise<{ readonly store: OwnedRecords; readonly dispose: () => Promise<void> }>,
): void {
  function law(words: string, holds: (store: OwnedRecords) => Promise<void>): void {
    Deno.test(`${name}: ${words}`, async () => {
      const { store, dispose } = await open();
      try {
        await holds(store);
      } finally {
        await dispose();
      }
    });
  }

  law(
    "recordOwned() gives an id to the first claim of it, however often and by which workspace it is claimed later",
    async (store) => {
      const first = fileOf("file_1", "w-1");
      await Promise.all([store.recordOwned([first]), store.recordOwned([first])]);
      await store.recordOwned([fileOf("file_1", "w-2"), fileOf("file_2", "w-2")]);
      await store.recordOwned([batchOf("file_1", "w-3")]);
      assert.deepEqual(await store.findOwned(["file_1", "file_2"]), [first, fileOf("file_2", "w-2")]);
    },
  );

  law("findOwned() returns the known of many ids, and nothing for the others", async (store) => {
    const all = Array.from({ length: 1_200 }, (_, n) => fileOf(`file_${String(n).padStart(4, "0")}`, `w-${n % 3}`));
    await store.recordOwned(all);
    const asked = [...all.map(({ id }) => id), "file_x", "", "' OR 1=1", "FILE_0001", "file_0001 "];
    assert.deepEqual(await store.findOwned(asked), all);
    assert.deepEqual(await store.findOwned([]), []);
  });

  law("findBatch() returns the whole call that made a batch, and no file", async (store) => {
    const batch = batchOf("msgbatch_1", "w-1");
    await store.recordOwned([batch, fileOf("file_1", "w-1")]);
    assert.deepEqual(await store.findBatch("msgbatch_1"), { batch, outcome: null });
    assert.deepEqual([await store.findBatch("file_1"), await store.findBatch("msgbatch_2")], [null, null]);
  });

  law("takeBatches() gives each due batch to one of many takers at once, and to none again before it is due", async (store) => {
    const batches = Array.from({ length: 20 }, (_, n) => batchOf(`msgbatch_${n}`, "w-1"));
    await store.recordOwned([...batches, fileOf("file_1", "w-1")]);
    const ask = () => store.takeBatches({ now: T0, until: T0 + 1_000, most: 3 });
    const taken = (await Promise.all(Array.from({ length: 10 }, ask))).flatMap(({ batches }) => batches.map(({ id }) => id));
    for (let more = await ask(); more.batches.length > 0; more = await ask()) taken.push(...more.batches.map(({ id }) => id));
    assert.deepEqual(taken.sort(), batches.map(({ id }) => id).sort());
    assert.deepEqual(await ask(), { batches: [], waiting: 20 });
    const later = await store.takeBatches({ now: T0 + 1_000, until: T0 + 2_000, most: 100 });
    assert.equal(later.batches.length, 20);
  });

  law("takeBatches() returns the longest due first, and postponed batches not before their time", async (store) => {
    await store.recordOwned([batchOf("msgbatch_1", "w-1"), batchOf("msgbatch_2", "w-1"), batchOf("msgbatch_3", "w-1")]);
    await store.postponeBatch("msgbatch_1", T0 + 20);
    await store.postponeBatch("msgbatch_2", T0 + 10);
    await store.postponeBatch("msgbatch_3", T0 + 30);
    const take = async (now: number, most: number) =>
      (await store.takeBatches({ now, until: T0 + 100, most })).batches.map(({ id }) => id);
    assert.deepEqual(await take(T0 + 9, 9), []);
    assert.deepEqual(await take(T0 + 29, 1), ["msgbatch_2"]);
    assert.equal((await store.findBatch("msgbatch_2"))?.batch.dueAt, T0 + 100);
    assert.deepEqual(await take(T0 + 29, 9), ["msgbatch_1"]);
    assert.deepEqual(await take(T0 + 29, 0), []);
  });

  law("settleBatch() is final: the first outcome stays, and nothing makes the batch due again", async (store) => {
    const batch = batchOf("msgbatch_1", "w-1");
    await store.recordOwned([batch]);
    await store.settleBatch("msgbatch_1", "counted");
    await store.settleBatch("msgbatch_1", "gone");
    await store.postponeBatch("msgbatch_1", T0);
    await store.recordOwned([batch]);
    assert.deepEqual(await store.takeBatches({ now: T0 + 1_000_000, until: T0 + 2_000_000, most: 9 }), {
      batches: [],
      waiting: 0,
    });
    assert.equal((await store.findBatch("msgbatch_1"))?.outcome, "counted");
  });
}

export function fileOf(id: string, workspaceId: string): Owned {
  return { id, kind: "file", workspaceId, sandboxId: "sb-1", createdAt: T0, call: null, dueAt: null };
}

export function batchOf(id: string, workspaceId: string): Owned {
  const call = callOf({ workspaceId, kind: "batch_line", client: 'ein "Client"\u{1f600}', batchId: id });
  return { id, kind: "batch", workspaceId, sandboxId: "sb-1", createdAt: T0, call, dueAt: T0 };
}
