/**
 * Measures what a call's admission costs under four limits: on SQLite through the shipper's Worker,
 * as calls go, and on PostgreSQL through a relay that counts messages.
 *
 *     deno run -A bench/limits_bench.ts [admissions (5000)]
 *
 * One call at a time, and sixteen. A call is admitted and settled, and its row is not written: what
 * it holds is released every 200 calls, as rows come in. `settle` is in the background.
 */
import { type Bound, type LimitRecords, periodOf } from "../src/domain/limits.ts";
import { Admissions } from "../src/limits/admissions.ts";
import { ADMISSIONS_PACE } from "../src/limits/pace.ts";
import { MIGRATE_DEFAULTS, migratePostgres } from "../src/stores/postgres/migrate.ts";
import { openPostgresStore, POSTGRES_DEFAULTS } from "../src/stores/postgres/store.ts";
import { openEmbedded } from "../src/stores/sqlite/embedded.ts";
import { startPostgres } from "../tests/postgres_server.ts";
import { startTcpRelay } from "../tests/relaying_proxy.ts";

const ADMISSIONS = Number(Deno.args[0] ?? 5_000);
const LANDED_AFTER = 200;

await onSqlite();
await onPostgres();

async function onSqlite(): Promise<void> {
  const dir = Deno.makeTempDirSync({ prefix: "llmproxy-bench-" });
  const embedded = await openEmbedded({
    dir,
    instanceId: "bench",
    synchronous: "normal",
    now: Date.now,
    onTrouble: console.error,
  });
  for (const atOnce of [1, 16]) console.log(lineOf("SQLite", atOnce, await measure(embedded.shipping, atOnce)));
  await embedded.end();
  Deno.removeSync(dir, { recursive: true });
}

async function onPostgres(): Promise<void> {
  await using server = await startPostgres({ own: true });
  await using relay = await startTcpRelay(server.port);
  const url = new URL(server.url);
  url.port = String(relay.port);
  await migratePostgres({ ...MIGRATE_DEFAULTS, connectSeconds: POSTGRES_DEFAULTS.connectSeconds, url: server.url });
  const store = openPostgresStore({ ...POSTGRES_DEFAULTS, url: url.href });
  const bounds = boundsAt(Date.now());
  await store.reserve(reservationOf("ar-first", Date.now()), bounds);
  const before = relay.sent();
  for (let n = 0; n < 10; n++) await store.reserve(reservationOf(`ar-counted-${n}`, Date.now()), bounds);
  console.log(`PostgreSQL: ${relay.sent() - before} messages to the server for 10 admissions, one after the other`);
  for (const atOnce of [1, 16]) console.log(lineOf("PostgreSQL", atOnce, await measure(store, atOnce)));
  await store.close();
}

/** Milliseconds of each admission. */
async function measure(records: LimitRecords, atOnce: number): Promise<readonly number[]> {
  const admissions = new Admissions({
    ...{ records, queueMs: 0, earlierMs: 0, pauseMs: 0, now: Date.now, pace: ADMISSIONS_PACE },
    onAlone: (reason) => console.log(`the store does not answer: ${reason}`),
    ...{ onUsed: () => {}, onPaused: () => {} },
  });
  const times: number[] = [];
  let landing: string[] = [];
  const never = new AbortController().signal;
  const run = crypto.randomUUID();
  await Promise.all(Array.from({ length: atOnce }, async (_, lane) => {
    for (let n = 0; n < ADMISSIONS / atOnce; n++) {
      const at = Date.now();
      const id = `ar-${run}-${lane}-${n}`;
      const bounds = boundsAt(at);
      const began = performance.now();
      const refusal = await admissions.reserve(reservationOf(id, at), bounds, never);
      times.push(performance.now() - began);
      if (refusal !== null) throw new Error("A call was refused");
      admissions.settle({ id, tokens: 900, cost: 90_000 });
      if (landing.push(id) < LANDED_AFTER) continue;
      const landed = landing;
      landing = [];
      await records.release(landed);
    }
  }));
  await admissions.end();
  await records.release(landing);
  return times.toSorted((a, b) => a - b);
}

function boundsAt(at: number): readonly Bound[] {
  const max = Number.MAX_SAFE_INTEGER;
  return [
    { kind: "rpd", scope: "workspace", id: "w", max, ...periodOf("rpd", at) },
    { kind: "cost_per_day", scope: "workspace", id: "w", max, ...periodOf("cost_per_day", at) },
    { kind: "cost_per_month", scope: "sandbox", id: "sb", max, ...periodOf("cost_per_month", at) },
    { kind: "concurrent", scope: "workspace", id: "w", max, ...periodOf("concurrent", at) },
  ];
}

function reservationOf(id: string, createdAt: number) {
  return { id, workspaceId: "w", sandboxId: "sb", traceId: "at", holder: "bench", createdAt, tokens: 1_000, cost: 100_000 };
}

function lineOf(store: string, atOnce: number, times: readonly number[]): string {
  const at = (share: number) => times[Math.floor(times.length * share)]!.toFixed(3);
  return `${store}, ${atOnce} at once: p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms`;
}
