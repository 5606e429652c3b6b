import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { unavailableOf } from "./errors.ts";

/** What SQLite itself throws. */
function errorOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  assert.fail("nothing was thrown");
}

Deno.test("unavailableOf() says why a database file cannot be used, by statements and by exec alike", () => {
  const dir = Deno.makeTempDirSync();
  const path = `${dir}/a.db`;
  using db = new DatabaseSync(path);
  db.exec("CREATE TABLE t (a TEXT UNIQUE); INSERT INTO t VALUES ('x')");
  const insert = "INSERT INTO t VALUES (hex(randomblob(100000)))";

  db.exec("BEGIN EXCLUSIVE");
  using other = new DatabaseSync(path, { timeout: 0 });
  const locked = [errorOf(() => other.prepare("SELECT * FROM t").all()), errorOf(() => other.exec("BEGIN IMMEDIATE"))];
  db.exec("ROLLBACK");
  db.exec("PRAGMA max_page_count = 4");
  const full = [errorOf(() => db.prepare(insert).run()), errorOf(() => db.exec(insert))];
  using reader = new DatabaseSync(path, { readOnly: true });
  const readOnly = [errorOf(() => reader.prepare(insert).run()), errorOf(() => reader.exec(insert))];
  Deno.writeTextFileSync(`${dir}/b.db`, "this is no database, however long it is, and that is to be said ".repeat(99));
  using damaged = new DatabaseSync(`${dir}/b.db`);
  const broken = [errorOf(() => damaged.exec("SELECT * FROM t")), errorOf(() => damaged.prepare("SELECT * FROM t").all())];
  const gone = [errorOf(() => new DatabaseSync(`${dir}/no/such/folder.db`))];

  for (
    const [errors, says] of [
      [locked, /^The database file is locked/],
      [full, /^The volume of the data directory is full/],
      [readOnly, /^The database file cannot be written/],
      [broken, /^The database file is damaged/],
      [gone, /^The database file cannot be opened/],
    ] as const
  ) {
    for (const error of errors) {
      const unavailable = unavailableOf(error);
      assert.match(unavailable?.message ?? String(error), says);
      assert.equal(unavailable?.cause, error);
      assert.ok(!unavailable!.message.includes(dir));
    }
  }
  // Bugs of ours, and what a row itself is refused for.
  for (const sql of ["SELECT * FROM nothing", "INSERT INTO t VALUES ('x')", "SELEC"]) {
    assert.equal(unavailableOf(errorOf(() => db.prepare(sql).run())), null, sql);
    assert.equal(unavailableOf(errorOf(() => db.exec(sql))), null, sql);
  }
  assert.equal(unavailableOf(new Error("database is locked")), null);
  Deno.removeSync(dir, { recursive: true });
});
