import assert from "node:assert/strict";
import { hourStart, periodStart } from "../src/domain/calendar.ts";
import type { UsageRow } from "../src/domain/usage.ts";
import { MIGRATE_DEFAULTS, migratePostgres } from "../src/stores/postgres/migrate.ts";
import { openPostgresStore, POSTGRES_DEFAULTS } from "../src/stores/postgres/store.ts";
import { ROLLUPS } from "../src/stores/rollups.ts";
import { callOf, closingOf, seededRandom, traceOf } from "./conformance/samples.ts";
import { startPostgres } from "./postgres_server.ts";

const CASES = 1_000;
/** Cases whose rows are sent at the same time, mixed. */
const CASES_AT_ONCE = 50;
const SENDERS = 4;
const HOUR_MS = 3_600_000;

/**
 * One case is a workspace with some calls, each with several revisions (swept, closed late,
 * repriced). Its rows are repeated, reordered and cut into new batches for each of two replicas,
 * which send at the same time.
 */
Deno.test(`recordUsage() of two replicas at once keeps every total equal to the sum of the rows, in ${CASES} seeded cases`, async () => {
  await using server = await startPostgres();
  await migratePostgres({ ...MIGRATE_DEFAULTS, url: server.url });
  const stores = [1, 2].map(() => openPostgresStore({ ...POSTGRES_DEFAULTS, url: server.url }));
  const random = seededRandom(20_261_124);
  const all: UsageRow[] = [];
  for (let n = 0; n < CASES; n += CASES_AT_ONCE) {
    const history = Array.from({ length: CASES_AT_ONCE }, (_, m) => historyOf(`w-${n + m}`, random)).flat();
    all.push(...history);
    await Promise.all(stores.flatMap((store) => {
      const sent = shuffled([...history, ...history.filter(() => random() < 0.3)], random);
      return Array.from({ length: SENDERS }, async () => {
        while (sent.length > 0) {
          const batch = sent.splice(0, 1 + Math.floor(random() * 60));
          await store.recordUsage(batch);
          await store.recordTraces(batch.map((row) => traceOf(row.call)));
        }
      });
    }));
  }
  await Promise.all(stores.map((store) => store.close()));

  const strongest = [...Map.groupBy(all, (row) => row.call.id).values()]
    .map((rows) => rows.reduce((a, b) => (a.revision >= b.revision ? a : b)));
  assert.deepEqual(
    await sumsIn(
      server,
      "traces",
      "workspace_id, id, request_count, cost, partly_priced_count, total_input_tokens, total_output_tokens",
    ),
    sumsOf(strongest, ({ call }) => [call.workspaceId, call.traceId]).map((sums) => sums.slice(0, 7)).sort(),
  );
  assert.deepEqual(
    await sumsIn(
      server,
      "usage_hours",
      `workspace_id, hour, sandbox_id, upstream, model, request_count, cost, partly_priced_count, input_tokens, output_tokens,
       cache_creation_input_tokens, cache_read_input_tokens`,
    ),
    sumsOf(strongest, ({ call, closing }) => [
      call.workspaceId,
      String(hourStart(call.createdAt)),
      call.sandboxId,
      call.upstream ?? "",
      closing.reading.servedModel ?? call.requestedModel,
    ]).sort(),
  );
  for (const { level, period, keeps } of ROLLUPS) {
    assert.deepEqual(
      await sumsIn(
        server,
        `(SELECT * FROM usage_rollups WHERE level = '${level}') AS rollup`,
        `workspace_id, start, sandbox_id, upstream, model, request_count, cost, partly_priced_count, input_tokens, output_tokens,
         cache_creation_input_tokens, cache_read_input_tokens`,
      ),
      sumsOf(strongest, ({ call, closing }) => [
        keeps.includes("workspace_id") ? call.workspaceId : "",
        String(periodStart(period, call.createdAt)),
        keeps.includes("sandbox_id") ? call.sandboxId : "",
        keeps.includes("upstream") ? call.upstream ?? "" : "",
        keeps.includes("model") ? closing.reading.servedModel ?? call.requestedModel : "",
      ]).sort(),
      level,
    );
  }
  assert.equal((await server.psql("SELECT count(*) AS n FROM usage"))[0]?.n, String(strongest.length));
});

function historyOf(workspaceId: string, random: () => number): readonly UsageRow[] {
  const upTo = (most: number) => Math.floor(random() * most);
  const tokens = () => Math.floor(random() * 2 ** (random() < 0.1 ? 45 : 12));
  const calls = Array.from({ length: 1 + upTo(8) }, () =>
    callOf({
      workspaceId,
      traceId: `at-${upTo(3)}`,
      sandboxId: `sb-${upTo(2)}`,
      upstream: [null, "eu", "us"][upTo(3)]!,
      // Two months and the hour between them.
      createdAt: Date.UTC(2026, 1) + (upTo(3) - 1) * HOUR_MS + upTo(3),
    }));
  return calls.flatMap((call) =>
    [1, 2, 3, 9].filter((revision) => revision === 2 || random() < 0.4).map((revision): UsageRow => ({
      call,
      closing: closingOf({
        servedModel: random() < 0.2 ? null : `model-${upTo(3)}`,
        inputTokens: tokens(),
        outputTokens: tokens(),
        cacheCreationInputTokens: tokens(),
        cacheReadInputTokens: tokens(),
      }, { cost: upTo(1_000), unpricedUses: random() < 0.3 ? { tool_search_requests: 1 + upTo(3) } : {} }),
      revision,
    }))
  );
}

function shuffled<T>(all: T[], random: () => number): T[] {
  for (let n = all.length - 1; n > 0; n--) {
    const m = Math.floor(random() * (n + 1));
    [all[n], all[m]] = [all[m]!, all[n]!];
  }
  return all;
}

/** One line a key: the key, and the counts of its rows. */
function sumsOf(rows: readonly UsageRow[], keyOf: (row: UsageRow) => readonly string[]): string[][] {
  return [...Map.groupBy(rows, (row) => JSON.stringify(keyOf(row)))].map(([key, group]) => {
    const sum = (count: (row: UsageRow) => number) => String(group.reduce((all, row) => all + BigInt(count(row)), 0n));
    return [
      ...JSON.parse(key),
      String(group.length),
      sum((row) => row.closing.cost ?? 0),
      sum((row) => Object.keys(row.closing.unpricedUses).length),
      sum((row) => row.closing.reading.inputTokens),
      sum((row) => row.closing.reading.outputTokens),
      sum((row) => row.closing.reading.cacheCreationInputTokens),
      sum((row) => row.closing.reading.cacheReadInputTokens),
    ];
  });
}

/** As `sumsOf`, without what sums to nothing. */
async function sumsIn(
  server: { psql(sql: string): Promise<readonly Readonly<Record<string, unknown>>[]> },
  table: string,
  columns: string,
): Promise<string[][]> {
  const counts = ["request_count", ...columns.match(/\w+_tokens|cost|partly_priced_count/g)!].map((column) => `${column} <> 0`);
  const rows = await server.psql(`SELECT ${columns} FROM ${table} WHERE ${counts.join(" OR ")}`);
  return rows.map((row) => Object.values(row).map(String)).sort();
}
