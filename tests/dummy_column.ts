/**
 * Closes a call with a value in a dummy column and follows it: totals, a trace's detail, shipping
 * to PostgreSQL and the export. `where_a_change_lands_test.ts` runs it in a copy of the tree that
 * has the column. Prints what it saw.
 */
import { encoderOf } from "../src/export/encoder.ts";
import { openEmbedded } from "../src/stores/sqlite/embedded.ts";
import { openHandOver } from "../src/stores/sqlite/hand_over.ts";
import { openUsageReader as openSqliteReader } from "../src/stores/sqlite/usage_reader.ts";
import { MIGRATE_DEFAULTS, migratePostgres } from "../src/stores/postgres/migrate.ts";
import { openPostgresStore, POSTGRES_DEFAULTS } from "../src/stores/postgres/store.ts";
import { openUsageReader as openPostgresReader } from "../src/stores/postgres/usage_reader.ts";
import type { Store } from "../src/domain/store.ts";
import type { UsageReader } from "../src/domain/usage_record.ts";
import { ALL, ALL_TRACES, callOf, closingOf, T0, traceOf } from "./conformance/samples.ts";
import { shipmentsOf } from "./shipments.ts";

const [dir, url] = Deno.args as [string, string];
const path = `${dir}/llmproxy.db`;
const options = { dir, instanceId: "run-1", synchronous: "normal", now: Date.now, onTrouble: () => {} } as const;

const alone = await openEmbedded(options);
const call = callOf({ createdAt: T0 });
const reading = { dummyTokens: 7 } as Parameters<typeof closingOf>[0];
await alone.ledger.open(call, traceOf(call));
await alone.ledger.close(call, closingOf(reading));
const embedded = await seen(alone.store, openSqliteReader(path));
await alone.end();

const handOver = openHandOver(path, { synchronous: "normal", onRefused: () => {} });
const rows = shipmentsOf(handOver, 10).flatMap((shipment) => shipment.rows);
handOver.close();

await migratePostgres({ ...MIGRATE_DEFAULTS, url });
const shared = openPostgresStore({ ...POSTGRES_DEFAULTS, url });
await shared.recordUsage(rows);
const later = { ...closingOf({ ...reading, dummyTokens: 9 } as typeof reading) };
await shared.recordUsage(rows.map((row) => ({ ...row, revision: 3, closing: later })));
console.log(JSON.stringify({ embedded, shared: await seen(shared, openPostgresReader(url)) }));
await shared.close();

/** The dummy column and its total wherever they are shown. */
async function seen(store: Pick<Store, "queryUsage" | "queryTraces" | "getTraceDetail">, reader: UsageReader) {
  const { totals } = await store.queryUsage(ALL);
  const { totals: byHour } = await store.queryUsage({ ...ALL, since: T0 });
  const { totals: ofTraces } = await store.queryTraces(ALL_TRACES);
  const [detail] = await store.getTraceDetail("at-1", null);
  const records = await reader.read({ since: null, until: null, workspaceId: null, sandboxId: null, after: null, limit: 10 });
  await reader.close();
  const csv = new TextDecoder().decode(encoderOf("csv", () => null).add(records)).split("\r\n").map((line) =>
    line.split(",").at(-1)
  );
  const total = (of: object) => String((of as { dummySum?: bigint }).dummySum);
  return [total(totals), total(byHour), total(ofTraces), (detail!.requests[0] as { dummyTokens?: number }).dummyTokens, ...csv];
}
