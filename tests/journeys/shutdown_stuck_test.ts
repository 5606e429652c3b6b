import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { eventStream, heldBefore, messageTo, type SeenCall } from "../fake_answers.ts";
import { messageEvents } from "../fake_messages.ts";
import { type FakeUpstream, startFakeUpstream } from "../fake_upstream.ts";
import { type ProxyProcess, startProxyProcess } from "../proxy_process.ts";
import { readRows } from "../proxy_under_test.ts";
import { gate, waitFor } from "../wait.ts";

const PIECE_BYTES = 64 * 1024;

/**
 * Each is still stuck when the drain is over, on a connection that nothing but the process's end
 * closes.
 */
const STUCK: readonly {
  readonly how: string;
  readonly begin: (proxy: ProxyProcess, upstream: FakeUpstream) => Promise<Socket>;
  /** Outcome, accuracy and status of each row that is left. */
  readonly rows: readonly (readonly unknown[])[];
}[] = [
  {
    how: "a client reads its stream no further",
    begin: async (proxy, upstream) => {
      upstream.answer((call) => eventStream(endless(call)));
      const socket = await callOn(proxy);
      await new Promise((resolve) => socket.once("data", resolve));
      return socket.pause();
    },
    rows: [["proxy_cut", "estimated", 200]],
  },
  {
    how: "an upstream holds its end back after message_stop",
    begin: async (proxy, upstream) => {
      upstream.answer((call) =>
        eventStream(heldBefore(messageEvents(messageTo(call)), { number: Infinity, until: gate().passed }))
      );
      const socket = (await callOn(proxy)).resume();
      await waitFor(() => proxy.rows()[0]?.outcome === "completed", { what: "the row" });
      return socket;
    },
    rows: [["completed", "exact", 200]],
  },
  {
    how: "an operator does not send the body of a request",
    begin: async (proxy) => {
      const headers = `host: localhost\r\nauthorization: Bearer ${proxy.env.LLMPROXY_ADMIN_TOKEN}\r\ncontent-length: 9`;
      const socket = sent(proxy.adminUrl, `POST /internal/tokens HTTP/1.1\r\n${headers}\r\nexpect: 100-continue\r\n\r\n`);
      // The 100 says that the request is being read.
      await new Promise((resolve) => socket.once("data", resolve));
      return socket;
    },
    rows: [],
  },
];

for (const { how, begin, rows } of STUCK) {
  Deno.test(`SIGTERM ends the proxy with 0, and all is recorded, where ${how}`, async () => {
    const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
    await using upstream = await startFakeUpstream();
    {
      await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env: { LLMPROXY_DRAIN_SECONDS: "1" } });
      const socket = await begin(proxy, upstream);
      proxy.kill("SIGTERM");
      assert.equal((await proxy.exited()).code, 0);
      assert.deepEqual(readRows(dataDir).map((row) => [row.outcome, row.accuracy, row.status]), rows);
      socket.destroy();
    }
    await Deno.remove(dataDir, { recursive: true });
  });
}

/** A stream that goes on for as long as a client takes it. */
function* endless(call: SeenCall): Generator<string> {
  yield messageEvents(messageTo(call))[0]!;
  const ping = `event: ping\ndata: {"type":"ping","padding":"${" ".repeat(PIECE_BYTES)}"}\n\n`;
  while (!call.gone.aborted) yield ping;
}

async function callOn(proxy: ProxyProcess): Promise<Socket> {
  const body = JSON.stringify({ model: "claude-haiku-4-5", max_tokens: 64, stream: true, messages: [] });
  const headers = `host: proxy\r\nx-api-key: ${await proxy.token()}\r\ncontent-length: ${body.length}`;
  return sent(proxy.url, `POST /v1/messages HTTP/1.1\r\n${headers}\r\n\r\n${body}`);
}

function sent(url: string, request: string): Socket {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  // The proxy's end may come as a reset.
  socket.on("error", () => {});
  socket.write(request);
  return socket;
}
