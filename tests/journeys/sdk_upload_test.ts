import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { startFakeUpstream } from "../fake_upstream.ts";
import { startProxyProcess } from "../proxy_process.ts";
import { clientOf, SDKS } from "../sdk_clients.ts";

const MB = 1024 * 1024;
const FILE_BYTES = 60 * MB;
/** What a proxy that buffers nothing may grow by while a file passes: its windows, and garbage not yet collected. */
const MOST_GROWTH_BYTES = FILE_BYTES / 2;

Deno.test("the proxy passes the SDKs' upload of a 60 MB file byte for byte, without holding it and without a row", async (t) => {
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  await using upstream = await startFakeUpstream({ keepBodyBytes: FILE_BYTES + MB });
  await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env: { LLMPROXY_ALLOW_PATHS: "/v1/files" } });
  const token = await proxy.token();
  const bytes = bytesOf(FILE_BYTES);
  for (const { name, Sdk } of SDKS) {
    await t.step(name, async () => {
      const { client } = clientOf(Sdk, { url: proxy.url, token });
      // The first call of its kind loads what every later one has.
      await client.files.upload({ file: new File([bytes.subarray(0, 20 * MB)], "warm_up.bin") });
      upstream.forget();
      const before = peakBytes(proxy.pid);
      const made = await client.files.upload({ file: new File([bytes], "large.bin") });
      const grown = peakBytes(proxy.pid) - before;
      const [call] = upstream.calls;
      assert.equal(made.size_bytes, call!.bodyBytes);
      assert.ok(includesAt(call!.body, bytes), "the upstream has another file than the client");
      console.log("GROWN", grown / MB);
      assert.ok(grown < MOST_GROWTH_BYTES, `the proxy grew by ${Math.round(grown / MB)} MB`);
      assert.deepEqual(proxy.rows(), []);
    });
  }
  await Deno.remove(dataDir, { recursive: true });
});

/** Every byte value, in no order that a shifted copy would have too. */
function bytesOf(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  const words = new Uint32Array(bytes.buffer);
  let state = 1;
  for (let n = 0; n < words.length; n++) {
    state = Math.imul(state, 1664525) + 1013904223;
    words[n] = state;
  }
  return bytes;
}

/** The multipart body is a short head, the file, and a short end. */
function includesAt(body: Uint8Array, file: Uint8Array): boolean {
  const head = new TextDecoder("latin1").decode(body.subarray(0, 2048)).indexOf("\r\n\r\n") + 4;
  return Buffer.compare(body.subarray(head, head + file.length), file) === 0;
}

/** The most memory that the process has had so far; 0 where the system does not tell, which only Linux does. */
function peakBytes(pid: number): number {
  if (Deno.build.os !== "linux") return 0;
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)![1]) * 1024;
}
