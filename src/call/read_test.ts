import assert from "node:assert/strict";
import { FakeClient } from "../../tests/fake_client.ts";
import { brotliCompressSync } from "node:zlib";
import { assertFrees } from "../../tests/best_attempt.ts";
import { anthropic, messages } from "../../tests/anthropic.ts";
import { oneUpstream } from "../../tests/fake_upstreams.ts";
import { ByteBudget } from "../wire/budget.ts";
import { read } from "./read.ts";
import type { Deps, IncomingBilled } from "./deps.ts";

const MB = 1024 * 1024;
/** What brotli takes for one decoder is megabytes. */
const BODIES = 200;

Deno.test("read() frees the decoder of a body that breaks off, so that such bodies cannot fill the memory", async () => {
  const budget = new ByteBudget({ totalBytes: MB, perHolderBytes: MB });
  const deps = { upstreams: oneUpstream(), budget, bodyDeadlineMs: 60_000, elapsed: () => 0 } as unknown as Deps;
  await assertFrees(100 * MB, async () => {
    for (let n = 0; n < BODIES; n++) await assert.rejects(read(brokenOff(), { sandbox, token: "t" }, deps));
  });
  assert.equal(budget.heldBytes, 0);
});

const sandbox = { sandboxId: "s1", workspaceId: "w1", tokenId: null };
const BROTLI = new Uint8Array(brotliCompressSync(JSON.stringify({ model: "m", messages: [] })));

function brokenOff(): IncomingBilled {
  const body = ReadableStream.from(function* () {
    yield BROTLI.slice(0, -4);
    throw new Error("cut");
  }());
  const headers = { "x-api-key": "t", "content-encoding": "br" };
  const request = new Request("http://proxy/v1/messages", { method: "POST", headers, body });
  return {
    requestId: "ar-1",
    request,
    ownCredentials: [],
    client: new FakeClient(request.signal),
    ...{ provider: anthropic, dialect: messages },
    target: "/v1/messages",
    arrivedAt: 0,
    clientIp: null,
  };
}
