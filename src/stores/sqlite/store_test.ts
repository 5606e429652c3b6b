import assert from "node:assert/strict";
import { ALL } from "../../../tests/conformance/samples.ts";
import { isUnavailable, wordsOf } from "../../domain/unavailable.ts";
import { migrateSqlite } from "./migrate.ts";
import { openSqliteStore, sqliteStore } from "./store.ts";

Deno.test("openSqliteStore() rejects if the database cannot be opened or has no schema", async () => {
  const dir = Deno.makeTempDirSync();
  await assert.rejects(openSqliteStore({ path: dir, synchronous: "normal" }), (error) => {
    assert.ok(isUnavailable(error));
    assert.match(wordsOf(error), /cannot be opened.*unable to open/);
    return true;
  });
  const options = { path: `${dir}/new.db`, synchronous: "normal" } as const;
  await assert.rejects(openSqliteStore(options), /cannot be opened/);
  assert.deepEqual([...Deno.readDirSync(dir)], [], "an empty database was made");
  Deno.createSync(options.path).close();
  await assert.rejects(openSqliteStore(options), /no such table/);
  Deno.removeSync(dir, { recursive: true });
});

Deno.test("sqliteStore() can be closed if its database could not be opened", async () => {
  const dir = Deno.makeTempDirSync();
  const store = sqliteStore({ path: `${dir}/gone.db`, synchronous: "normal" });
  await assert.rejects(store.queryUsage(ALL), isUnavailable);
  await store.close();
  Deno.removeSync(dir, { recursive: true });
});

Deno.test("a store whose worker dies rejects open questions and answers the next ones", async () => {
  const dir = Deno.makeTempDirSync();
  migrateSqlite(`${dir}/llmproxy.db`);
  const workers: Worker[] = [];
  const RealWorker = globalThis.Worker;
  globalThis.Worker = class extends RealWorker {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(url, options);
      workers.push(this);
    }
  };
  try {
    const store = await openSqliteStore({ path: `${dir}/llmproxy.db`, synchronous: "normal" });
    const asked = store.queryUsage(ALL);
    workers[0]!.dispatchEvent(new ErrorEvent("error", { message: "out of memory", cancelable: true }));
    await assert.rejects(asked, /worker has died: out of memory/);
    const [page, tokens] = await Promise.all([store.queryUsage(ALL), store.listTokens(null)]);
    assert.deepEqual([page.usage, tokens], [[], []]);
    assert.equal(workers.length, 2);
    await store.close();

    let loss: string | null = null;
    const watched = await openSqliteStore({ path: `${dir}/llmproxy.db`, synchronous: "normal" }, () => loss);
    loss = "The files were replaced";
    assert.deepEqual((await watched.queryUsage(ALL)).usage, [], "the open connection still answers");
    workers[2]!.dispatchEvent(new ErrorEvent("error", { message: "out of memory", cancelable: true }));
    await assert.rejects(watched.queryUsage(ALL), (error) => isUnavailable(error) && error.message === loss);
    assert.equal(workers.length, 3);
  } finally {
    globalThis.Worker = RealWorker;
    Deno.removeSync(dir, { recursive: true });
  }
});
