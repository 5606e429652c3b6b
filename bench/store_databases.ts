/** The databases of `bench/store.ts`: migrated by the product, filled by `store_fleet.ts`. */
import { DatabaseSync } from "node:sqlite";
import { connectPostgres } from "../src/stores/postgres/store.ts";
import { migrateSqlite } from "../src/stores/sqlite/migrate.ts";
import { openSqliteStore } from "../src/stores/sqlite/store.ts";
import type { Store } from "../src/domain/store.ts";
import { insertRollups, POSTGRES_MONTH, SQLITE_MONTH } from "../tests/rollup_rows.ts";
import { startPostgres } from "../tests/postgres_server.ts";
import postgres from "postgres";
import { type Dialect, FLEET, fleetTable, INSERT_TOTALS, insertRows } from "./store_fleet.ts";

export type Technology = "sqlite" | "postgres";

export interface Filled {
  readonly store: Omit<Store, "close">;
  /** The file, or the database's URL. */
  readonly where: string;
  /** What the database takes, in bytes. */
  readonly bytes: number;
  readonly end: () => Promise<void>;
}

/** Rows in one statement: a transaction that is not too large. */
const AT_ONCE = 250_000;

/**
 * A database with so many rows. `keep` holds it for the next run: a folder, or for PostgreSQL the
 * URL of a server. Without it, the database is gone at the end.
 */
export async function filledDatabase(
  technology: Technology,
  { rows, keep }: { readonly rows: number; readonly keep: string | null },
): Promise<Filled> {
  return technology === "sqlite" ? await filledSqlite(rows, keep) : await filledPostgres(rows, keep);
}

async function filledSqlite(rows: number, keep: string | null): Promise<Filled> {
  const dir = keep ?? await Deno.makeTempDir({ prefix: "llmproxy_bench_store_" });
  const path = `${dir}/llmproxy_bench_${rows}.db`;
  migrateSqlite(path);
  fillSqlite(path, rows);
  const store = await openSqliteStore({ path, synchronous: "normal" });
  return {
    store,
    where: path,
    bytes: Deno.statSync(path).size,
    end: async () => {
      await store.close();
      if (keep === null) await Deno.remove(dir, { recursive: true });
    },
  };
}

function fillSqlite(path: string, rows: number): void {
  const db = new DatabaseSync(path);
  if (db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'bench_is_filled'").get() === undefined) {
    db.exec("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -2000000; PRAGMA temp_store = MEMORY");
    const indexes = db.prepare(
      "SELECT name, sql FROM sqlite_schema WHERE tbl_name = 'usage' AND type = 'index' AND sql IS NOT NULL",
    )
      .all();
    for (const { name } of indexes) db.exec(`DROP INDEX ${name}`);
    db.exec(`BEGIN; ${fleetTable().join("; ")}; COMMIT`);
    for (const piece of pieces(rows)) db.exec(insertRows(SQLITE, { rows, ...piece }));
    for (const { sql } of indexes) db.exec(String(sql));
    for (const sql of [...INSERT_TOTALS, ...insertRollups(SQLITE_MONTH)]) db.exec(sql);
    db.exec("CREATE TABLE bench_is_filled (yes INTEGER)");
  }
  db.exec("PRAGMA journal_mode = WAL");
  db.close();
}

async function filledPostgres(rows: number, keep: string | null): Promise<Filled> {
  const server = keep === null ? await startPostgres({ own: true, settings: { max_wal_size: "8GB" } }) : null;
  const url = keep === null ? server!.url : await databaseOn(keep, `llmproxy_bench_${rows}`);
  const { store, migrate } = connectPostgres(url);
  await migrate();
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  const ask = (text: string) => sql.unsafe(text).simple();
  await fillPostgres(ask, { rows, store });
  const [size] = await ask("SELECT pg_database_size(current_database()) AS bytes");
  await sql.end();
  return {
    store,
    where: url,
    bytes: Number(size?.bytes),
    end: async () => {
      await store.close();
      await server?.[Symbol.asyncDispose]();
    },
  };
}

async function databaseOn(server: string, name: string): Promise<string> {
  const sql = postgres(server, { max: 1 });
  const [found] = await sql`SELECT 1 FROM pg_database WHERE datname = ${name}`;
  if (found === undefined) {
    await sql.unsafe(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`);
  }
  await sql.end();
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

type AskText = (text: string) => PromiseLike<readonly Readonly<Record<string, unknown>>[]>;

async function fillPostgres(ask: AskText, { rows, store }: { readonly rows: number; readonly store: Omit<Store, "close"> }) {
  const [found] = await ask("SELECT to_regclass('bench_is_filled') IS NOT NULL AS is_filled");
  if (found?.is_filled === true) return;
  for (let time = FLEET.from; time < FLEET.until + MONTH_MS; time += MONTH_MS) await store.makeReady(time);
  const indexes = await ask("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'usage' AND indexname <> 'usage_pkey'");
  await ask("ALTER TABLE usage DROP CONSTRAINT usage_pkey");
  for (const { indexname } of indexes) await ask(`DROP INDEX ${indexname}`);
  for (const statement of fleetTable()) await ask(statement);
  await ask("ANALYZE bench_fleet; SET work_mem = '512MB'");
  for (const piece of pieces(rows)) await ask(insertRows(POSTGRES, { rows, ...piece }));
  await ask("ALTER TABLE usage ADD PRIMARY KEY (workspace_id, created_at, id)");
  for (const { indexdef } of indexes) await ask(String(indexdef).replace(" ON ONLY ", " ON "));
  for (const sql of [...INSERT_TOTALS, ...insertRollups(POSTGRES_MONTH)]) await ask(sql);
  await ask("VACUUM ANALYZE");
  await ask("CREATE TABLE bench_is_filled (yes INTEGER)");
}

const MONTH_MS = 28 * 86_400_000;

function* pieces(rows: number): Generator<{ readonly from: number; readonly to: number }> {
  for (let from = 0; from < rows; from += AT_ONCE) yield { from, to: Math.min(rows, from + AT_ONCE) };
}

const SQLITE: Dialect = {
  numbers: (from, to) =>
    `(WITH RECURSIVE counted (n) AS (SELECT ${from} UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < ${to}) SELECT n FROM counted)`,
  padded: (value, length) => `printf('%0${length}d', ${value})`,
  flag: (condition) => `(${condition})`,
};

const POSTGRES: Dialect = {
  numbers: (from, to) => `(SELECT n::bigint FROM generate_series(${from}, ${to - 1}) AS numbers (n)) AS numbers`,
  padded: (value, length) => `lpad((${value})::text, ${length}, '0')`,
  flag: (condition) => `(${condition})`,
};
