import assert from "node:assert/strict";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { ALL, ALL_TRACES } from "../../../tests/conformance/samples.ts";
import { migrateSqlite } from "./migrate.ts";
import { callsQuestion } from "../calls_sql.ts";
import { cachedCalls } from "../detail_sql.ts";
import { refusals } from "../records_sql.ts";
import { tracesOfId } from "../traces_sql.ts";
import { Queries } from "./queries.ts";

/** For every question that is narrowed, how SQLite must go about each of its statements. */
const PLANS: readonly (readonly [name: string, ask: (queries: Queries) => unknown, plan: RegExp])[] = [
  [
    "queryUsage() of a workspace",
    (q) => q.queryUsage({ ...ALL, ...narrowedTo("w", null, 5) }),
    /SEARCH usage_rollups .*\(workspace_id=\? AND level=\? AND start>\?\).* SEARCH usage_hours .*\(workspace_id=\? AND hour>\? AND hour<\?\).* SEARCH usage .*\(workspace_id=\? AND created_at>\?/,
  ],
  [
    "queryUsage() of a sandbox",
    (q) => q.queryUsage({ ...ALL, ...narrowedTo(null, "s", 5) }),
    /SEARCH usage_hours .* usage_hours_by_sandbox \(sandbox_id=\? AND hour>\?.* SEARCH usage .* usage_by_sandbox \(sandbox_id=\? AND/,
  ],
  [
    "queryUsage() since a time",
    (q) => q.queryUsage({ ...ALL, ...narrowedTo(null, null, 5) }),
    /SEARCH usage_rollups .*\(workspace_id=\? AND level=\? AND start>\?\).* SEARCH usage .* usage_by_time \(created_at>\?/,
  ],
  [
    "queryUsage() by workspace since a time",
    (q) => q.queryUsage({ ...ALL, ...narrowedTo(null, null, 5), groupBy: ["workspace"] }),
    /SEARCH usage_rollups .* usage_rollups_by_start \(level=\? AND start>\?\).* SEARCH usage_hours .* usage_hours_by_hour \(hour>\? AND hour<\?\).* SEARCH usage .* usage_by_time \(created_at>\?/,
  ],
  [
    "queryTraces() of all",
    (q) => q.queryTraces({ ...ALL_TRACES, ...narrowedTo(null, null, null) }),
    /^(SCAN traces USING INDEX traces_by_activity|SEARCH usage_rollups .*\(workspace_id=\? AND level=\?\).* SCAN traces USING COVERING INDEX \w+)$/,
  ],
  [
    "queryTraces() of a workspace",
    (q) => q.queryTraces({ ...ALL_TRACES, ...narrowedTo("w", null, 5) }),
    /^SEARCH traces USING PRIMARY KEY \(workspace_id=\?/,
  ],
  [
    "queryTraces() of a sandbox",
    (q) => q.queryTraces({ ...ALL_TRACES, ...narrowedTo(null, "s", null) }),
    /SEARCH .* traces_of_sandbox/,
  ],
  [
    "queryTraces() since a time",
    (q) => q.queryTraces({ ...ALL_TRACES, ...narrowedTo(null, null, 5) }),
    /SEARCH .* traces_by_activity \(updated_at>\?\)/,
  ],
  [
    "getTraceDetail() in all workspaces",
    (q) => q.getTraceDetail("at-1", null),
    /SEARCH .* (traces_by_id|usage_by_trace) \((trace_)?id=\?/,
  ],
  [
    "getTraceDetail() in a workspace",
    (q) => q.getTraceDetail("at-1", "w"),
    /SEARCH (traces .*id=\?|.* usage_by_trace \(trace_id=\? AND w)/,
  ],
  [
    "queryUsage() of a workspace up to a time",
    (q) => q.queryUsage({ ...ALL, ...narrowedTo("w", null, 5), until: 9_999_999 }),
    /SEARCH usage_hours .*\(workspace_id=\? AND hour>\? AND hour<\?\)(.* SEARCH usage .*\(workspace_id=\? AND created_at>\? AND created_at<\?\)){2}/,
  ],
  [
    "queryUsage() of a workspace by what only rows tell",
    (q) => q.queryUsage({ ...ALL, ...narrowedTo("w", null, 5), groupBy: ["trace", "agent"], accuracy: "exact", model: "m" }),
    /SEARCH usage USING .*\(workspace_id=\? AND created_at>\?\)/,
  ],
  [
    "queryTraces() of a workspace that have a call of a model",
    (q) => q.queryTraces({ ...ALL_TRACES, ...narrowedTo("w", null, 5), model: "m" }),
    /SEARCH traces USING PRIMARY KEY \(workspace_id=\?.* SEARCH usage .* usage_by_trace \(trace_id=\? AND workspace_id=\?\)/,
  ],
  [
    "getCachedCalls()",
    (q) => q.answer(cachedCalls({ workspaceId: "w", traceId: "at-1", after: { createdAt: 5, id: "ar-1" } })),
    /SEARCH usage USING INDEX usage_by_trace \(trace_id=\? AND workspace_id=\? AND created_at>\?\)$/,
  ],
  [
    "queryCalls() in the order of time",
    (q) => q.answer(callsQuestion({ ...CALLS, order: { by: "time", isAscending: false }, after: ["5", "5", "ar-1"] })),
    /^SEARCH usage USING INDEX usage_by_trace \(trace_id=\? AND workspace_id=\? AND created_at<\?\)$/,
  ],
  [
    "queryCalls() in another order",
    (q) => q.answer(callsQuestion({ ...CALLS, order: { by: "cost", isAscending: false }, after: ["5", "5", "ar-1"] })),
    /^SEARCH usage USING INDEX usage_by_trace \(trace_id=\? AND workspace_id=\?\) USE TEMP B-TREE FOR ORDER BY$/,
  ],
  [
    "findTraces()",
    (q) => q.answer(tracesOfId("at-1", null)),
    /^SEARCH traces USING INDEX traces_by_id \(id=\?\)/,
  ],
  [
    "queryTraces() by the beginning of an id",
    (q) => q.listTraces({ ...ALL_TRACES, idPrefix: "at-12345" }),
    /SEARCH traces USING INDEX traces_by_id \(id>\? AND id<\?\)/,
  ],
  [
    "queryTraces() by one that may keep most traces",
    (q) => q.listTraces({ ...ALL_TRACES, idPrefix: "at-" }),
    /^SCAN traces USING INDEX traces_by_activity$/,
  ],
  [
    "listTraces() of a short span in the order of creation",
    (q) =>
      q.listTraces({
        ...{ ...ALL_TRACES, ...narrowedTo(null, null, 5), asOf: 9_999_999 },
        order: { by: "created", isAscending: true },
      }),
    /^SEARCH traces USING INDEX traces_by_activity \(updated_at>\?\) USE TEMP B-TREE FOR ORDER BY$/,
  ],
  [
    "queryRefusals() since a time",
    (q) => q.answer(refusals({ ...ALL, ...narrowedTo(null, null, 5) })),
    /SEARCH .* refusals_by_minute/,
  ],
];

for (const [name, ask, plan] of PLANS) {
  Deno.test(`${name} goes by an index that fits it`, () => {
    const dir = Deno.makeTempDirSync();
    migrateSqlite(`${dir}/llmproxy.db`);
    const db = new Listening(`${dir}/llmproxy.db`);
    db.exec(
      "INSERT INTO traces (workspace_id, id, sandbox_id, source, created_at, updated_at) VALUES ('w', 'at-1', 's', '', 1, 1)",
    );
    ask(new Queries(db));
    // A table of one row at most.
    const statements = db.prepared.filter((sql) => !sql.endsWith("FROM dropped"));
    assert.ok(statements.length > 0);
    for (const sql of statements) {
      const steps = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all().map((row) => String(row.detail));
      assert.match(steps.join(" "), plan, sql);
    }
    db.close();
    Deno.removeSync(dir, { recursive: true });
  });
}

const CALLS = { workspaceId: "w", traceId: "at-1", agentId: null, isTroubled: false, limit: 10 } as const;

/** Remembers what was prepared. */
class Listening extends DatabaseSync {
  readonly prepared: string[] = [];

  override prepare(sql: string): StatementSync {
    this.prepared.push(sql);
    return super.prepare(sql);
  }
}

function narrowedTo(workspaceId: string | null, sandboxId: string | null, since: number | null) {
  return { workspaceId, sandboxId, since, limit: 10 };
}
