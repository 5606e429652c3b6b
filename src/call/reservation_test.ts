import assert from "node:assert/strict";
import { type CallOptions, incoming, NOW, requestOf, SANDBOX, scene } from "../../tests/fake_calls.ts";
import { callOf, closingOf } from "../../tests/conformance/samples.ts";
import { admissionsOn, boundOf, FakeLimitRecords, limitVerbs } from "../../tests/limit_records.ts";
import { isPending, waitFor } from "../../tests/wait.ts";
import { Fault } from "../domain/fault.ts";
import type { AskedCall, Bound, Estimate } from "../domain/limits.ts";
import type { OpenCall } from "../domain/usage.ts";
import { EMPTY_READING } from "../domain/reading.ts";
import { read } from "./read.ts";
import { reserve, whileWanted } from "./reservation.ts";
import type { Deps } from "./deps.ts";

interface Limited extends AsyncDisposable {
  readonly records: FakeLimitRecords;
  readonly deps: Deps;
  readonly client: AbortController;
  readonly call: OpenCall;
  readonly ask: (options?: CallOptions) => ReturnType<typeof reserve>;
}

function limited(bounds: readonly Bound[], estimate: Estimate = { tokens: 10, cost: 100 }, over: Partial<Deps> = {}): Limited {
  const records = new FakeLimitRecords();
  const admissions = admissionsOn(records);
  const limits = { ...limitVerbs(admissions), boundsOf: () => bounds };
  const call = scene(() => new Response(), {
    limits,
    estimates: { needsCacheMarks: false, of: () => estimate, learn() {} },
    ...over,
  });
  const opened = callOf({ ...SANDBOX, createdAt: NOW });
  return {
    ...{ records, deps: call.deps, client: call.client, call: opened },
    async ask(options = {}) {
      const asked = incoming(call, options);
      const facts = await read(asked, { sandbox: SANDBOX, token: "t" } as Parameters<typeof read>[1], call.deps);
      return await reserve(
        { ...opened, id: `ar-${++asks}` },
        { incoming: asked, facts, signal: whileWanted(asked, call.deps) },
        call.deps,
      )
        .finally(facts.body.release);
    },
    async [Symbol.asyncDispose]() {
      await admissions.end();
      await call[Symbol.asyncDispose]();
    },
  };
}

let asks = 0;

Deno.test("reserve() holds nothing for a call without a limit, and asks no one", async () => {
  await using scene_ = limited([]);
  assert.equal(await scene_.ask(), null);
  assert.deepEqual(scene_.records.asked, []);
});

Deno.test("reserve() says that a call may write the cache if its body has a mark, or if the upstream needs none", async () => {
  const seen: boolean[] = [];
  const of = ({ mayCache }: AskedCall): Estimate => (seen.push(mayCache), { tokens: 1, cost: 1 });
  const estimates = { needsCacheMarks: true, of, learn() {} };
  await using scene_ = limited([boundOf("cost_per_day", 1_000)], undefined, { estimates });
  const body = JSON.stringify(requestOf());
  await scene_.ask({ body });
  await scene_.ask({ body: body.replace('"messages"', '"cache_control":{},"messages"') });
  await scene_.ask({ body, dialect: { cachesUnasked: true } });
  assert.deepEqual(seen, [false, true, true]);
});

Deno.test("reserve() holds the estimate, settles to what was used, and counts unknown usage as nothing", async () => {
  await using scene_ = limited([boundOf("cost_per_day", 1_000)]);
  const [known, unknown] = [await scene_.ask(), await scene_.ask()];
  assert.deepEqual([...scene_.records.held.values()].map(({ tokens, cost, holder }) => [tokens, cost, holder]), [
    [10, 100, "run-1"],
    [10, 100, "run-1"],
  ]);
  known!.settle(
    closingOf({ inputTokens: 1, outputTokens: 2, cacheCreationInputTokens: 4, cacheReadInputTokens: 8 }, { cost: 70 }),
  );
  unknown!.settle({ ...closingOf({}, { cost: null, accuracy: "unknown" }), reading: EMPTY_READING });
  await waitFor(() => scene_.records.held.values().every(({ isRunning }) => !isRunning), { what: "both ends" });
  assert.deepEqual([...scene_.records.held.values()].map(({ tokens, cost }) => [tokens, cost]), [[15, 70], [0, 0]]);
});

for (
  const [bound, code, says] of [
    [
      boundOf("cost_per_day", 150),
      "over_cost_per_day",
      /^Quota exceeded\. This workspace has used 0\.0000001 of its limit of 0\.00000015 dollars a day/,
    ],
    [
      boundOf("tokens_per_day", 15),
      "over_tokens_per_day",
      /^Quota exceeded\. This workspace has used 10 of its limit of 15 tokens a day .*may use 10\. /,
    ],
    [
      boundOf("rpd", 1, { scope: "sandbox", id: "sb-1" }),
      "over_rpd",
      /^Quota exceeded\. This sandbox has used 1 of its limit of 1 requests a day \(rpd\)\. /,
    ],
    [
      boundOf("rpd", 1, { scope: "trace", id: "at-1" }),
      "over_rpd",
      /^Quota exceeded\. This session has used 1 of its limit of 1 requests a day/,
    ],
  ] as const
) {
  Deno.test(`reserve() refuses with ${code} by the ${bound.scope}, what was used, and when it resets`, async () => {
    await using scene_ = limited([bound]);
    await scene_.ask();
    await assert.rejects(scene_.ask(), (error) => {
      assert.ok(error instanceof Fault);
      assert.equal(error.code, code);
      assert.match(error.message, says);
      assert.match(error.message, /The limit will reset at 2026-01-02T00:00:00Z\.$/);
      return true;
    });
  });
}

Deno.test("reserve() refuses a model without a price if a limit of cost applies, unless the operator serves it", async () => {
  const unpriced = { tokens: 10, cost: null };
  await using refusing = limited([boundOf("cost_per_month", 1_000)], unpriced);
  await assert.rejects(refusing.ask(), { code: "unpriced_model" });
  assert.deepEqual(refusing.records.asked, []);
  await using counting = limited([boundOf("tokens_per_day", 1_000)], unpriced);
  assert.ok(await counting.ask() !== null);
  await using serving = limited([boundOf("cost_per_month", 1_000)], unpriced, { unpriced: "serve" });
  assert.ok(await serving.ask() !== null);
  assert.equal([...serving.records.held.values()][0]!.cost, 0);
});

Deno.test("reserve() stops waiting for a place if the client leaves or the proxy drains", async () => {
  await using scene_ = limited([boundOf("concurrent", 1)]);
  const { deps, client, records } = scene_;
  await scene_.ask();
  const [drained, left] = [scene_.ask(), scene_.ask()];
  for (const waits of [drained, left]) waits.catch(() => {});
  assert.ok(await isPending(Promise.race([drained, left]), 20));
  deps.traffic.drain();
  await assert.rejects(drained, { code: "draining" });
  await assert.rejects(left, { code: "draining" });
  assert.equal(records.held.size, 1);
  client.abort();
});

Deno.test("reserve() tells a client that leaves from a stop", async () => {
  await using scene_ = limited([boundOf("concurrent", 1)]);
  await scene_.ask();
  const left = scene_.ask();
  left.catch(() => {});
  assert.ok(await isPending(left, 20));
  scene_.client.abort();
  await assert.rejects(left, { code: "client_left" });
  assert.equal(scene_.records.held.size, 1);
});
