import assert from "node:assert/strict";
import { startFakeUpstream } from "../fake_upstream.ts";
import { startProxyProcess } from "../proxy_process.ts";
import { gate, waitFor } from "../wait.ts";

/**
 * More than a pipe and the buffers of its reader take, but less than the proxy holds for a reader.
 */
const CALLS = 250;
const MODEL = `claude-opus-5-5-${"x".repeat(1_500)}`;

Deno.test("While no program reads the log, calls and the admin API are answered; a reader that comes back misses no line", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  await using upstream = await startFakeUpstream();
  {
    const reading = gate();
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, logReadAgain: reading.passed });
    try {
      await makeCalls(proxy.url, await proxy.token());
      assert.equal((await fetch(`${proxy.url}/healthz`, { signal: AbortSignal.timeout(5_000) })).status, 200);
      assert.match(await metricsOf(proxy.adminUrl, proxy.env), /^llmproxy_log_lines_dropped_total 0$/m);
      assert.ok(linesOfCalls(proxy.logs()) < CALLS, "the log was stuck");
    } finally {
      reading.open();
    }
    await waitFor(() => linesOfCalls(proxy.logs()) === CALLS, { what: "the lines of all calls" });
  }
  await Deno.remove(dataDir, { recursive: true });
});

Deno.test("SIGTERM ends the proxy with 0 within seconds while no program reads the log", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  await using upstream = await startFakeUpstream();
  {
    const reading = gate();
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, logReadAgain: reading.passed });
    try {
      await makeCalls(proxy.url, await proxy.token());
      proxy.kill("SIGTERM");
      await waitFor(() => !isAlive(proxy.pid), { what: "the end of the process" });
    } finally {
      reading.open();
    }
    const status = await proxy.exited();
    assert.deepEqual([status.code, status.signal], [0, null]);
    assert.equal(proxy.rows().length, CALLS, "every call is on record, even if no program reads the log");
  }
  await Deno.remove(dataDir, { recursive: true });
});

async function makeCalls(url: string, token: string): Promise<void> {
  const body = JSON.stringify({ model: MODEL, max_tokens: 9, messages: [{ role: "user", content: "Hello" }] });
  let left = CALLS;
  await Promise.all(Array.from({ length: 10 }, async () => {
    while (left-- > 0) {
      const signal = AbortSignal.timeout(10_000);
      const answer = await fetch(`${url}/v1/messages`, { method: "POST", headers: { "x-api-key": token }, body, signal });
      await answer.body?.cancel();
      assert.equal(answer.status, 200);
    }
  }));
}

async function metricsOf(adminUrl: string, env: Readonly<Record<string, string>>): Promise<string> {
  const headers = { authorization: `Bearer ${env.LLMPROXY_ADMIN_TOKEN}` };
  const answer = await fetch(`${adminUrl}/metrics`, { headers, signal: AbortSignal.timeout(5_000) });
  return await answer.text();
}

function linesOfCalls(logs: readonly Readonly<Record<string, unknown>>[]): number {
  return logs.filter((record) => record.msg === "call ended").length;
}

/** A process that has ended is a zombie until its parent asks for its status. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
}
