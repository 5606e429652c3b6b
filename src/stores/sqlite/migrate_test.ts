import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { SchemaTooNew } from "../migrations.ts";
import { migrateSqlite } from "./migrate.ts";

Deno.test("migrateSqlite() makes a database that only its owner reads, and does nothing the second time", () => {
  inDir((dir) => {
    const path = `${dir}/llmproxy.db`;
    const { from, to } = migrateSqlite(path);
    assert.equal(from, 0);
    assert.ok(to >= 1);
    assert.equal((Deno.statSync(path).mode ?? 0) & 0o777, 0o600);
    assert.deepEqual(migrateSqlite(path), { from: to, to });
  });
});

Deno.test("migrateSqlite() refuses a database of a newer program and leaves it as it was", () => {
  inDir((dir) => {
    const path = `${dir}/llmproxy.db`;
    const { to } = migrateSqlite(path);
    change(path, `INSERT INTO schema_migrations VALUES (${to + 1}, 'from_the_future')`);
    assert.throws(() => migrateSqlite(path), SchemaTooNew);
  });
});

Deno.test("migrateSqlite() keeps the migrations before one that fails, and nothing of that one", () => {
  inDir((dir) => {
    const path = `${dir}/llmproxy.db`;
    const folder = `${dir}/migrations`;
    Deno.mkdirSync(folder);
    Deno.writeTextFileSync(
      `${folder}/0001_first.sql`,
      "CREATE TABLE schema_migrations (version INTEGER, name TEXT); CREATE TABLE a (x)",
    );
    Deno.writeTextFileSync(`${folder}/0002_bad.sql`, "CREATE TABLE b (x); CREATE TABLE a (x)");
    const url = pathToFileURL(`${folder}/`);
    assert.throws(() => migrateSqlite(path, url), /already exists/);
    Deno.writeTextFileSync(`${folder}/0002_bad.sql`, "CREATE TABLE b (x)");
    assert.deepEqual(migrateSqlite(path, url), { from: 1, to: 2 });
  });
});

Deno.test("migrateSqlite() throws if the file is not a database", () => {
  inDir((dir) => {
    Deno.writeTextFileSync(`${dir}/llmproxy.db`, "this is not a database, and it is long enough to be read as one".repeat(20));
    assert.throws(() => migrateSqlite(`${dir}/llmproxy.db`), /not a database/);
  });
});

Deno.test("migrations/sqlite has every column of usage that the design names, and what links and totals here need", () => {
  inDir((dir) => {
    migrateSqlite(`${dir}/llmproxy.db`);
    const db = new DatabaseSync(`${dir}/llmproxy.db`);
    const columns = db.prepare("SELECT name FROM pragma_table_info('usage')").all().map((row) => row.name);
    db.close();
    assert.deepEqual(columns.join(" ").split(/\s+/), DESIGNED.trim().split(/\s+/));
  });
});

const DESIGNED = `
  id revision instance_id workspace_id sandbox_id trace_id kind provider requested_model served_model message_id
  upstream_request_id outcome accuracy status error_type stop_reason streaming created_at duration_ms ttft_ms input_tokens
  output_tokens cache_creation_input_tokens cache_read_input_tokens cache_creation_5m_tokens cache_creation_1h_tokens
  thinking_tokens server_tool_use service_tier inference_geo speed iterations max_tokens request_bytes messages_hash retry_of
  asked_again agent_id parent_agent_id agent_type request_class prompt_id client token_id credential_id reserved cost price_version
  batch_id custom_id attempt counted refusal_category unpriced_uses upstream token_parts`;

function change(path: string, sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

function inDir(check: (dir: string) => void): void {
  const dir = Deno.makeTempDirSync();
  try {
    check(dir);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}
