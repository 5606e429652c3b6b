import assert from "node:assert/strict";
import { drained, type Replica, startReplicas } from "../chaos/replicas.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { assertExactRows, callAndRead, type SeenAnswer, textOf } from "../metered_calls.ts";
import { type PostgresDatabases, startPostgres } from "../postgres_server.ts";
import { startStandby } from "../postgres_standby.ts";
import { runCommandLine } from "../proxy_process.ts";
import { arrivedRows, sharedRows } from "../shared_rows.ts";

const DRAIN_MS = 20_000;

Deno.test("reship --since makes a ledger whole whose standby was promoted without the last rows, and counts each once however often it is run", async () => {
  await using primary = await startPostgres({ own: true });
  await using upstream = await startFakeUpstream();
  const dir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const file = `${dir}/url`;
  await Deno.writeTextFile(file, primary.url);
  await using replicas = await startReplicas({
    count: 2,
    upstreamUrl: upstream.url,
    databaseUrl: "",
    env: { LLMPROXY_DATABASE_URL_FILE: file },
  });
  const token = await replicas.all[0]!.proxy!.token();
  const answers: SeenAnswer[] = [];
  const call = async (count: number) => {
    for (let n = 0; n < count; n++) {
      for (const { proxy } of replicas.all) {
        const [text, traceId] = [textOf(answers.length), `at-${answers.length % 7}`];
        answers.push(await callAndRead(proxy!.url, { token, text, traceId, stream: n % 2 === 0 }));
      }
    }
  };

  await call(10);
  await arrivedRows(primary, { count: 20 });
  await using standby = await startStandby(primary);
  const url = standby.urlOf(primary.url);
  await standby.caughtUp();
  await standby.cutOff();
  await call(15);
  assertExactRows(await arrivedRows(primary, { count: 50 }), answers);
  await drained(replicas.all, DRAIN_MS);
  await primary.kill();
  await standby.promote();
  assert.equal((await sharedRows(primary, url)).length, 20, "the standby has rows that it was to lose");

  await Deno.writeTextFile(file, url);
  for (const { proxy } of replicas.all) proxy!.kill("SIGHUP");
  await call(5);
  assert.equal((await arrivedRows(primary, { count: 30, url })).length, 30);
  for (const round of [1, 2]) {
    for (const replica of replicas.all) assert.equal(await reshipped(replica), 30, `round ${round}`);
    const rows = await arrivedRows(primary, { count: 60, url });
    await drained(replicas.all, DRAIN_MS);
    assertExactRows(rows, answers);
    assert.deepEqual(await totalsAt(primary, url), await sumsAt(primary, url));
  }
  await Deno.remove(dir, { recursive: true });
});

/** Runs the command beside the replica; returns how many rows it says are shipped again. */
async function reshipped({ proxy }: Replica): Promise<number> {
  const { code, stdout, stderr } = await runCommandLine(["reship", "--since", "1h"], proxy!.env);
  assert.deepEqual([code, stderr], [0, ""]);
  const count = /^(\d+) rows since \S+ are being shipped again; rows that have arrived already count once\n$/.exec(stdout)?.[1];
  assert.ok(count, stdout);
  return Number(count);
}

/** By trace and by hour, calls and tokens. */
function totalsAt(postgres: PostgresDatabases, url: string) {
  return postgres.psql(
    `SELECT
       (SELECT json_agg(json_build_array(id, request_count, total_input_tokens, total_output_tokens) ORDER BY id) FROM traces) AS traces,
       (SELECT json_build_array(sum(request_count), sum(input_tokens), sum(output_tokens)) FROM usage_hours) AS hours`,
    url,
  );
}

/** The same by the rows. */
function sumsAt(postgres: PostgresDatabases, url: string) {
  return postgres.psql(
    `SELECT
       (SELECT json_agg(json_build_array(trace_id, calls, input, output) ORDER BY trace_id)
          FROM (SELECT trace_id, count(*) AS calls, sum(input_tokens) AS input, sum(output_tokens) AS output
                  FROM usage GROUP BY trace_id) AS sums) AS traces,
       (SELECT json_build_array(count(*), sum(input_tokens), sum(output_tokens)) FROM usage) AS hours`,
    url,
  );
}
