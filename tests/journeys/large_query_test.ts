import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { assertAtMost } from "../best_attempt.ts";
import { streamed } from "../fake_answers.ts";
import { T0 } from "../conformance/samples.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { callAndRead, textOf } from "../metered_calls.ts";
import { SQLITE_MONTH } from "../rollup_rows.ts";
import { assertExact, millionRows, ROWS } from "../million_rows.ts";
import { stallsOf } from "../process_metrics.ts";
import { type ProxyProcess, runCommandLine, startProxyProcess } from "../proxy_process.ts";
import { settingsOf } from "../proxy_under_test.ts";

/** Within an hour, behind its first row: no roll-up answers for a part of one. */
const SINCE = new Date(T0 + 1).toISOString();
/** Streams at once that pass, round after round, while the query runs. */
const STREAMS = 5;
/** Far longer than an event loop may stall: else there would be nothing to see. */
const QUERY_TAKES_MS = 150;

Deno.test(`sums of ${ROWS} rows are exact, and while they are queried streams pass and the event loop's delay is under 50 ms`, async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  await using upstream = await startFakeUpstream();
  upstream.answer(streamed({ paceMs: 10 }));
  await fill(dataDir, settingsOf(upstream.url, dataDir));
  {
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir });
    await assertExact(proxy.text);
    await assertAtMost(0, () => stallsWhileAsked(proxy));
  }
  await Deno.remove(dataDir, { recursive: true });
});

/**
 * How often the event loop was late by more than 50 ms while the query ran and streams of unknown
 * tokens passed.
 */
async function stallsWhileAsked(proxy: ProxyProcess): Promise<number> {
  const before = await stallsOf(proxy);
  const startedAt = performance.now();
  let answeredAt = Infinity;
  const asked = proxy.ask(`/internal/usage?since=${SINCE}`).finally(() => answeredAt = performance.now());
  let rounds = 0;
  while (answeredAt === Infinity) {
    const token = await proxy.token();
    const streams = Array.from({ length: STREAMS }, (_, n) => callAndRead(proxy.url, { token, text: textOf(n) }));
    for (const { status, isWhole, error } of await Promise.all(streams)) {
      assert.deepEqual([status, isWhole, error], [200, true, null]);
    }
    if (answeredAt === Infinity) rounds++;
  }
  const { usage } = await asked as { readonly usage: readonly UsageOfModel[] };
  const tookMs = answeredAt - startedAt;
  assert.ok(tookMs > QUERY_TAKES_MS, `the query took ${tookMs} ms only`);
  // The first round may have come before the query, none behind it may wait for it.
  assert.ok(rounds >= 2, `${rounds} rounds of streams passed in the ${tookMs} ms of the query`);
  const stalls = await stallsOf(proxy) - before;

  const queried = usage.find(({ model }) => model === "m");
  assert.deepEqual([queried?.requestCount, queried?.inputTokens], [ROWS - 1, ROWS * (ROWS - 1) / 2]);
  return stalls;
}

interface UsageOfModel {
  readonly model: string;
  readonly inputTokens: number;
  readonly requestCount: number;
}

async function fill(dataDir: string, env: Readonly<Record<string, string>>): Promise<void> {
  const migrated = await runCommandLine(["migrate"], env);
  assert.equal(migrated.code, 0, migrated.stderr);
  const numbers = `(
    WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${ROWS - 1}) SELECT n FROM numbers
  )`;
  const database = new DatabaseSync(`${dataDir}/llmproxy.db`);
  database.exec(`
    PRAGMA journal_mode = MEMORY;
    PRAGMA synchronous = OFF;
    PRAGMA cache_size = -400000;
    ${millionRows({ numbers, isStreaming: "1", startOfMonth: SQLITE_MONTH })};
  `);
  database.close();
}
