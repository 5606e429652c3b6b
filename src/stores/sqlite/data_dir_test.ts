import assert from "node:assert/strict";
import { DataDirLocked, DataDirUnusable, openDataDir } from "./data_dir.ts";

Deno.test("openDataDir() makes the directory for its owner alone", () => {
  const parent = Deno.makeTempDirSync();
  const dir = openDataDir(`${parent}/a/b`);
  assert.equal((Deno.statSync(`${parent}/a/b`).mode ?? 0) & 0o777, 0o700);
  assert.equal(dir.databasePath, `${parent}/a/b/llmproxy.db`);
  dir.release();
  Deno.removeSync(parent, { recursive: true });
});

Deno.test("openDataDir() throws DataDirLocked, naming the directory, until it is released", () => {
  const path = Deno.makeTempDirSync();
  const dir = openDataDir(path);
  assert.throws(() => openDataDir(path), (error) => error instanceof DataDirLocked && error.message.includes(path));
  dir.release();
  dir.release();
  openDataDir(path).release();
  Deno.removeSync(path, { recursive: true });
});

Deno.test("keepHold() takes the lock again if its file was removed or replaced, and says so if another proxy was faster", () => {
  const path = Deno.makeTempDirSync();
  const dir = openDataDir(path);
  assert.equal(dir.keepHold(), null);
  Deno.removeSync(`${path}/lock`);
  assert.equal(dir.keepHold(), null);
  assert.throws(() => openDataDir(path), DataDirLocked);
  Deno.renameSync(`${path}/lock`, `${path}/old`);
  const other = openDataDir(path);
  assert.match(dir.keepHold() ?? "", /^Another llmproxy has taken the data directory/);
  other.release();
  assert.equal(dir.keepHold(), null);
  dir.release();
  Deno.removeSync(path, { recursive: true });
});

Deno.test("openDataDir() throws DataDirUnusable if a file has that path", () => {
  const parent = Deno.makeTempDirSync();
  Deno.writeTextFileSync(`${parent}/file`, "");
  assert.throws(() => openDataDir(`${parent}/file`), DataDirUnusable);
  assert.throws(() => openDataDir(`${parent}/file/below`), DataDirUnusable);
  Deno.removeSync(parent, { recursive: true });
});
