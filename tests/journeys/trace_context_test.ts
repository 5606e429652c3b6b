import assert from "node:assert/strict";
import { startOtlpReceiver } from "../otlp_receiver.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { startProxyProcess } from "../proxy_process.ts";
import { messageCall } from "../proxy_under_test.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const SENT = { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: "vendor=1", baggage: "team=blue" };
const NAMES = ["traceparent", "tracestate", "baggage"] as const;
const PATHS = ["/v1/messages", "/v1/messages/count_tokens", "/v1/messages/batches"];

/** No collector listens where the spans go. */
const TRACING = { OTEL_DENO: "true", OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" };
const SETTINGS: readonly (readonly [what: string, env: Readonly<Record<string, string>>, replaces: boolean])[] = [
  ["the client's, while the runtime traces nothing", {}, false],
  ["the runtime's, with OTEL_DENO=true", TRACING, true],
  ["the client's, with OTEL_DENO=true and OTEL_PROPAGATORS=none", { ...TRACING, OTEL_PROPAGATORS: "none" }, false],
];

for (const [what, env, replaces] of SETTINGS) {
  Deno.test(`the proxy sends one trace context upstream: ${what}`, async () => {
    await using upstream = await startFakeUpstream();
    const dataDir = await Deno.makeTempDir();
    {
      await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
      const token = await proxy.token();
      for (const [number, path] of PATHS.entries()) {
        await (await fetch(proxy.url + path, messageCall(token, { headers: SENT }))).text();
        const { rawHeaders } = await upstream.waitForCalls(number + 1);
        const came = NAMES.map((name) => rawHeaders.filter(([other]) => other.toLowerCase() === name).map(([, value]) => value));
        assert.deepEqual([came[1], came[2]], [[SENT.tracestate], [SENT.baggage]], path);
        assert.equal(came[0]!.length, 1, path);
        // The trace is the client's in any case; the parent is the proxy's own span if the runtime
        // makes one.
        const [parent] = came[0]!;
        if (replaces) assert.match(parent!, new RegExp(`^00-${TRACE}-(?!${SPAN})[0-9a-f]{16}-01$`), path);
        else assert.equal(parent, SENT.traceparent, path);
      }
    }
    await Deno.remove(dataDir, { recursive: true });
  });
}

Deno.test("with OTEL_DENO=true the runtime's span of the request upstream is a child of the call's own span", async () => {
  await using upstream = await startFakeUpstream();
  await using receiver = startOtlpReceiver();
  const dataDir = await Deno.makeTempDir();
  {
    const env = { OTEL_DENO: "true", OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url };
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
    await (await fetch(`${proxy.url}/v1/messages`, messageCall(await proxy.token(), { headers: SENT }))).text();
    const { rawHeaders } = await upstream.waitForCalls(1);
    const parents = rawHeaders.filter(([name]) => name.toLowerCase() === "traceparent").map(([, value]) => value);
    assert.equal(parents.length, 1);
    proxy.kill("SIGTERM");
    await proxy.exited();
    const call = receiver.spans().find(({ name }) => name.startsWith("chat "));
    const request = receiver.spans().find(({ spanId }) => parents[0]!.includes(spanId));
    assert.deepEqual([call?.parentSpanId, request?.parentSpanId], [SPAN, call?.spanId]);
  }
  await Deno.remove(dataDir, { recursive: true });
});
