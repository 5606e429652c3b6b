import assert from "node:assert/strict";
import { assertAtMost } from "../best_attempt.ts";
import { eventStream, messageTo, type SeenCall } from "../fake_answers.ts";
import { messageEvents } from "../fake_messages.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { metricOf } from "../process_metrics.ts";
import { startProxyProcess } from "../proxy_process.ts";
import { messageCall, startProxy } from "../proxy_under_test.ts";
import { connected } from "../raw_client.ts";
import { waitFor } from "../wait.ts";

const CLIENTS = 10;
/** Less than half of what the clients of one round hold while they are stalled. */
const LEAK_BYTES = 2 << 20;

Deno.test("the proxy disconnects clients that read nothing for LLMPROXY_CLIENT_STALL_SECONDS, records them as client_left, and has its memory back", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  try {
    await using upstream = await startFakeUpstream();
    const env = { LLMPROXY_CLIENT_STALL_SECONDS: "1" };
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
    upstream.answer(endless);
    const request = requestOf(await proxy.token());
    let count = 0;
    const round = async (): Promise<number> => {
      const clients = await Promise.all(Array.from({ length: CLIENTS }, () => connected(proxy.url, { reads: false })));
      for (const { send } of clients) send(request);
      const rows = (await proxy.closedRows(count += CLIENTS)).slice(-CLIENTS);
      for (const { outcome, accuracy, status, duration_ms } of rows) {
        assert.deepEqual([outcome, accuracy, status], ["client_left", "estimated", 200]);
        assert.ok(Number(duration_ms) >= 1_000, `disconnected after ${duration_ms} ms`);
      }
      await waitFor(() => upstream.calls.every(({ closedAt }) => closedAt !== null), { what: "the upstream requests' ends" });
      await waitFor(async () => await metricOf(proxy, "llmproxy_calls_in_flight") === 0, { what: "all calls to be over" });
      assert.equal(await metricOf(proxy, "llmproxy_buffered_bytes"), 0);
      for (const client of clients) await assertCut(client);
      upstream.forget();
      return residentBytes(proxy.pid);
    };
    let before = await round();
    await assertAtMost(LEAK_BYTES, async () => {
      const from = before;
      before = await round();
      return before - from;
    });
  } finally {
    await Deno.remove(dataDir, { recursive: true });
  }
});

Deno.test("a client that reads nothing holds its upstream back, which is not taken for a silent one", async () => {
  await using proxy = await startProxy({ env: { LLMPROXY_CLIENT_STALL_SECONDS: "2", LLMPROXY_UPSTREAM_IDLE_SECONDS: "1" } });
  proxy.upstream.answer(endless);
  using client = await connected(proxy.url, { reads: false });
  client.send(requestOf(await proxy.token()));
  const [row] = await proxy.closedRows(1);
  assert.equal(row!.outcome, "client_left");
  await assertCut(client);
});

/** Events without end, as fast as they are taken. */
function endless(call: SeenCall) {
  const [start, block, ping, delta] = messageEvents({ ...messageTo(call), deltas: 1 });
  const deltas = delta!.repeat(2_000);
  function* events(): Generator<string> {
    yield [start, block, ping, delta].join("");
    while (call.closedAt === null) yield deltas;
  }
  return eventStream(events());
}

function requestOf(token: string): string {
  const { headers, body } = messageCall(token, { stream: true });
  const lines = Object.entries(headers as Record<string, string>).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return `POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: ${String(body).length}\r\n${lines}\r\n${body}`;
}

/** The connection is closed, and the answer has no end. It shows when the client reads. */
async function assertCut(client: Awaited<ReturnType<typeof connected>>): Promise<void> {
  client.socket.resume();
  await client.ended;
  assert.match(client.text(), /^HTTP\/1\.1 200 /);
  assert.ok(!client.text().endsWith("\r\n0\r\n\r\n"));
  client[Symbol.dispose]();
}

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))![1]) << 10;
}
