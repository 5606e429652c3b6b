import assert from "node:assert/strict";
import { startFakeUpstream } from "../fake_upstream.ts";
import { CALL_USD, limitedCall, quota, tenCentAnswer, tenCentEnv } from "../limited_calls.ts";
import { startPostgres } from "../postgres_server.ts";
import { type ProxyProcess, startProxyProcess } from "../proxy_process.ts";
import { metricOf } from "../process_metrics.ts";
import { type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { waitFor } from "../wait.ts";

/** A proxy, or several with one store, and where to call and administrate. */
interface Fleet extends AsyncDisposable {
  readonly urls: readonly string[];
  readonly adminUrl: string;
  readonly adminToken: string;
  readonly token: (workspaceId: string, sandboxId?: string) => Promise<string>;
  readonly callsUpstream: () => number;
  /** Resolves when all of it know so many limits. */
  readonly know: (limits: number) => Promise<void>;
}

const CALLS = 1_000;

for (
  const [name, open] of Object.entries({
    "one process on SQLite": oneProcess,
    "four workers": fourWorkers,
    "three replicas": threeReplicas,
  })
) {
  Deno.test(`${name}: of ${CALLS} calls at once, limits of cost, requests and tokens admit exactly as many as they have room for`, async () => {
    await using fleet = await open();
    let limits = 0;
    for (
      const [workspace, limit] of Object.entries({
        "by-cost": { max_cost_per_day_usd: "5" },
        "by-month": { max_cost_per_month_usd: "5.00" },
        "by-rpd": { max_rpd: 50 },
        // A call holds 1,000 tokens of output, and a token for each byte and what the API adds.
        "by-tokens": { max_tokens_per_day: 50 * 3_000 },
      })
    ) {
      const before = fleet.callsUpstream();
      const token = await fleet.token(workspace);
      await quota(fleet, `/${workspace}`, limit);
      await fleet.know(++limits);
      const share = workspace === "by-cost" ? CALLS : 200;
      const answers = await Promise.all(
        Array.from({ length: share }, (_, n) => limitedCall(fleet.urls[n % fleet.urls.length]!, token)),
      );
      const admitted = answers.filter(({ status }) => status === 200).length;
      assert.equal(fleet.callsUpstream() - before, admitted);
      assert.ok(answers.every(({ status }) => status === 200 || status === 429));
      if (workspace === "by-tokens") assert.ok(admitted >= 50 && admitted * 1_005 <= 150_000, `${admitted} calls`);
      else assert.equal(admitted, 50, workspace);
      const used = { "by-rpd": 50, "by-tokens": admitted * 1_005 }[workspace] ?? 50 * CALL_USD;
      // Until the last row is there, its call holds what it may have used.
      await waitFor(async () => Number((await quota(fleet, `/${workspace}`)).limits[0].used) === used, {
        what: `${workspace} to have used ${used}`,
      });
    }
  });
}

async function oneProcess(): Promise<Fleet> {
  const proxy = await startProxy({ env: await tenCentEnv() });
  proxy.upstream.answer((call) => tenCentAnswer(call));
  return {
    ...proxy,
    urls: [proxy.url],
    callsUpstream: () => proxy.upstream.calls.length,
    know: (limits) => knownBy([proxy], limits),
  };
}

async function fourWorkers(): Promise<Fleet> {
  const upstream = await startFakeUpstream();
  upstream.answer((call) => tenCentAnswer(call));
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const env = { ...await tenCentEnv(), LLMPROXY_WORKERS: "4" };
  const proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
  return {
    urls: [proxy.url],
    adminUrl: proxy.adminUrl,
    adminToken: proxy.env.LLMPROXY_ADMIN_TOKEN!,
    token: proxy.token,
    callsUpstream: () => upstream.calls.length,
    know: (limits) => knownBy([proxy], limits),
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
      await Deno.remove(dataDir, { recursive: true });
    },
  };
}

async function threeReplicas(): Promise<Fleet> {
  const postgres = await startPostgres({ own: true });
  const env = { ...await tenCentEnv(), LLMPROXY_DATABASE_URL: await postgres.newDatabase() };
  const replicas: ProxyUnderTest[] = [];
  for (let n = 0; n < 3; n++) replicas.push(await startProxy({ env }));
  for (const { upstream } of replicas) upstream.answer((call) => tenCentAnswer(call));
  const [first] = replicas;
  return {
    ...first!,
    urls: replicas.map(({ url }) => url),
    know: (limits) => knownBy(replicas, limits),
    callsUpstream: () => replicas.reduce((sum, { upstream }) => sum + upstream.calls.length, 0),
    async [Symbol.asyncDispose]() {
      for (const replica of replicas) await replica[Symbol.asyncDispose]();
      await postgres[Symbol.asyncDispose]();
    },
  };
}

/** As docs/limits.md says. */
const TOLD_MS = 5_000;

async function knownBy(proxies: readonly (ProxyUnderTest | ProxyProcess)[], limits: number): Promise<void> {
  for (const proxy of proxies) {
    await waitFor(async () => await metricOf(proxy, "llmproxy_limits") === limits, { what: "all to know", deadlineMs: TOLD_MS });
  }
}
