/** Databases of the first schema, with rows in them, under the present program. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { hourStart } from "../src/domain/calendar.ts";
import type { Grouping } from "../src/domain/query.ts";
import type { Store } from "../src/domain/store.ts";
import type { UsageTotals } from "../src/domain/totals.ts";
import { openEmbedded } from "../src/stores/sqlite/embedded.ts";
import { openHandOver } from "../src/stores/sqlite/hand_over.ts";
import { migrateSpool, migrateSqlite } from "../src/stores/sqlite/migrate.ts";
import { upgradeDatabase } from "../src/stores/sqlite/upgrade.ts";
import { MIGRATE_DEFAULTS, migratePostgres } from "../src/stores/postgres/migrate.ts";
import { openPostgresStore, POSTGRES_DEFAULTS } from "../src/stores/postgres/store.ts";
import { ALL, ALL_TRACES, callOf, closingOf, moneyOf, T0, traceOf } from "./conformance/samples.ts";
import { startPostgres } from "./postgres_server.ts";
import { shipmentsOf } from "./shipments.ts";

/**
 * Two calls of one session in one hour, with the totals of both. The second one broke, and is
 * estimated.
 */
function firstRows({ no, yes }: { readonly no: string; readonly yes: string }): string {
  const calls = [["completed", "exact", 7, 70], ["upstream_broke", "estimated", 5, 50]];
  const rows = calls.map(([ending, trust, tokens, cost], n) =>
    `('ar-${n}', 2, 'run-1', 'w-1', 'sb-1', 'at-1', 'message', 'anthropic', 'm', 'm', '${ending}', '${trust}', ${yes}, ${T0 + n},
      ${tokens}, 1, 10, ${cost}, 'v1', 'refusal', ${no}, ${tokens})`
  );
  return `
    INSERT INTO usage (
      id, revision, instance_id, workspace_id, sandbox_id, trace_id, kind, provider, requested_model, served_model, ending, trust,
      streaming, created_at, input_tokens, output_tokens, request_bytes, cost, price_version, stop_reason, asked_again,
      ttft_ms
    ) VALUES ${rows.join(", ")};
    INSERT INTO traces (
      workspace_id, id, sandbox_id, source, created_at, updated_at, request_count, total_input_tokens, total_output_tokens, cost,
      estimated_cost, estimated_count
    ) VALUES ('w-1', 'at-1', 'sb-1', 'header', ${T0}, ${T0 + 1}, 2, 12, 2, 120, 50, 1);
    INSERT INTO usage_hours (
      workspace_id, hour, sandbox_id, provider, model, kind, request_count, input_tokens, output_tokens,
      cache_creation_input_tokens, cache_read_input_tokens, cost, estimated_cost, estimated_count, unknown_count, unpriced_count,
      retry_count, retried_cost
    ) VALUES ('w-1', ${hourStart(T0)}, 'sb-1', 'anthropic', 'm', 'message', 2, 12, 2, 0, 0, 120, 50, 1, 0, 0, 0, 0);`;
}

const MONEY = { cost: 120n, estimatedCost: 50n, estimatedCount: 1, unknownCount: 0, unpricedCount: 0, partlyPricedCount: 0 };

async function assertTotals(
  store: Pick<Store, "queryUsage" | "queryTraces" | "getTraceDetail">,
  more: { readonly partly: 0 | 1 },
) {
  const { partly } = more;
  const money = { ...MONEY, cost: 120n + 9n * BigInt(partly), partlyPricedCount: partly };
  const tokens = 12n + 3n * BigInt(partly);
  for (const since of [null, T0]) {
    const { totals } = await store.queryUsage({ ...ALL, since });
    assert.deepEqual([moneyOf(totals), totals.inputTokens, totals.requestCount], [money, tokens, 2 + partly]);
  }
  const { traces } = await store.queryTraces(ALL_TRACES);
  assert.deepEqual([moneyOf(traces[0]!), traces[0]!.totalInputTokens], [money, tokens]);
  const expected = [1, 2 + partly, 12n + 100n * BigInt(partly)];
  for (const groupBy of EACH_ROLLUP) {
    const { usage: [group, ...others] } = await store.queryUsage({ ...ALL, groupBy });
    assert.deepEqual([failuresOf(group!), others], [expected, []], String(groupBy));
    assert.deepEqual([moneyOf(group!), group!.inputTokens], [money, tokens], String(groupBy));
  }
  assert.deepEqual(failuresOf(traces[0]!), expected);
  // The calls of the first schema name no upstream.
  assert.deepEqual((await store.queryUsage({ ...ALL, groupBy: ["upstream"] })).usage.map(({ upstream }) => upstream), [""]);
  const [detail] = await store.getTraceDetail("at-1", null);
  assert.deepEqual(detail!.requests.slice(0, 2).map((row) => [row.refusalCategory, row.unpricedUses]), [
    [undefined, undefined],
    [undefined, undefined],
  ]);
}

/** Each of these is answered by a roll-up of its own, the last by the hours. */
const EACH_ROLLUP: readonly (readonly Grouping[])[] = [
  ["model", "hour"],
  ["model"],
  ["workspace"],
  ["workspace", "day"],
  ["workspace", "model"],
  ["workspace", "upstream", "day"],
  ["workspace", "sandbox"],
  ["sandbox", "day"],
  ["sandbox", "model"],
];

function failuresOf({ failedCount, timedCount, ttftSumMs }: Pick<UsageTotals, "failedCount" | "timedCount" | "ttftSumMs">) {
  return [failedCount, timedCount, ttftSumMs];
}

const CALL = callOf({ createdAt: T0 + 2 });
const CLOSING = closingOf({ servedModel: "m", inputTokens: 3 }, { cost: 9, unpricedUses: { tool_search_requests: 1 } });

Deno.test("an embedded database of the first schema keeps every total, counts on, and hands all of it over", async () => {
  const dir = Deno.makeTempDirSync();
  const path = `${dir}/llmproxy.db`;
  try {
    migrateSqlite(path, firstOnly("sqlite", dir));
    const db = new DatabaseSync(path);
    db.exec(firstRows({ no: "0", yes: "1" }));
    db.close();
    const options = { dir, instanceId: "run-2", synchronous: "normal", now: Date.now, onTrouble: () => {} } as const;
    const alone = await openEmbedded(options);
    await assertTotals(alone.store, { partly: 0 });
    await alone.ledger.open(CALL, traceOf(CALL));
    await alone.ledger.close(CALL, CLOSING);
    await assertTotals(alone.store, { partly: 1 });
    await alone.end();

    const handOver = openHandOver(path, { synchronous: "normal", onRefused: () => {} });
    const rows = shipmentsOf(handOver, 10).flatMap((shipment) => shipment.rows);
    handOver.close();
    const handed = rows.map(({ closing }) => [closing.reading.refusalCategory, closing.unpricedUses, closing.cost]);
    assert.deepEqual(handed, [[null, {}, 70], [null, {}, 50], [null, CLOSING.unpricedUses, 9]]);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("a spool of the first schema keeps its counts of refusals, and ships those that it had not shipped as its own", async () => {
  const dir = Deno.makeTempDirSync();
  const path = `${dir}/llmproxy.db`;
  try {
    migrateSqlite(path, firstOnly("sqlite", dir));
    const db = new DatabaseSync(path);
    db.exec(`
      UPDATE journal SET id = 'file-1', role = 'journal', is_handed_over = 1;
      INSERT INTO refusals (workspace_id, sandbox_id, fault, minute, journal_id, count)
      VALUES ('w-1', 'sb-1', 'overloaded', ${T0}, 'file-1', 4), ('', '', 'unauthenticated', ${T0}, 'file-1', 9);
      INSERT INTO unshipped_refusals (number, workspace_id, sandbox_id, fault, minute)
      VALUES (17, 'w-1', 'sb-1', 'overloaded', ${T0});`);
    db.close();
    const own = { workspaceId: "w-1", sandboxId: "sb-1", fault: "overloaded", minute: T0 } as const;
    const unknown = { ...own, workspaceId: "", sandboxId: "", fault: "unauthenticated" } as const;
    const spoolPath = `${dir}/spool-0.db`;
    migrateSpool(spoolPath);
    upgradeDatabase(path, { spoolPath, isStore: false });
    const handOver = openHandOver(path, { synchronous: "normal", onRefused: () => {} });
    const earlier = shipmentsOf(handOver, 10).flatMap(({ refusals }) => refusals);
    assert.deepEqual(earlier, [{ ...unknown, instanceId: "file-1", count: 9 }, { ...own, instanceId: "file-1", count: 4 }]);
    assert.equal(handOver.reship(T0), 0);
    assert.deepEqual(shipmentsOf(handOver, 10).flatMap(({ refusals }) => refusals), earlier);
    handOver.close();

    const options = { dir, instanceId: "run-2", synchronous: "normal", now: Date.now, onTrouble: () => {} } as const;
    const embedded = await openEmbedded(options);
    await embedded.ledger.countRefusals([{ ...own, instanceId: "run-2", count: 3 }]);
    assert.deepEqual((await embedded.store.queryRefusals(ALL)).map(({ fault, count }) => [fault, count]), [
      ["unauthenticated", 9],
      ["overloaded", 7],
    ]);
    // What is dropped for one run keeps nothing of another's.
    while (await embedded.shipping.prune(T0 + 60_000, T0)) continue;
    await embedded.ledger.countRefusals([{ ...own, instanceId: "run-2", count: 1 }]);
    assert.deepEqual((await embedded.store.queryRefusals(ALL)).map(({ count }) => count), [9, 8]);
    await embedded.end();
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("a shared database of the first schema keeps every total, and counts on", async () => {
  await using server = await startPostgres();
  const dir = Deno.makeTempDirSync();
  const { url } = server;
  await migratePostgres({ ...MIGRATE_DEFAULTS, url, folder: firstOnly("postgres", dir) });
  const store = openPostgresStore({ ...POSTGRES_DEFAULTS, url });
  try {
    await store.makeReady(T0);
    await server.psql(firstRows({ no: "FALSE", yes: "TRUE" }));
    const own = { workspaceId: "w-1", sandboxId: "sb-1", fault: "overloaded", minute: T0 } as const;
    await server.psql(`INSERT INTO refusals VALUES ('w-1', 'sb-1', 'overloaded', ${T0}, 'file-1', 4)`);
    await migratePostgres({ ...MIGRATE_DEFAULTS, url });
    await assertTotals(store, { partly: 0 });
    await store.recordUsage([{ call: CALL, closing: CLOSING, revision: 2 }]);
    await assertTotals(store, { partly: 1 });
    await store.recordRefusals([{ ...own, instanceId: "file-1", count: 4 }, { ...own, instanceId: "run-2", count: 3 }]);
    assert.deepEqual(await store.queryRefusals(ALL), [{ ...own, count: 7 }]);
  } finally {
    await store.close();
    Deno.removeSync(dir, { recursive: true });
  }
});

/** A folder with nothing but the first migration. */
function firstOnly(kind: "sqlite" | "postgres", dir: string): URL {
  const folder = `${dir}/first_${kind}`;
  Deno.mkdirSync(folder);
  Deno.copyFileSync(new URL(`../migrations/${kind}/0001_ledger.sql`, import.meta.url), `${folder}/0001_ledger.sql`);
  return pathToFileURL(`${folder}/`);
}
