import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { backUpDatabase, copyDatabase, countCopied, whyNotSound } from "./backup.ts";
import { openConnection } from "./connection.ts";
import { DatabaseFiles } from "./database_files.ts";
import { migrateSqlite } from "./migrate.ts";

interface Place {
  readonly dir: string;
  readonly path: string;
  readonly files: DatabaseFiles;
  readonly db: DatabaseSync;
}

/** What others do to the files, in a shell: a descriptor of this process would drop its locks. */
const LOSSES = [
  { what: "the files are removed", does: "rm llmproxy.db*", says: /llmproxy\.db is gone/, isHeld: true },
  { what: "another database takes the name", does: "mv old.db llmproxy.db", says: /llmproxy\.db is another file/, isHeld: true },
  { what: "the directory is moved", does: "mv $PWD $PWD.moved", says: /llmproxy\.db is gone/, isHeld: true },
  {
    what: "the directory is replaced",
    does: "cp -r $PWD $PWD.moved; mv $PWD $PWD.2; mv $PWD.moved $PWD",
    says: /another/,
    isHeld: true,
  },
  { what: "the log is removed", does: "rm llmproxy.db-wal", says: /llmproxy\.db-wal is gone/, isHeld: true },
  { what: "the log's index is removed", does: "rm llmproxy.db-shm", says: /llmproxy\.db-shm is gone/, isHeld: true },
  { what: "the file is emptied", does: ": > llmproxy.db", says: /llmproxy\.db is no database/, isHeld: false },
  { what: "the file is cut short", does: "truncate -s 8192 llmproxy.db", says: /llmproxy\.db is shorter/, isHeld: false },
  {
    what: "a copy is written over it",
    does: "cat old.db > llmproxy.db",
    says: /llmproxy\.db (is shorter|holds an older)/,
    isHeld: false,
  },
  {
    what: "the log is overwritten",
    does: "head -c 9000 /dev/zero > llmproxy.db-wal",
    says: /-wal is no write-ahead log/,
    isHeld: false,
  },
];

for (const { what, does, says, isHeld } of LOSSES) {
  Deno.test(`look() reports for good that ${what}`, () => {
    inDatabase(({ dir, files }) => {
      const shell = new Deno.Command("sh", { args: ["-c", does], cwd: dir }).outputSync();
      assert.equal(shell.code, 0, new TextDecoder().decode(shell.stderr));
      const loss = files.look();
      assert.match(loss?.reason ?? "", says);
      assert.match(loss?.reason ?? "", /Stop it, put the files back from a backup/);
      assert.equal(loss?.isHeld, isHeld);
      assert.equal(files.look(), loss);
    });
  });
}

Deno.test("look() reports no writes, checkpoints, copies or VACUUM, not even of another process", async () => {
  await inDatabase(async ({ dir, path, files, db }) => {
    db.exec("CREATE TABLE ledger_probe (padding BLOB)");
    const quiet = (what: string) => assert.equal(files.look(), null, what);
    for (const mode of ["PASSIVE", "FULL", "RESTART", "TRUNCATE"]) {
      for (let n = 0; n < 20; n++) {
        db.exec("INSERT INTO ledger_probe (padding) VALUES (zeroblob(65536))");
        quiet("a write");
      }
      db.exec(`PRAGMA wal_checkpoint(${mode})`);
      quiet(mode);
    }
    backUpDatabase(path, `${dir}/copy.db`, []);
    quiet("a copy");
    const other = `
      import { DatabaseSync } from "node:sqlite";
      const db = new DatabaseSync(${JSON.stringify(path)});
      db.exec("PRAGMA busy_timeout = 5000; DELETE FROM ledger_probe WHERE rowid > 20; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
      db.close();`;
    const bytes = Deno.statSync(path).size;
    const { code, stderr } = await new Deno.Command(Deno.execPath(), { args: ["eval", other], stderr: "piped" }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    assert.ok(Deno.statSync(path).size < bytes, "VACUUM did not shrink the file");
    quiet("another process's VACUUM and close");
    db.exec("INSERT INTO ledger_probe (padding) VALUES (zeroblob(65536))");
    quiet("a write after it");
  });
});

Deno.test("copyDatabase() saves what a connection still holds when its files are gone, and says how many rows there must be", () => {
  inDatabase(({ dir, path, db }) => {
    for (const suffix of ["", "-wal", "-shm"]) Deno.removeSync(path + suffix);
    assert.throws(() => backUpDatabase(path, `${dir}/empty.db`, []), /unable to open/);
    assert.deepEqual([...Deno.readDirSync(dir)].map(({ name }) => name).sort(), ["old.db"]);
    const bounds = copyDatabase(db, `${dir}/rescued.db`, []);
    assert.deepEqual(bounds, { least: ROWS, most: ROWS });
    assert.equal(countCopied(`${dir}/rescued.db`, bounds), ROWS);
    assert.equal(whyNotSound(`${dir}/rescued.db`, ROWS), null);
    assert.throws(
      () => countCopied(`${dir}/old.db`, bounds),
      new RegExp(`The copy has ${ROWS - 1} calls; the database had ${ROWS}`),
    );
    assert.match(whyNotSound(`${dir}/old.db`, ROWS) ?? "", new RegExp(`it has ${ROWS - 1} calls of ${ROWS}`));
  });
});

const ROWS = 3;

/** `ROWS` rows, all but the last in the file and its copy `old.db`; the last only in the log. */
function inDatabase<T>(check: (place: Place) => T): T {
  const parent = Deno.makeTempDirSync();
  const dir = `${parent}/data`;
  Deno.mkdirSync(dir);
  const path = `${dir}/llmproxy.db`;
  migrateSqlite(path);
  const files = new DatabaseFiles(path, { keepHold: () => null });
  const db = openConnection(path, { synchronous: "normal", busyTimeoutMs: 1_000, autoCheckpointPages: 0, cacheKib: 2_000 });
  const insert = (n: number) => db.exec(INSERT.replace("?", String(n)));
  for (let n = 1; n < ROWS; n++) insert(n);
  db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  copyDatabase(db, `${dir}/old.db`, []);
  insert(ROWS);
  assert.equal(files.look(), null);
  const end = () => {
    db.close();
    files.close();
    Deno.removeSync(parent, { recursive: true });
  };
  let result: T;
  try {
    result = check({ dir, path, files, db });
  } catch (error) {
    end();
    throw error;
  }
  if (result instanceof Promise) return result.finally(end) as T;
  end();
  return result;
}

const INSERT = `
  INSERT INTO usage (
    id, revision, instance_id, workspace_id, sandbox_id, trace_id, kind, provider, requested_model, accuracy, streaming, created_at,
    request_bytes, client
  ) VALUES ('ar-' || hex(randomblob(8)), 2, 'i-1', 'w-1', 'sb-1', 'at-1', 'message', 'anthropic', 'm', 'exact', 0, ?, 1, '')`;
