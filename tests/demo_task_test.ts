import assert from "node:assert/strict";
import { costUsd } from "../src/domain/money.ts";
import { demoMonth } from "../tools/demo/month.ts";
import { run, startTool } from "./dev_process.ts";
import { focusLines, nanoDollarsOfDecimal } from "./focus_rows.ts";
import { inheritedEnv } from "./proxy_process.ts";
import { waitFor } from "./wait.ts";

const DAY_MS = 86_400_000;
const NOW = "2026-11-27T15:30:00Z";
const SMALL = { now: Date.parse(NOW), seed: 3, sandboxes: 10, days: 5 };
const month = demoMonth(SMALL);

Deno.test("demoMonth() makes the same month of the same options, and another one of another seed", () => {
  // As text: a difference of so many calls takes minutes to print.
  assert.ok(JSON.stringify(demoMonth(SMALL)) === JSON.stringify(month));
  assert.ok(JSON.stringify(demoMonth({ ...SMALL, seed: 4 })) !== JSON.stringify(month));
});

Deno.test("demoMonth() ends at now, in the order of time, and no call is of a sandbox while it is suspended", () => {
  const times = month.calls.map(({ call }) => call.createdAt);
  assert.ok(times.every((time, n) => n === 0 || time >= times[n - 1]!));
  assert.equal(new Set(month.calls.map(({ call }) => call.id)).size, month.calls.length);
  for (const { call, closing } of month.calls) {
    assert.ok(call.createdAt + (closing.duration ?? 0) <= SMALL.now && call.createdAt >= month.start);
    assert.ok(call.sandboxId !== month.suspended.sandbox.sandboxId || call.createdAt <= month.suspended.at);
  }
});

Deno.test("demoMonth() of fifty sandboxes has all that a dashboard should show", () => {
  const { calls, fleet, batches, refusals, traces } = demoMonth({ ...SMALL, sandboxes: 50, days: 30 });
  assert.equal(fleet.length, 50);
  assert.equal(new Set(fleet.map(({ workspaceId }) => workspaceId)).size, 8);
  const outcomes = new Set(calls.map(({ closing }) => closing.outcome));
  for (const outcome of ["completed", "client_left", "upstream_error", "upstream_broke", "stopped", "unknown"] as const) {
    assert.ok(outcomes.has(outcome), outcome);
  }
  assert.deepEqual(new Set(calls.map(({ closing }) => closing.accuracy)), new Set(["exact", "estimated", "unknown"]));
  const some = (what: string, is: (call: (typeof calls)[number]) => boolean) => assert.ok(calls.some(is), what);
  some("a call without a price", ({ closing }) => closing.cost === null && closing.accuracy === "exact");
  some("uses without a price", ({ closing }) => Object.keys(closing.unpricedUses).length > 0);
  some("a batch line", ({ call }) => call.kind === "batch_line");
  some("a sub-agent", ({ call }) => call.agentType === "Explore");
  some("a compaction", ({ call }) => call.requestClass === "compaction");
  some("a cache read", ({ closing }) => closing.reading.cacheReadInputTokens > 100_000);
  assert.ok(batches.length > 15 && traces.length > 1_000);
  const faults = new Set(refusals.map(({ fault }) => fault));
  for (const fault of ["over_cost_per_day", "suspended", "unauthenticated"] as const) assert.ok(faults.has(fault), fault);
});

Deno.test("deno task demo opens the proxy on its month: totals are those of the rows, calls are in flight, and Ctrl-C ends it with 0", async () => {
  const folder = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const args = ["--now", NOW, "--seed", "3", "--sandboxes", "10", "--days", "5", "--live", "3", "--data-dir", `${folder}/demo`];
  const demo = await startTool("demo.ts", { args, cwd: folder, untilPrinted: "spent most, in the session" });
  try {
    const [, dashboard] = /dashboard {2}(\S+)/.exec(demo.printed)!;
    const admin = dashboard!.replace("/dashboard", "");
    const [, tokenPath] = /\(token in (\S+)\)/.exec(demo.printed)!;
    const authorization = `Bearer ${Deno.readTextFileSync(tokenPath!).trim()}`;
    const ask = async (path: string) => {
      const answer = await fetch(`${admin}${path}`, { headers: { authorization } });
      assert.equal(answer.status, 200, path);
      return answer;
    };
    const json = async (path: string) => await (await ask(path)).json();

    assert.equal((await fetch(dashboard!)).status, 200);
    const { requests } = await waitFor(async () => {
      const running = await json("/internal/requests");
      return running.requests.length === 3 && running;
    }, { what: "three calls in flight" });
    const going = new Set<string>(requests.map(({ traceId }: { traceId: string }) => traceId));
    assert.ok(going.has(month.runaway.traceId), "the runaway goes on");
    assert.deepEqual([...going.difference(new Set(month.traces.map(({ id }) => id)))], [], "sessions of the month go on");

    const sum = (of: typeof month.calls) => of.reduce((total, { closing }) => total + BigInt(closing.cost ?? 0), 0n);
    const before = `until=${NOW}`;
    const { totals } = await json(`/internal/usage?${before}`);
    assert.deepEqual([totals.requestCount, totals.costUsd], [month.calls.length, costUsd(sum(month.calls))]);
    const rows = (await (await ask(`/internal/export?format=ndjson&${before}`)).text()).trimEnd().split("\n");
    assert.equal(rows.map((row) => JSON.parse(row).id).sort().join(), month.calls.map(({ call }) => call.id).sort().join());
    const lines = focusLines(await (await ask(`/internal/export?format=focus&${before}`)).text());
    const billed = lines.reduce((total, { BilledCost }) => total + nanoDollarsOfDecimal(BilledCost!), 0n);
    assert.equal(costUsd(billed), totals.costUsd, "FOCUS has the ledger's cost");

    const today = Math.floor(SMALL.now / DAY_MS) * DAY_MS;
    const [since, until] = [today - DAY_MS, today].map((time) => new Date(time).toISOString());
    const { usage } = await json(`/internal/usage?group_by=sandbox&order=cost&limit=1&since=${since}&until=${until}`);
    assert.equal(usage[0].sandboxId, month.runaway.sandbox.sandboxId);
    const { suspensions } = await json("/internal/suspensions");
    assert.deepEqual(suspensions.map(({ sandboxId }: { sandboxId: string }) => sandboxId), [month.suspended.sandbox.sandboxId]);
    assert.ok((await json("/internal/audit?action=limit.set")).audit.length >= 5);
    const { refusals } = await json(`/internal/refusals?since=${NOW}&limit=100`);
    assert.deepEqual(refusals, [], "no call in flight is refused");
    const second = await run(Deno.execPath(), ["run", "-A", "--no-check", "tools/demo.ts", "--data-dir", `${folder}/demo`]);
    assert.equal(second.code, 1);
    assert.match(second.stderr, /another llmproxy holds it/);
    assert.equal((await json(`/internal/usage?${before}`)).totals.costUsd, totals.costUsd);
    assert.equal(await demo.stop(), 0);
  } finally {
    await demo.stop();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("deno task demo --frozen stops the proxy's clock at the end of the month", async () => {
  const folder = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const args = ["--now", NOW, "--frozen", "--sandboxes", "8", "--days", "2", "--live", "0", "--data-dir", `${folder}/demo`];
  const demo = await startTool("demo.ts", { args, cwd: folder, untilPrinted: "spent most, in the session" });
  try {
    const [, admin] = /dashboard {2}(\S+)\/dashboard/.exec(demo.printed)!;
    const made = await fetch(`${admin}/internal/tokens`, {
      method: "POST",
      headers: { authorization: `Bearer ${Deno.readTextFileSync(`${folder}/demo/admin-token`).trim()}` },
      body: JSON.stringify({ workspaceId: "w", sandboxId: "s" }),
    });
    assert.equal(Date.parse((await made.json()).createdAt), SMALL.now);
  } finally {
    await demo.stop();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("deno task demo empties no folder but a demo's, and names an option that it cannot read", async () => {
  const folder = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  Deno.writeTextFileSync(`${folder}/llmproxy.db`, "someone's rows");
  // A demo that goes on where it should not would run forever; this address ends it.
  const env = { ...inheritedEnv(), LLMPROXY_LISTEN_ADDR: "nowhere" };
  const demo = (...args: string[]) => run(Deno.execPath(), ["run", "-A", "--no-check", "tools/demo.ts", ...args], { env });
  const kept = await demo("--data-dir", folder);
  assert.deepEqual([kept.code, Deno.readTextFileSync(`${folder}/llmproxy.db`)], [1, "someone's rows"]);
  assert.match(kept.stderr, /the folder has other files/);
  for (const [option, value] of [["--now", "yesterday"], ["--sandboxes", "many"], ["--fleet", "9"]]) {
    const refused = await demo(option!, value!);
    assert.equal(refused.code, 2);
    assert.ok(refused.stderr.includes(option!.slice(2)), refused.stderr);
  }
  await Deno.remove(folder, { recursive: true });
});
