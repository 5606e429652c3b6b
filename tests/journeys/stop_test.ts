import assert from "node:assert/strict";
import { startFakeUpstream } from "../fake_upstream.ts";
import { startProxyProcess } from "../proxy_process.ts";
import { messageCall } from "../proxy_under_test.ts";

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`the proxy ends with exit code 0 at ${signal}, also after answers that were streamed`, async () => {
    const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
    await using upstream = await startFakeUpstream();
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir });
    const token = await proxy.token();
    for (const stream of [true, false, true]) {
      const answer = await fetch(`${proxy.url}/v1/messages`, messageCall(token, { stream }));
      await answer.text();
      assert.equal(answer.status, 200);
    }
    const rows = await proxy.closedRows(3);
    proxy.kill(signal);
    const { code } = await proxy.exited();
    assert.equal(code, 0, proxy.output());
    assert.deepEqual(rows.map((row) => row.outcome), ["completed", "completed", "completed"]);
    await Deno.remove(dataDir, { recursive: true });
  });
}
