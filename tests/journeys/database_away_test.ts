import assert from "node:assert/strict";
import { browserAt, dashboardAt } from "../dashboard_browser.ts";
import { startPostgres } from "../postgres_server.ts";
import { type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { waitFor } from "../wait.ts";

const postgres = await startPostgres({ own: true });
Deno.test.afterAll(async () => await postgres[Symbol.asyncDispose]());

/** Everything that an operator asks the shared database. */
const QUESTIONS: readonly (readonly [method: string, path: string, body?: unknown])[] = [
  ["GET", "/internal/usage"],
  ["GET", "/internal/traces"],
  ["GET", "/internal/traces/at-1"],
  ["GET", "/internal/refusals"],
  ["GET", "/internal/tokens"],
  ["POST", "/internal/tokens", { workspaceId: "w", sandboxId: "s" }],
  ["DELETE", "/internal/tokens/lt-1"],
  ["GET", "/internal/export?format=csv"],
  ["GET", "/internal/export?format=parquet"],
  ["POST", "/internal/reprice?since=2026-01-01T00:00:00Z"],
  ["POST", "/internal/reprice?since=2026-01-01T00:00:00Z&dry_run=true"],
  ["POST", "/internal/import", { traces: [traceOf()], usage: [] }],
];
const WRITES = QUESTIONS.filter(([method, path]) => method !== "GET" && !path.includes("reprice"));
/** What the spool of this machine answers, whatever the shared database does. */
const LOCAL: typeof QUESTIONS = [["POST", "/internal/reship?since=2026-01-01T00:00:00Z"], ["POST", "/internal/backup"]];

function traceOf() {
  const at = "2026-01-01T00:00:00Z";
  return { id: "at-1", sandboxId: "s", workspaceId: "w", source: "auto", createdAt: at, updatedAt: at };
}

async function ask(proxy: ProxyUnderTest, [method, path, body]: (typeof QUESTIONS)[number], headers: HeadersInit = {}) {
  const answer = await fetch(proxy.adminUrl + path, {
    method,
    headers: { authorization: `Bearer ${proxy.adminToken}`, ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: answer.status, retryAfter: answer.headers.get("retry-after"), text: await answer.text() };
}

/**
 * Every one of them is 503 for that reason, and says nothing of where the database is or who we are
 * there.
 */
async function assertUnavailable(proxy: ProxyUnderTest, says: RegExp, questions = QUESTIONS): Promise<void> {
  for (const question of questions) {
    const { status, retryAfter, text } = await ask(proxy, question);
    const { type, message } = JSON.parse(text).error;
    assert.deepEqual([status, retryAfter, type], [503, "5", "unavailable_error"], `${question}: ${text}`);
    assert.match(message, says, String(question));
    assert.ok(!/127\.0\.0\.1|postgres:|s3cr3t|in-tests-only|SELECT|INSERT/.test(text), text);
  }
}

Deno.test("while the database is away the dashboard's live page shows the calls in flight, and says what it lacks", async () => {
  await using proxy = await startProxy({ env: { LLMPROXY_DATABASE_URL: "postgres://someone:s3cr3t@127.0.0.1:1/none" } });
  const browser = browserAt(dashboardAt(proxy.adminUrl));
  await browser.signIn(proxy.adminToken);
  const { status, text } = await browser.open("/dashboard/live");
  assert.equal(status, 200);
  assert.match(text, /No call is in flight/);
  assert.match(text, /The database does not answer at the moment/);
  assert.equal((await browser.open("/dashboard/live?format=csv&table=refused")).status, 503);
  assert.equal((await browser.open("/dashboard/traces")).status, 503);
});

Deno.test("while nothing listens at the database's port every question to it is 503 with the reason, and the spool's own work goes on", async () => {
  await using proxy = await startProxy({ env: { LLMPROXY_DATABASE_URL: "postgres://someone:s3cr3t@127.0.0.1:1/none" } });
  await assertUnavailable(proxy, /^PostgreSQL cannot be reached \(ECONNREFUSED\): is it running/);
  const lines = await ask(proxy, ["POST", "/internal/reprice?since=2026-01-01T00:00:00Z"], { accept: "application/x-ndjson" });
  assert.deepEqual([lines.status, lines.retryAfter], [503, "5"]);
  for (const question of LOCAL) assert.equal((await ask(proxy, question)).status, 200, String(question));
  const told = proxy.logs.map((line) => JSON.parse(line)).filter(({ msg }) => msg.startsWith("an admin request needs"));
  assert.equal(told.length, QUESTIONS.length + 1);
  for (const { level, error } of told) {
    assert.equal(level, "warn");
    assert.match(JSON.stringify(error), /127\.0\.0\.1:1/);
  }
  assert.ok(!proxy.logs.join().includes("s3cr3t"));
});

Deno.test("a database that stops is 503 on every question and answers again when it is back; one that refuses the login says so", async () => {
  const url = await postgres.newDatabase();
  await using proxy = await startProxy({ env: { LLMPROXY_DATABASE_URL: url } });
  assert.equal((await ask(proxy, QUESTIONS[0]!)).status, 200);
  await postgres.stop();
  await assertUnavailable(
    proxy,
    /^(PostgreSQL cannot be reached|PostgreSQL is shutting down|The connection to PostgreSQL was lost)/,
  );
  await postgres.start();
  await waitFor(async () => (await ask(proxy, QUESTIONS[0]!)).status === 200, { what: "the answers to be back" });
  for (const question of QUESTIONS) {
    const { status, text } = await ask(proxy, question);
    assert.ok([200, 201, 404].includes(status), `${question}: ${text}`);
  }

  const wrong = new URL(url);
  wrong.password = "s3cr3t";
  await using stranger = await startProxy({ env: { LLMPROXY_DATABASE_URL: wrong.href } });
  await assertUnavailable(stranger, /^PostgreSQL refuses the login: check the user and the password in its URL/);
});

Deno.test("a database that takes no writes is 503 on what writes and answers what reads; a bug stays 500", async () => {
  const url = await postgres.newDatabase();
  await using proxy = await startProxy({ env: { LLMPROXY_DATABASE_URL: url } });
  const name = new URL(url).pathname.slice(1);
  await postgres.psql(`ALTER DATABASE ${name} SET default_transaction_read_only = on`);
  await postgres.cutConnections();
  // The first questions may still meet a connection that is being cut: a 503 of another reason.
  await waitFor(async () => (await ask(proxy, WRITES[0]!)).text.includes("takes no writes"), { what: "new connections" });
  await assertUnavailable(proxy, /^PostgreSQL takes no writes: the server is a standby, or was made read-only/, WRITES);
  assert.equal((await ask(proxy, ["GET", "/internal/usage"])).status, 200);
  await postgres.psql(`ALTER DATABASE ${name} RESET default_transaction_read_only`);
  await postgres.psql("ALTER TABLE tokens RENAME COLUMN workspace_id TO someone", url);
  const { status, text } = await ask(proxy, ["GET", "/internal/tokens?workspace_id=w"]);
  assert.deepEqual([status, JSON.parse(text).error.message], [500, "The proxy failed on this request; its log says why"]);
});
