import assert from "node:assert/strict";
import { startPostgres } from "./postgres_server.ts";

const ROOT = new URL("../", import.meta.url);
/** What the program of the copy needs. */
const COPIED = [
  "src",
  "migrations",
  "deno.json",
  "deno.lock",
  "tests/dummy_column.ts",
  "tests/conformance/samples.ts",
  "tests/shipments.ts",
];

/** A change: what is put in front of a text in each file. A file without that text is new. */
type Change = Readonly<Record<string, readonly [before: string | null, text: string]>>;

const TABLE_END = "} as const satisfies";

const COLUMN: Change = {
  "src/domain/usage_columns.ts": [TABLE_END, `  dummy_tokens: { from: "reading", kind: "count" },\n`],
  "migrations/sqlite/0900_dummy.sql": [null, "ALTER TABLE usage ADD COLUMN dummy_tokens INTEGER NOT NULL DEFAULT 0;"],
  "migrations/postgres/0900_dummy.sql": [null, "ALTER TABLE usage ADD COLUMN dummy_tokens BIGINT NOT NULL DEFAULT 0;"],
};

const ADD_TOTAL = `
  ALTER TABLE traces ADD COLUMN total_dummy_sum BIGINT NOT NULL DEFAULT 0;
  ALTER TABLE usage_hours ADD COLUMN dummy_sum BIGINT NOT NULL DEFAULT 0;
  ALTER TABLE usage_rollups ADD COLUMN dummy_sum BIGINT NOT NULL DEFAULT 0;`;

const TOTAL: Change = {
  "src/domain/totals.ts": [TABLE_END, `  dummy_sum: { kind: "tokens", adds: "dummy_tokens" },\n`],
  "migrations/sqlite/0901_dummy_total.sql": [null, ADD_TOTAL.replaceAll("BIGINT", "INTEGER")],
  "migrations/postgres/0901_dummy_total.sql": [null, ADD_TOTAL],
};

Deno.test("a column, and a total, is one row in a table and a migration on each side: both stores write, sum, show, ship and export it", async () => {
  assert.deepEqual([COLUMN, TOTAL].map((change) => Object.keys(change).length), [3, 3]);
  await using server = await startPostgres();
  const copy = await Deno.makeTempDir();
  try {
    for (const path of COPIED) copyInto(copy, path);
    for (const change of [COLUMN, TOTAL]) make(change, copy);
    const dir = `${copy}/data`;
    Deno.mkdirSync(dir);
    const args = ["run", "-A", "--check", "tests/dummy_column.ts", dir, server.url];
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: copy }).output();
    const text = new TextDecoder().decode(stdout);
    assert.notEqual(text, "", new TextDecoder().decode(stderr));
    assert.deepEqual(JSON.parse(text), {
      embedded: ["7", "7", "7", 7, "dummyTokens", "7", ""],
      shared: ["9", "9", "9", 9, "dummyTokens", "9", ""],
    });
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
});

function make(change: Change, copy: string): void {
  const next = [...Deno.readDirSync(`${copy}/migrations/sqlite`)].length + 1;
  for (const [name, [before, text]] of Object.entries(change)) {
    const path = `${copy}/${name.replace(/\/09\d\d_/, `/${String(next).padStart(4, "0")}_`)}`;
    const old = before === null ? "" : Deno.readTextFileSync(path);
    if (before !== null) assert.equal(old.split(before).length, 2, `${name} has "${before}" once`);
    Deno.writeTextFileSync(path, before === null ? text : old.replace(before, text + before));
  }
}

function copyInto(copy: string, path: string): void {
  const from = new URL(path, ROOT);
  if (!Deno.statSync(from).isDirectory) {
    Deno.mkdirSync(`${copy}/${path.replace(/[^/]*$/, "")}`, { recursive: true });
    return Deno.copyFileSync(from, `${copy}/${path}`);
  }
  for (const { name } of Deno.readDirSync(from)) copyInto(copy, `${path}/${name}`);
}
