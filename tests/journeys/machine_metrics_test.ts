import assert from "node:assert/strict";
import { statfsSync } from "node:fs";
import { defaultAnswer } from "../fake_answers.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { metricOf } from "../process_metrics.ts";
import { type ProxyProcess, startProxyProcess } from "../proxy_process.ts";
import { messageCall } from "../proxy_under_test.ts";
import { waitFor } from "../wait.ts";

const GIB = 1_073_741_824;

for (const workers of ["1", "2"]) {
  Deno.test(`/metrics tells how the machine is, with LLMPROXY_WORKERS=${workers}: readiness, clock, disk, spool, connections and the upstream's room`, async () => {
    await using upstream = await startFakeUpstream();
    const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
    upstream.answer((call) => {
      const left = { "anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "20" };
      const answer = defaultAnswer(call);
      return { ...answer, headers: { ...answer.headers, ...left } };
    });
    await using proxy = await startProxyProcess({
      ...{ upstreamUrl: upstream.url, dataDir },
      env: { LLMPROXY_WORKERS: workers, LLMPROXY_MAX_CONNECTIONS: "40", LLMPROXY_DRAIN_LEAD_SECONDS: "20" },
    });
    const of = (name: string) => metricOf(proxy, `llmproxy_${name}`);
    await waitFor(async () => await of("connections_max") === 40, { what: "each process to tell its bound" });
    assert.deepEqual([await of("ready"), await of("degraded")], [1, 0]);
    assert.ok(Math.abs(await of("clock_seconds") - Date.now() / 1_000) < 30);
    const { bavail, bsize } = statfsSync(dataDir);
    assert.ok(Math.abs(await of("disk_free_bytes") - bavail * bsize) < GIB);
    const fill = await of("spool_fill");
    assert.ok(fill > 0 && fill < 0.5, String(fill));

    const sockets = await Promise.all(Array.from({ length: 7 }, () => connectionTo(proxy)));
    await waitFor(async () => await of("connections") >= 7, { what: "the connections to be counted" });
    for (const socket of sockets) socket.close();
    const answer = await fetch(`${proxy.url}/v1/messages`, messageCall(await proxy.token()));
    assert.equal(answer.status, 200);
    await answer.body?.cancel();
    const room = async () =>
      (await proxy.text("/metrics")).match(/^llmproxy_upstream_room\{credential="api-key-\w+",limit="requests"\} (.+)$/m)?.[1] ??
        null;
    assert.equal(await waitFor(room, { what: "the room of the upstream's limit" }), "0.4");

    proxy.kill("SIGTERM");
    await waitFor(async () => await of("ready") === 0, { what: "the drain to begin" });
    assert.equal(await of("degraded"), 0);
  });
}

async function connectionTo({ url }: ProxyProcess): Promise<Deno.Conn> {
  const { hostname, port } = new URL(url);
  return await Deno.connect({ hostname, port: Number(port) });
}
