import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { missingMigrations, readMigrations, SchemaTooNew } from "./migrations.ts";

Deno.test("readMigrations() returns the files of a folder by version", () => {
  inFolder({ "0002_more.sql": "B", "0001_first.sql": "A" }, (folder) => {
    assert.deepEqual(readMigrations(folder), [
      { version: 1, name: "first", sql: "A" },
      { version: 2, name: "more", sql: "B" },
    ]);
  });
});

Deno.test("readMigrations() throws if a version is missing or a file has another kind of name", () => {
  inFolder({ "0001_first.sql": "", "0003_third.sql": "" }, (folder) => {
    assert.throws(() => readMigrations(folder), /the one after version 1 is not version 2/);
  });
  inFolder({ "0001_first.sql": "", "first.sql": "" }, (folder) => {
    assert.throws(() => readMigrations(folder), /"first\.sql" is not named/);
  });
});

Deno.test("missingMigrations() returns what a database lacks, in order", () => {
  const known = [1, 2, 3].map((version) => ({ version, name: `m${version}`, sql: "" }));
  assert.deepEqual(missingMigrations(known, []), known);
  assert.deepEqual(missingMigrations(known, known.slice(0, 2)), known.slice(2));
  assert.deepEqual(missingMigrations(known, known), []);
});

Deno.test("missingMigrations() refuses a database that is newer than the program, naming both versions", () => {
  const known = [{ version: 1, name: "first", sql: "" }];
  const applied = [...known, { version: 2, name: "from the future" }];
  assert.throws(() => missingMigrations(known, applied), (error) => {
    assert.ok(error instanceof SchemaTooNew);
    assert.match(error.message, /version 2, .* up to 1\. Run /);
    return true;
  });
});

function inFolder(files: Readonly<Record<string, string>>, check: (folder: URL) => void): void {
  const dir = Deno.makeTempDirSync();
  for (const [name, text] of Object.entries(files)) Deno.writeTextFileSync(`${dir}/${name}`, text);
  try {
    check(pathToFileURL(`${dir}/`));
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}
