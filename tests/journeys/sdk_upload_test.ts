import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { startFakeUpstream } from "../fake_upstream.ts";
import { startProxy } from "../proxy_under_test.ts";
import { clientOf, SDKS } from "../sdk_clients.ts";

const MB = 1024 * 1024;
const FILE_BYTES = 60 * MB;

Deno.test("the proxy passes the SDKs' upload of a 60 MB file byte for byte, and without a row", async (t) => {
  await using upstream = await startFakeUpstream({ keepBodyBytes: FILE_BYTES + MB });
  await using proxy = await startProxy({ env: { ANTHROPIC_BASE_URL: upstream.url } });
  const token = await proxy.token();
  const bytes = bytesOf(FILE_BYTES);
  for (const { name, Sdk } of SDKS) {
    await t.step(name, async () => {
      upstream.forget();
      const { client } = clientOf(Sdk, { url: proxy.url, token });
      const made = await client.files.upload({ file: new File([bytes], "large.bin") });
      const [call] = upstream.calls;
      assert.equal(made.size_bytes, call!.bodyBytes);
      assert.ok(includesAt(call!.body, bytes), "the upstream has another file than the client");
      assert.deepEqual(proxy.rows(), []);
    });
  }
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
