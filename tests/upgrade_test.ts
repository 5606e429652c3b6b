/**
 * Databases that commit e945b04 wrote, under the present program. `tests/fixtures/upgrade` holds
 * its dumps and what its admin API answered about them: calls of several traces and agents with
 * every outcome, retries, a batch, refusals, a file and tokens.
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { startPostgres } from "./postgres_server.ts";
import { messageCall, type ProxyUnderTest, startProxy } from "./proxy_under_test.ts";
import { waitFor } from "./wait.ts";

type Answers = Readonly<Record<string, unknown>>;

Deno.test("a data directory of commit e945b04 answers the same after its upgrade, and records on", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const db = new DatabaseSync(`${dataDir}/llmproxy.db`);
  db.exec(fixture("sqlite.sql"));
  db.close();
  await assertUpgraded("sqlite", { LLMPROXY_DATA_DIR: dataDir }, dataDir);
});

Deno.test("a shared database of commit e945b04 answers the same after its upgrade, and records on", async () => {
  await using server = await startPostgres();
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  // Lines of psql itself, and settings that an older server does not know.
  const lines = fixture("postgres.sql").split("\n").filter((line) => !/^(\\|SET )/.test(line));
  await server.psql(lines.join("\n"));
  await assertUpgraded("postgres", { LLMPROXY_DATABASE_URL: server.url }, dataDir);
});

async function assertUpgraded(kind: string, env: Readonly<Record<string, string>>, dataDir: string): Promise<void> {
  const answers: Answers = JSON.parse(fixture(`${kind}_answers.json`));
  {
    await using proxy = await startProxy({ env, dataDir });
    await assertSame(proxy, answers);
    await assertFilledIn(proxy);
    const token = await proxy.token("w-new", "s-new");
    const answer = await fetch(`${proxy.url}/v1/messages`, messageCall(token, { headers: { "x-trace-id": "trace-new" } }));
    assert.equal(answer.status, 200);
    await answer.text();
    await waitFor(async () => {
      const { usage } = await proxy.ask("/internal/usage?workspace_id=w-new") as { usage: { requestCount: number }[] };
      return usage[0]?.requestCount === 1;
    }, { what: "the new call to be counted" });
  }
  await Deno.remove(dataDir, { recursive: true });
}

async function assertSame(proxy: ProxyUnderTest, answers: Answers): Promise<void> {
  const { "csv header": header, ...paths } = answers;
  for (const [path, before] of Object.entries(paths)) {
    const text = await proxy.text(path);
    const json = path.includes("ndjson") ? `[${text.trimEnd().replaceAll("\n", ",")}]` : text;
    assert.deepEqual(JSON.parse(json, comparable), JSON.parse(JSON.stringify(before), asNow), path);
  }
  const [first] = (await proxy.text("/internal/export?format=csv")).split("\r\n");
  assert.equal(
    first,
    `${String(header).replace(",ending,trust,", ",outcome,accuracy,")},refusalCategory,unpricedUses,upstream,tokenParts`,
  );
}

/** The totals that came since are made from the rows. */
async function assertFilledIn(proxy: ProxyUnderTest): Promise<void> {
  const rows = (await proxy.text("/internal/export?format=ndjson")).trimEnd().split("\n").map((line) => JSON.parse(line));
  const failed = ["upstream_error", "upstream_broke", "proxy_cut", "unknown"];
  const expected = {
    failedCount: rows.filter(({ outcome }) => failed.includes(outcome)).length,
    timedCount: rows.filter(({ ttft }) => ttft > 0).length,
    ttftSumMs: rows.reduce((sum, { ttft }) => sum + ttft, 0),
  };
  assert.ok(expected.failedCount > 0 && expected.timedCount > 0);
  for (const path of ["/internal/usage", "/internal/usage?group_by=hour,model", "/internal/usage?group_by=trace"]) {
    const { totals: { failedCount, timedCount, ttftSumMs } } = JSON.parse(await proxy.text(path));
    assert.deepEqual({ failedCount, timedCount, ttftSumMs }, expected, path);
  }
  const { traces } = JSON.parse(await proxy.text("/internal/traces?limit=100"));
  for (const name of ["failedCount", "timedCount", "ttftSumMs"] as const) {
    const sum = traces.reduce((sum: number, trace: Record<string, number>) => sum + trace[name]!, 0);
    assert.equal(sum, expected[name], name);
  }
}

const CAME_SINCE = ["failedCount", "timedCount", "ttftSumMs", "totalCacheCreationInputTokens", "totalCacheReadInputTokens"];

/** Without what that commit did not have or does not say again. */
function comparable(key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("failedCount" in value)) return withoutPrices(key, value);
  return Object.fromEntries(Object.entries(value).filter(([name]) => !CAME_SINCE.includes(name)));
}

/** Under the names of today. A total that came since is zero for all rows of that commit. */
function asNow(_: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const { ending, trust, ...rest } = withoutPrices("", value) as Readonly<Record<string, unknown>>;
  if (ending !== undefined) return { ...rest, outcome: ending, accuracy: trust };
  return rest.requestCount === undefined ? rest : { ...rest, partlyPricedCount: 0 };
}

/** What the cache was worth is worked out when it is asked, from today's prices. */
function withoutPrices(_: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("savedUsd" in value)) return value;
  const { readTokens, writeTokens, missedTokens } = value as Readonly<Record<string, unknown>>;
  return { readTokens, writeTokens, missedTokens };
}

function fixture(name: string): string {
  return Deno.readTextFileSync(new URL(`fixtures/upgrade/${name}`, import.meta.url));
}
