import assert from "node:assert/strict";
import { BILLINGS } from "./anthropic.ts";
import { answerTraces, answerUsage } from "../src/http/admin_usage.ts";
import { cacheValueOf } from "../src/pricing/cache_value.ts";
import { CLAUDE_PRICES } from "../src/pricing/claude_prices.ts";
import { connectPostgres } from "../src/stores/postgres/store.ts";
import { T0 } from "./conformance/samples.ts";
import { POSTGRES_MONTH } from "./rollup_rows.ts";
import { assertExact, millionRows, ROWS } from "./million_rows.ts";
import { startPostgres } from "./postgres_server.ts";

// Those of the embedded database: journeys/large_query_test.ts.
Deno.test(`sums of ${ROWS} rows are exact in the JSON of PostgreSQL, by hours and by rows`, async () => {
  await using server = await startPostgres({ settings: { fsync: "off", synchronous_commit: "off", max_wal_size: "2GB" } });
  const { store, migrate } = connectPostgres(server.url);
  await migrate();
  await store.makeReady(T0);
  await server.psql("DROP INDEX usage_by_question");
  await server.psql(
    millionRows({ numbers: `generate_series(0, ${ROWS - 1}) AS numbers (n)`, isStreaming: "true", startOfMonth: POSTGRES_MONTH }),
  );
  const deps = { store, cacheValueOf: cacheValueOf(CLAUDE_PRICES, BILLINGS), now: () => T0 };
  await assertExact(async (path) => {
    const answer = path.startsWith("/internal/usage") ? answerUsage : answerTraces;
    const response = await answer(new Request(`http://localhost${path}`), deps);
    assert.equal(response.status, 200);
    return await response.text();
  });
  await store.close();
});
