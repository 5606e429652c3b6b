import assert from "node:assert/strict";
import type { RepriceSteps } from "../domain/repricing.ts";
import { AdminRefusal } from "./admin_refusal.ts";
import type { Actor, AuditedChange } from "../domain/audit.ts";
import type { Reprice } from "../domain/operations.ts";
import { answerReprice, type RepriceDeps } from "./reprice.ts";

const URL_SINCE = "http://localhost/internal/reprice?since=2026-11-01T00:00:00Z";
const BY: Actor = { who: "admin", claimed: "alice", address: "127.0.0.1" };
const AT = Date.UTC(2026, 10, 2);

/**
 * Two steps, each a row that cost 2^53 - 1 nano-dollars and is free now. `ended` tells the cleanup.
 */
async function* steps({ end, ended }: { readonly end: "complete" | undefined; readonly ended: string[] }): RepriceSteps {
  try {
    for (const n of [1, 2]) {
      const price = { unpricedUses: {}, accuracy: "exact" } as const;
      const from = { ...price, cost: Number.MAX_SAFE_INTEGER, priceVersion: "v1" };
      const change = { id: `ar-${n}`, workspaceId: "w", traceId: "t", createdAt: AT, model: "m", from };
      yield { read: 200, at: AT, changes: [{ ...change, to: { ...price, cost: 0, priceVersion: "v2" } }] };
    }
    return await Promise.resolve(end);
  } finally {
    ended.push("ended");
  }
}

interface Given {
  end?: "complete" | null;
  ended?: string[];
  changes?: AuditedChange[];
}

function depsOf(reprice: Reprice, changes: AuditedChange[] = []): RepriceDeps {
  return {
    reprice,
    recordChange: (change, by) => {
      assert.deepEqual(by, BY);
      return Promise.resolve(void changes.push(change));
    },
    by: BY,
    now: () => AT,
  };
}

function ask(headers: Record<string, string>, { end = "complete", ended = [], changes = [] }: Given) {
  const reprice: Reprice = () => ({ priceVersion: "v2", steps: steps({ end: end ?? undefined, ended }) });
  return answerReprice(new Request(URL_SINCE, { method: "POST", headers }), depsOf(reprice, changes));
}

const LINES = { accept: "application/x-ndjson" };

Deno.test("answerReprice() sums up exactly, beyond what a number holds", async () => {
  const { oldCostUsd, newCostUsd, differenceUsd, repricedCount, readCount, until, changes } = await (await ask({}, {})).json();
  assert.deepEqual([oldCostUsd, newCostUsd, differenceUsd], ["18014398.509481982", "0.000000000", "-18014398.509481982"]);
  assert.deepEqual([repricedCount, readCount, until], [2, 400, "2026-11-02T00:00:00.000Z"]);
  assert.deepEqual(
    changes.map((change: Record<string, unknown>) => [change.model, change.oldPriceVersion, change.newPriceVersion]),
    [
      ["m", "v1", "v2"],
    ],
  );
});

Deno.test("answerReprice() never answers a result if the work was stopped", async () => {
  await assert.rejects(ask({}, { end: null }), AdminRefusal);
  const lines = (await (await ask(LINES, { end: null })).text()).trimEnd().split("\n").map((line) =>
    Object.keys(JSON.parse(line))[0]
  );
  assert.deepEqual(lines, ["progress", "progress", "error"]);
});

Deno.test("answerReprice() stops the work if the client leaves", async () => {
  const ended: string[] = [];
  const answer = await ask(LINES, { ended });
  assert.deepEqual(ended, []);
  await answer.body?.cancel();
  assert.deepEqual(ended, ["ended"]);
});

Deno.test("answerReprice() records in the audit what it changed, also if the client leaves, and not what a dry run would", async () => {
  const changes: AuditedChange[] = [];
  await ask({}, { changes });
  const target = "rows from 2026-11-01T00:00:00.000Z to 2026-11-02T00:00:00.000Z";
  assert.deepEqual(changes, [{
    action: "prices.reprice",
    target,
    workspaceId: null,
    before: { priceVersions: ["v1"], costUsd: "18014398.509481982" },
    after: { priceVersion: "v2", costUsd: "0.000000000", repricedCount: 2 },
  }]);
  const left = await ask(LINES, { changes });
  await left.body?.cancel();
  assert.deepEqual(changes[1]?.after, { priceVersion: "v2", costUsd: "0.000000000", repricedCount: 1 });
  const dry = new Request(`${URL_SINCE}&dry_run=true`, { method: "POST" });
  const reprice: Reprice = () => ({ priceVersion: "v2", steps: steps({ end: "complete", ended: [] }) });
  assert.equal((await answerReprice(dry, depsOf(reprice, changes))).status, 200);
  assert.equal(changes.length, 2);
});

Deno.test("answerReprice() refuses a second repricing while one runs", async () => {
  const asked = answerReprice(new Request(URL_SINCE, { method: "POST" }), depsOf(() => null));
  await assert.rejects(asked, { type: "conflict_error" });
});
