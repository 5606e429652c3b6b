import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { startFakeUpstream } from "../fake_upstream.ts";
import { startProxy } from "../proxy_under_test.ts";
import { rawCall } from "../raw_http.ts";
import { gate, waitFor } from "../wait.ts";

const MB = 1024 * 1024;
const FILE_BYTES = 60 * MB;
const CHUNK = crypto.getRandomValues(new Uint8Array(64 * 1024));
/** What the kernel's socket buffers on both sides of the proxy may hold, with room to spare. */
const MOST_UNDER_WAY_BYTES = FILE_BYTES / 2;
/** A client that could push nothing for so long is held up. */
const HELD_UP_MS = 500;
const DEADLINE_MS = 30_000;

Deno.test("the proxy takes no more of a 60 MB upload than its upstream takes, and passes on every byte once it does", async () => {
  const willing = gate();
  await using upstream = await startFakeUpstream({ readsFrom: willing.passed });
  await using proxy = await startProxy({ env: { ANTHROPIC_BASE_URL: upstream.url } });
  const pushed = { bytes: 0, at: performance.now(), hash: createHash("sha256") };
  function* upload(token: string) {
    yield `POST /v1/files HTTP/1.1\r\nhost: proxy\r\nx-api-key: ${token}\r\ncontent-length: ${FILE_BYTES}\r\n\r\n`;
    while (pushed.bytes < FILE_BYTES) {
      yield CHUNK;
      pushed.hash.update(CHUNK);
      pushed.bytes += CHUNK.length;
      pushed.at = performance.now();
    }
  }
  const answered = rawCall(proxy.url, upload(await proxy.token()), { deadlineMs: DEADLINE_MS });
  await waitFor(() => upstream.calls.length === 1, { what: "the call at the upstream" });
  await waitFor(() => pushed.bytes === FILE_BYTES || performance.now() - pushed.at > HELD_UP_MS, {
    what: "the client to be held up",
    deadlineMs: DEADLINE_MS,
  });
  const underWay = pushed.bytes;
  assert.ok(underWay < MOST_UNDER_WAY_BYTES, `${underWay / MB} MB were taken while the upstream took none`);

  willing.open();
  const [answer] = await answered;
  const call = await upstream.waitForCalls(1);
  assert.equal(answer!.status, 200);
  assert.deepEqual([call.bodyBytes, call.bodySha256], [FILE_BYTES, pushed.hash.digest("hex")]);
  assert.deepEqual(proxy.rows(), []);
});
