import assert from "node:assert/strict";
import { insertRollups, POSTGRES_MONTH } from "../../../tests/rollup_rows.ts";
import { startPostgres } from "../../../tests/postgres_server.ts";
import { ALL, ALL_TRACES, T0 } from "../../../tests/conformance/samples.ts";
import { callsQuestion } from "../calls_sql.ts";
import { cachedCalls } from "../detail_sql.ts";
import { refusals } from "../records_sql.ts";
import type { Ask } from "./connection.ts";
import { MIGRATE_DEFAULTS, migratePostgres } from "./migrate.ts";
import { openPool } from "./pool.ts";
import { answer, getTraceDetail, queryTraces, queryUsage } from "./queries.ts";

const MONTH_3 = Date.UTC(2026, 2, 10, 12, 30);
const MONTH_3_END = Date.UTC(2026, 2, 20, 6, 30);
/** Few rows are newer. */
const LATELY = Date.UTC(2026, 3, 24);

/**
 * For every question that is narrowed, the indexes that PostgreSQL must take, and a partition that
 * it must not look at.
 */
const PLANS: readonly Plan[] = [
  {
    name: "queryUsage() of a workspace since a time",
    ask: (ask) => queryUsage(ask, { ...ALL, ...narrowedTo("w-7", null, MONTH_3) }),
    takes: [
      /usage_rollups_pkey.*workspace_id = 'w-7'.*level = /,
      /usage_hours_pkey.*workspace_id = 'w-7'/,
      /usage_2026_03_pkey.*workspace_id = 'w-7'.*created_at/,
    ],
    leaves: /usage_2026_0[124]/,
  },
  {
    name: "queryUsage() of a sandbox since a time",
    ask: (ask) => queryUsage(ask, { ...ALL, ...narrowedTo(null, "s-7", MONTH_3) }),
    takes: [/usage_hours_by_sandbox.*sandbox_id = 's-7'/, /usage_2026_03_sandbox_id_created_at_idx/],
    leaves: /usage_2026_0[124]/,
  },
  {
    name: "queryUsage() since a time",
    ask: (ask) => queryUsage(ask, { ...ALL, ...narrowedTo(null, null, MONTH_3) }),
    takes: [/usage_rollups_pkey.*workspace_id = ''.*level = /, /usage_2026_03_created_at_idx/],
    leaves: /usage_2026_0[124]|usage_hours/,
  },
  {
    name: "queryUsage() by workspace since a time",
    ask: (ask) => queryUsage(ask, { ...ALL, ...narrowedTo(null, null, MONTH_3), groupBy: ["workspace"] }),
    takes: [/usage_rollups_by_start/, /usage_hours_by_hour/, /usage_2026_03_created_at_idx/],
    leaves: /usage_2026_0[124]/,
  },
  {
    name: "queryUsage() of a workspace in all",
    ask: (ask) => queryUsage(ask, { ...ALL, ...narrowedTo("w-7", null, null) }),
    takes: [/usage_rollups_pkey.*workspace_id = 'w-7'/],
    leaves: /usage_2026|usage_hours/,
  },
  {
    name: "queryUsage() of a workspace in a stretch of time by what only rows tell",
    ask: (ask) =>
      queryUsage(ask, { ...ALL, ...narrowedTo("w-7", null, MONTH_3), until: MONTH_3_END, groupBy: ["trace", "agent"] }),
    takes: [/usage_2026_03_pkey.*workspace_id = 'w-7'.*created_at/],
    leaves: /usage_2026_0[124]|usage_hours/,
  },
  {
    name: "queryUsage() of a workspace in a stretch of time",
    ask: (ask) => queryUsage(ask, { ...ALL, ...narrowedTo("w-7", null, MONTH_3), until: MONTH_3_END }),
    takes: [
      /usage_hours_pkey.*workspace_id = 'w-7'.*hour < /,
      /usage_2026_03_pkey.*workspace_id = 'w-7'.*created_at.*usage_2026_03_pkey/,
    ],
    leaves: /usage_2026_0[124]/,
  },
  {
    name: "getCachedCalls()",
    ask: (ask) => answer(ask, cachedCalls({ workspaceId: "w-7", traceId: "at-7", after: { createdAt: MONTH_3, id: "ar-1" } })),
    takes: [/usage_2026_03_trace_id_workspace_id_created_at_id_idx/],
    leaves: /usage_2026_0[12]|Seq Scan/,
  },
  {
    name: "queryCalls() in the order of time",
    ask: (ask) => answer(ask, callsQuestion({ ...CALLS, after: [String(MONTH_3), String(MONTH_3), "ar-1"] })),
    takes: [/usage_2026_03_trace_id_workspace_id_created_at_id_idx/],
    leaves: /usage_2026_0[12]|Seq Scan/,
  },
  {
    name: "queryTraces() by the beginning of an id",
    ask: (ask) => queryTraces(ask, { ...ALL_TRACES, idPrefix: "at-77777" }),
    takes: [/traces_by_id.*id >= 'at-77777'/],
    leaves: /Seq Scan/,
  },
  {
    name: "queryTraces() of a workspace",
    ask: (ask) => queryTraces(ask, { ...ALL_TRACES, ...narrowedTo("w-7", null, MONTH_3) }),
    takes: [/(traces_in_workspace|traces_pkey).*workspace_id = 'w-7'/],
    leaves: /Seq Scan/,
  },
  {
    name: "queryTraces() since a time",
    ask: (ask) => queryTraces(ask, { ...ALL_TRACES, ...narrowedTo(null, null, LATELY) }),
    takes: [/traces_by_activity.*updated_at >=/],
    leaves: /Seq Scan/,
  },
  {
    name: "queryTraces() of a sandbox",
    ask: (ask) => queryTraces(ask, { ...ALL_TRACES, ...narrowedTo(null, "s-7", null) }),
    takes: [/traces_of_sandbox.*sandbox_id = 's-7'/],
    leaves: /Seq Scan/,
  },
  {
    name: "getTraceDetail() in a workspace",
    ask: (ask) => getTraceDetail(ask, "at-7", "w-7"),
    takes: [/traces_pkey|traces_by_id|usage_2026_01_\w*trace_id\w*_idx/],
    leaves: /Seq Scan/,
  },
  {
    name: "queryRefusals() since a time",
    ask: (ask) => answer(ask, refusals({ ...ALL, ...narrowedTo(null, null, LATELY) })),
    takes: [/refusals_by_minute.*minute >=/],
    leaves: /Seq Scan/,
  },
];

const CALLS = {
  ...{ workspaceId: "w-7", traceId: "at-7", agentId: null, isTroubled: false, limit: 10 },
  order: { by: "time", isAscending: true },
} as const;

interface Plan {
  readonly name: string;
  readonly ask: (ask: Ask) => Promise<unknown>;
  readonly takes: readonly RegExp[];
  readonly leaves: RegExp;
}

const server = await startPostgres();
Deno.test.afterAll(async () => await server[Symbol.asyncDispose]());
await migratePostgres({ ...MIGRATE_DEFAULTS, url: server.url });
await server.psql(samples(), server.url);

for (const { name, ask, takes, leaves } of PLANS) {
  Deno.test(`${name} goes by indexes that fit it, and prunes`, async () => {
    const pool = openPool(server.url, { max: 1, connectSeconds: 30, idleSeconds: 60 });
    const plans = await pool.run({
      access: "read",
      seconds: 30,
      ask: async (on) => {
        const plans: string[] = [];
        await ask(async (sql, values) => {
          const steps = await on(`EXPLAIN ${sql}`, values);
          // A table of one row at most.
          if (!sql.endsWith("FROM dropped")) plans.push(steps.map((step) => step["QUERY PLAN"]).join(" "));
          return await on(sql, values);
        });
        return plans;
      },
    });
    await pool.close();
    assert.ok(plans.length > 0);
    for (const plan of plans) {
      for (const index of takes) assert.match(plan, index);
      assert.doesNotMatch(plan, leaves);
    }
  });
}

/** Some thousand rows of fifty workspaces in four months, known to the planner. */
function samples(): string {
  const months = [0, 1, 2, 3].map((month) =>
    `CREATE TABLE usage_2026_0${month + 1} PARTITION OF usage
       FOR VALUES FROM (${Date.UTC(2026, month)}) TO (${Date.UTC(2026, month + 1)})`
  );
  return `
    ${months.join(";")};
    INSERT INTO usage (
      id, revision, instance_id, workspace_id, sandbox_id, trace_id, kind, provider, requested_model, accuracy, streaming, created_at,
      request_bytes
    )
    SELECT n, 2, '', 'w-' || n % 50, 's-' || n % 200, 'at-' || n % 200, 'message', 'anthropic', 'm', 'exact', true,
      ${T0} + n * 500000::bigint, 1
    FROM generate_series(1, 20000) AS n;
    INSERT INTO usage_hours
    SELECT workspace_id, created_at / 3600000 * 3600000, sandbox_id, provider, requested_model, kind, count(*), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ''
    FROM usage GROUP BY 1, 2, 3, 4, 5, 6;
    ${insertRollups(POSTGRES_MONTH).join(";")};
    INSERT INTO traces
    SELECT 'w-' || n % 50, 'at-' || n, 's-' || n % 200, 'auto', ${T0}, ${T0} + n * 1000000::bigint FROM generate_series(1, 10000) AS n;
    INSERT INTO refusals
    SELECT 'w-' || n % 50, 's-' || n % 200, 'overloaded', ${T0} + n * 1000000::bigint, 'j', 1 FROM generate_series(1, 10000) AS n;
    ANALYZE`;
}

function narrowedTo(workspaceId: string | null, sandboxId: string | null, since: number | null) {
  return { workspaceId, sandboxId, since, limit: 10 };
}
