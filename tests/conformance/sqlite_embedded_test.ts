import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { SchemaTooNew } from "../../src/stores/migrations.ts";
import { type Embedded, openEmbedded } from "../../src/stores/sqlite/embedded.ts";
import { MAX_DETAIL_ROWS } from "../../src/stores/query_bounds.ts";
import { assertAtMost } from "../best_attempt.ts";
import { ALL, callOf, closingOf, stampAt, T0, traceOf } from "./samples.ts";

Deno.test("openEmbedded() shows in the store what the ledger has committed, and sweeps what an earlier run left", async () => {
  const dir = Deno.makeTempDirSync();
  const first = await openIn(dir, "run-1");
  assert.deepEqual([first.upgraded!.migrated.from, first.swept], [0, 0]);
  const [ended, left] = [callOf(), callOf()];
  for (const call of [ended, left]) await first.ledger.open(call, traceOf(call));
  await first.ledger.close(ended, closingOf({ inputTokens: 5 }));
  const { usage: groups } = await first.store.queryUsage(ALL);
  assert.deepEqual(groups.map((group) => [group.requestCount, group.inputTokens]), [[1, 5n]]);
  assert.deepEqual(await endingsIn(first), ["completed", "open"]);
  await first.end();
  await assert.rejects(first.store.queryUsage(ALL));
  await assert.rejects(first.ledger.join(traceOf(ended)));

  const second = await openIn(dir, "run-2");
  const { migrated } = second.upgraded!;
  assert.equal(migrated.from, migrated.to);
  assert.equal(second.swept, 1);
  assert.deepEqual(await endingsIn(second), ["completed", "unknown"]);
  await second.end();
  Deno.removeSync(dir, { recursive: true });
});

Deno.test("openEmbedded() makes no file that another user can read, whatever the process would allow", async () => {
  const dir = Deno.makeTempDirSync();
  const embedded = await openIn(dir, "run-1");
  const call = callOf();
  await embedded.ledger.open(call, traceOf(call));
  await embedded.ledger.close(call, closingOf({ inputTokens: 5 }));
  await embedded.store.queryUsage(ALL);
  const files = [...Deno.readDirSync(dir)].map(({ name }) => name);
  assert.ok(files.includes("llmproxy.db") && files.includes("llmproxy.db-wal") && files.includes("spool-0.db"));
  const open = files.filter((name) => (Deno.statSync(`${dir}/${name}`).mode! & 0o077) !== 0);
  assert.deepEqual(open, []);
  await embedded.end();
  Deno.removeSync(dir, { recursive: true });
});

Deno.test("openEmbedded() releases the directory if it fails", async () => {
  const dir = Deno.makeTempDirSync();
  await (await openIn(dir, "run-1")).end();
  const db = new DatabaseSync(`${dir}/llmproxy.db`);
  db.exec("INSERT INTO schema_migrations VALUES (999, 'from_the_future')");
  for (let n = 0; n < 2; n++) await assert.rejects(openIn(dir, "run-2"), SchemaTooNew);
  db.exec("DELETE FROM schema_migrations WHERE version = 999");
  db.close();
  await (await openIn(dir, "run-3")).end();
  Deno.removeSync(dir, { recursive: true });
});

Deno.test("openEmbedded() records calls while tokens are written, and loses none of either", async () => {
  const dir = Deno.makeTempDirSync();
  const { ledger, store, shipping: tokens, end } = await openIn(dir, "run-1");
  const token = { id: "", workspaceId: "w-1", sandboxId: "sb-1", createdAt: T0, expiresAt: null, revokedAt: null };
  await Promise.all([
    ...Array.from({ length: 300 }, async (_, n) => {
      const call = callOf({ traceId: `at-${n % 3}` });
      await ledger.open(call, traceOf(call));
      await ledger.close(call, closingOf({ outputTokens: 1 }));
    }),
    ...Array.from({ length: 300 }, (_, n) => tokens.createToken({ ...token, id: `tok-${n}` }, `hash-${n}`, stampAt(n))),
  ]);
  assert.equal((await store.queryUsage(ALL)).usage[0]?.outputTokens, 300n);
  assert.equal((await tokens.listTokens(null)).length, 300);
  assert.equal(ledger.trouble(), null);
  await end();
  Deno.removeSync(dir, { recursive: true });
});

const MOST_STALL_MS = 50;
const ATTEMPT_MS = 60_000;

Deno.test("queryUsage() over 200,000 rows leaves the event loop free, and calls are recorded meanwhile", async () => {
  const dir = Deno.makeTempDirSync();
  const { ledger, store, end } = await openIn(dir, "run-1");
  insertRows(`${dir}/llmproxy.db`, 200_000);
  let recorded = 0;
  await assertNoStall(async (breath) => {
    let isAnswered = false;
    // All are in one hour, and the query is for a part of it: no roll-up has that.
    const answer = store.queryUsage({ ...ALL, since: T0 + 1 }).finally(() => isAnswered = true);
    while (!isAnswered) {
      const call = callOf({ createdAt: T0 });
      const opening = ledger.open(call, traceOf(call)).then(() => recorded++);
      await breath();
      await opening;
    }
    const [group] = (await answer).usage;
    assert.equal(group?.requestCount, 199_999);
    assert.equal(group?.inputTokens, 599_997n);
  });
  assert.ok(recorded > 10, `${recorded} calls recorded`);
  await end();
  Deno.removeSync(dir, { recursive: true });
});

Deno.test("getTraceDetail() shows the newest rows of a long trace and leaves the event loop free", async () => {
  const dir = Deno.makeTempDirSync();
  const { store, end } = await openIn(dir, "run-1");
  insertRows(`${dir}/llmproxy.db`, 30_000);
  await store.getOrCreateTrace(traceOf(callOf()));
  await assertNoStall(async (breath) => {
    let isAnswered = false;
    const answer = store.getTraceDetail("at-1", "w-1").finally(() => isAnswered = true);
    while (!isAnswered) await breath();
    const [found] = await answer;
    assert.equal(found?.requests.length, MAX_DETAIL_ROWS);
    assert.equal(found?.requests.at(-1)?.createdAt, T0 + 29_999);
  });
  await end();
  Deno.removeSync(dir, { recursive: true });
});

/** `breath` leaves 2 ms to the event loop, and fails after `ATTEMPT_MS` in all. */
async function assertNoStall(attempt: (breath: () => Promise<void>) => Promise<void>): Promise<void> {
  await assertAtMost(MOST_STALL_MS, async () => {
    let longestMs = 0;
    const begin = performance.now();
    await attempt(async () => {
      assert.ok(performance.now() - begin < ATTEMPT_MS, `the attempt took more than ${ATTEMPT_MS} ms`);
      const last = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 2));
      longestMs = Math.max(longestMs, performance.now() - last - 2);
    });
    return longestMs;
  });
}

function openIn(dir: string, instanceId: string): Promise<Embedded> {
  return openEmbedded({ dir, instanceId, synchronous: "normal", now: Date.now, onTrouble: () => {} });
}

async function endingsIn({ store }: Embedded): Promise<unknown[]> {
  return (await store.getTraceDetail("at-1", null)).flatMap((found) => found.requests.map((request) => request.outcome));
}

function insertRows(path: string, count: number): void {
  const db = new DatabaseSync(path);
  db.exec(`
    PRAGMA busy_timeout = 5000;
    PRAGMA synchronous = OFF;
    INSERT INTO usage (
      id, revision, instance_id, workspace_id, sandbox_id, trace_id, kind, provider, requested_model, served_model, outcome,
      accuracy, streaming, created_at, request_bytes, input_tokens, message_id, upstream_request_id, client
    )
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ${count})
    SELECT printf('ar-%026d', i), 2, 'run-0', 'w-1', 'sb-1', 'at-1', 'message', 'anthropic', 'claude-asked', 'claude-served',
      'completed', 'exact', 1, ${T0} + i, 1000, 3, 'msg_01XFDUDYJgAACzvnptvVoYEL', 'req_011CQmJ1q2W3e4R5t6Y7u8I9', 'claude-cli/2.1'
    FROM n;
    PRAGMA wal_checkpoint(TRUNCATE)`);
  db.close();
}
