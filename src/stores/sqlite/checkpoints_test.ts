import assert from "node:assert/strict";
import type { DatabaseSync } from "node:sqlite";
import { checkpointsOn } from "./checkpoints.ts";
import { openConnection } from "./connection.ts";

const MEGABYTE = 1024 * 1024;

Deno.test("checkpointsOn() restarts the log, so that it does not grow with what is written", () => {
  inDatabase(({ writer, checkpoint, logBytes }) => {
    for (let n = 0; n < 20; n++) {
      write(writer, 20 * MEGABYTE);
      checkpoint();
    }
    assert.ok(logBytes() < 64 * MEGABYTE, `the log has ${logBytes()} bytes`);
  });
});

Deno.test("checkpointsOn() leaves a small log alone", () => {
  inDatabase(({ writer, checkpoint, databaseBytes }) => {
    write(writer, MEGABYTE);
    checkpoint();
    assert.ok(databaseBytes() < MEGABYTE);
  });
});

Deno.test("checkpointsOn() truncates a log that grew while a reader held it, when the reader has left", () => {
  inDatabase(({ writer, reader, checkpoint, logBytes }) => {
    write(writer, MEGABYTE);
    reader.exec("BEGIN");
    reader.prepare("SELECT count(*) FROM t").get();
    for (let n = 0; n < 10; n++) {
      write(writer, 20 * MEGABYTE);
      checkpoint();
    }
    assert.ok(logBytes() > 192 * MEGABYTE);
    reader.exec("COMMIT");
    for (let n = 0; n < 25; n++) checkpoint();
    assert.equal(logBytes(), 0);
  });
});

interface Place {
  readonly writer: DatabaseSync;
  readonly reader: DatabaseSync;
  readonly checkpoint: () => void;
  readonly logBytes: () => number;
  readonly databaseBytes: () => number;
}

function write(db: DatabaseSync, bytes: number): void {
  db.exec(`DELETE FROM t; INSERT INTO t VALUES (zeroblob(${bytes}))`);
}

function inDatabase(check: (place: Place) => void): void {
  const dir = Deno.makeTempDirSync();
  const path = `${dir}/llmproxy.db`;
  Deno.createSync(path).close();
  const open = () => openConnection(path, { synchronous: "normal", busyTimeoutMs: 50, autoCheckpointPages: 0, cacheKib: 32_000 });
  const [writer, reader, own] = [open(), open(), open()];
  writer.exec("CREATE TABLE t (x)");
  try {
    check({
      writer,
      reader,
      checkpoint: checkpointsOn(own, { path, busyTimeoutMs: 50 }),
      logBytes: () => Deno.statSync(`${path}-wal`).size,
      databaseBytes: () => Deno.statSync(path).size,
    });
  } finally {
    for (const db of [writer, reader, own]) db.close();
    Deno.removeSync(dir, { recursive: true });
  }
}
