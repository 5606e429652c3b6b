/** `llmproxy top` and `llmproxy requests`, in a pipe and on a terminal, about calls in flight. */
import assert from "node:assert/strict";
import { streamed } from "../fake_answers.ts";
import { operatorOf } from "../operator.ts";
import { runCommandLine } from "../proxy_process.ts";
import { messageCall, type ProxyUnderTest, received, startProxy } from "../proxy_under_test.ts";
import { openTerminal } from "../terminal.ts";
import { waitFor } from "../wait.ts";

const OPEN = "\x1b[?1049h\x1b[?25l";
const CLOSE = "\x1b[?25h\x1b[?1049l";

Deno.test("requests lists the calls in flight and cuts one by its id, on a terminal and in a pipe", async (t) => {
  await using proxy = await startProxy();
  const { piped, terminal, json, env } = operatorOf(proxy);
  const [first, second] = [await inFlight(proxy, "one"), await inFlight(proxy, "two")];
  const ids = await waitFor(async () => {
    const { requests } = await json("requests", "--workspace", "w1") as { requests: { id: string; outputTokens: number }[] };
    return requests.length === 2 && requests.every(({ outputTokens }) => outputTokens > 0) && requests.map(({ id }) => id);
  }, { what: "both calls to run" });

  await t.step("requests shows the same table on a terminal and in a pipe, except what grows", async () => {
    const shapes = [await piped("requests"), await terminal("requests")].map((text) =>
      text.split("\n").map((line) => line.split(/ {2,}/).slice(0, 6).join(" "))
    );
    assert.deepEqual(shapes[0], shapes[1]);
    assert.equal(shapes[0]![0], "ID WORKSPACE SANDBOX TRACE MODEL UPSTREAM");
    assert.equal(shapes[0]![1], `${ids[0]} w1 s1 one claude-haiku-4-5 anthropic`);
    assert.match(await piped("requests", "--trace", "two"), / +\d+(\.\d s| ms| min \d+ s) +5 +~[\d,]+ +~(<?\$0\.\d{4})\n$/);
  });
  await t.step("requests cut breaks the connection of that call and of no other", async () => {
    assert.equal(await piped("requests", "cut", ids[0]!), `cut ${ids[0]} of sandbox s1 in workspace w1\n`);
    assert.notEqual((await first.ending).error, null);
    assert.deepEqual((await json("requests") as { requests: { id: string }[] }).requests.map(({ id }) => id), [ids[1]]);
    assert.match(await terminal("requests", "cut", ids[1]!), /^cut ar-/);
    assert.notEqual((await second.ending).error, null);
  });
  await t.step("requests cut fails with 1 for a call that is not in flight, and with 2 without an id", async () => {
    const gone = await runCommandLine(["requests", "cut", ids[0]!], env);
    assert.deepEqual([gone.code, gone.stdout], [1, ""]);
    assert.match(gone.stderr, /^Cannot cut "ar-\S+": no call of that id is in flight/);
    assert.equal((await runCommandLine(["requests", "cut"], env)).code, 2);
    assert.equal((await runCommandLine(["requests", "list"], env)).code, 2);
  });
});

Deno.test("top prints one frame in a pipe and with --once, and JSON with --json", async () => {
  await using proxy = await startProxy();
  const { piped, terminal, json } = operatorOf(proxy);
  await ended(proxy, "acme");
  await ended(proxy, "acme");
  const running = await inFlight(proxy, "one");
  const text = await waitFor(async () => {
    const text = await piped("top");
    return /1 in flight/.test(text) && text;
  }, { what: "the call to run" });
  assert.match(
    text,
    /^20\S+Z {2}1 in flight {2}2 calls today, \$0\.1636\n\nWORKSPACE +IN FLIGHT +COST SO FAR +CALLS TODAY +COST TODAY +OF THEM\n/,
  );
  assert.match(text, /^acme +- +- +2 +\$0\.1636$/m);
  assert.match(text, /^w1 +1 +~<?\$0\.\d+ +0 +\$0\.00$/m);
  assert.match(text, /^ar-\S+ +w1 +s1 +one +claude-haiku-4-5 +anthropic +Deno /m);
  const once = await terminal("top", "--once", "--workspace", "acme");
  assert.match(once, /^20\S+Z {2}0 in flight {2}2 calls today, \$0\.1636\n\nWORKSPACE/);
  const { requests, usage, totals } = await json("top") as Record<string, { length: number; costUsd?: string }>;
  assert.deepEqual([requests!.length, usage!.length, totals!.costUsd], [1, 1, "0.163593500"]);
  await running.cut();
});

Deno.test("top redraws in place, fits the screen, says when the proxy is away, and restores the terminal at q", async () => {
  const proxy = await startProxy();
  const { env } = operatorOf(proxy);
  const token = await proxy.token("acme");
  // More workspaces and calls than the screen has lines.
  for (let n = 0; n < 9; n++) await ended(proxy, `workspace-${n}`);
  await using terminal = openTerminal(["top", "--interval", "1"], { env, columns: 60, rows: 20 });
  await waitFor(() => terminal.shown().some((line) => line.includes("9 calls today")), { what: "the first frame" });
  await (await fetch(`${proxy.url}/v1/messages`, messageCall(token))).text();
  const lines = await waitFor(() => {
    const lines = terminal.shown();
    return lines[0]!.includes("10 calls today") && lines;
  }, { what: "another frame" });
  assert.ok(lines.length <= 20 && lines.every((line) => line.length <= 60), lines.join("\n"));
  assert.match(lines.join("\n"), /^… 6 more/m);
  assert.match(lines[1]!, /^q or Ctrl-C ends/);
  await proxy[Symbol.asyncDispose]();
  await waitFor(() => terminal.shown()[1]?.startsWith("Cannot reach the proxy"), { what: "top to say that the proxy is away" });
  await terminal.type("q");
  assert.equal(await terminal.exited(), 0);
  assert.ok(terminal.written().startsWith(OPEN));
  assert.ok(terminal.written().endsWith(CLOSE));
});

Deno.test("top restores the terminal at Ctrl-C, and fails with 3 if no proxy answers at first", async () => {
  await using proxy = await startProxy();
  const { env } = operatorOf(proxy);
  await using terminal = openTerminal(["top"], { env });
  await waitFor(() => terminal.written().includes("0 in flight"), { what: "the first frame" });
  await terminal.type("\x03");
  assert.equal(await terminal.exited(), 0);
  assert.ok(terminal.written().endsWith(CLOSE));
  await using other = openTerminal(["top"], { env: { ...env, LLMPROXY_ADMIN_URL: "http://127.0.0.1:1" } });
  assert.equal(await other.exited(), 3);
  assert.ok(!other.written().includes(OPEN));
});

async function ended(proxy: ProxyUnderTest, workspace: string): Promise<void> {
  const token = await proxy.token(workspace);
  await (await fetch(`${proxy.url}/v1/messages`, messageCall(token))).text();
}

/** A streamed call that goes on; resolves when its first text has come. `error` is how it ended. */
async function inFlight(proxy: ProxyUnderTest, trace: string) {
  proxy.upstream.answer(streamed({ deltas: 5_000, paceMs: 20 }));
  const leaving = new AbortController();
  const call = messageCall(await proxy.token(), { stream: true, headers: { "x-trace-id": trace }, signal: leaving.signal });
  const started = Promise.withResolvers<void>();
  const ending = fetch(`${proxy.url}/v1/messages`, call).then((answer) => received(answer, () => started.resolve()));
  await started.promise;
  return {
    ending,
    cut: async () => {
      leaving.abort();
      await ending;
    },
  };
}
