import assert from "node:assert/strict";
import { defaultAnswer, eventStream, heldBefore, messageTo, type SeenCall, streamed } from "../fake_answers.ts";
import { messageEvents } from "../fake_messages.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { assertRecorded, callAndRead, countsOf, type SeenAnswer, textOf } from "../metered_calls.ts";
import { type ProxyProcess, startProxyProcess } from "../proxy_process.ts";
import { gate, waitFor } from "../wait.ts";

const KILLS = 3;
const CLIENTS = 30;
/** Clients whose only answer lacks its end when the proxy is killed. */
const HELD = 5;
/** Whole answers after which the proxy is killed. */
const ENOUGH = 150;
const TRACE = "x-trace-id";

/** What became of each call, by its trace id; null where its client got no answer. */
type Seen = Map<string, SeenAnswer | null>;

Deno.test("kill -9 with 30 clients loses no answer that was seen whole, leaves what was in flight unknown, and doubles none", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  await using upstream = await startFakeUpstream();
  const never = gate();
  upstream.answer((call) => {
    if (isHeld(call.header(TRACE)!)) return lackingItsEnd(call, never.passed);
    return isStreamed(call) ? streamed({ paceMs: 2 })(call) : defaultAnswer(call);
  });
  const seen: Seen = new Map();
  const token = { value: "" };
  for (let kill = 0; kill < KILLS; kill++) {
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir });
    token.value ||= await proxy.token();
    const before = seen.size;
    const clients = Array.from(
      { length: CLIENTS },
      (_, n) => callUntilKilled(proxy, { seen, token: token.value, isHeld: n < HELD }),
    );
    const whole = () => [...seen.values()].slice(before).filter((answer) => answer?.isWhole).length;
    await waitFor(() => whole() >= ENOUGH && upstream.calls.filter(isHeldCall).length === (kill + 1) * HELD, {
      what: "enough whole answers",
      deadlineMs: 20_000,
    });
    proxy.kill("SIGKILL");
    await Promise.all(clients);
  }

  await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir });
  const rows = await proxy.closedRows(KILLS * ENOUGH);
  const sent = upstream.calls.map((call) => call.header(TRACE)!);
  const rowOf = assertRecorded(seen, rows, sent);
  for (const traceId of sent.filter(isHeld)) {
    const row = rowOf.get(traceId)!;
    assert.deepEqual([row.outcome, row.accuracy, ...countsOf(row)], ["unknown", "unknown", 0, 0, 0, 0]);
  }
  assert.ok(rows.every((row) => row.outcome === "completed" || row.outcome === "unknown"));
  assert.ok(rows.filter((row) => row.outcome === "unknown").length <= KILLS * CLIENTS, "more is unknown than was in flight");

  const { usage } = await proxy.ask("/internal/usage") as { usage: { requestCount: number; outputTokens: number }[] };
  const exact = rows.filter((row) => row.outcome === "completed");
  assert.equal(usage.reduce((sum, { requestCount }) => sum + requestCount, 0), rows.length);
  assert.equal(
    usage.reduce((sum, { outputTokens }) => sum + outputTokens, 0),
    exact.reduce((sum, row) => sum + Number(row.output_tokens), 0),
  );
  never.open();
  await Deno.remove(dataDir, { recursive: true });
});

/** Calls one after the other, every other one streamed, until the proxy is gone. */
async function callUntilKilled(
  proxy: ProxyProcess,
  { seen, token, isHeld }: { readonly seen: Seen; readonly token: string; readonly isHeld: boolean },
): Promise<void> {
  for (;;) {
    const number = seen.size;
    const traceId = `${isHeld ? "held" : "free"}-${number}`;
    seen.set(traceId, null);
    const stream = isHeld || number % 2 === 0;
    const answer = await callAndRead(proxy.url, { token, text: textOf(number), stream, traceId }).catch(() => null);
    seen.set(traceId, answer);
    if (answer?.isWhole !== true) return;
  }
}

function isHeld(traceId: string): boolean {
  return traceId.startsWith("held-");
}

function isHeldCall(call: SeenCall): boolean {
  return isHeld(call.header(TRACE)!);
}

function isStreamed(call: SeenCall): boolean {
  return (call.json() as { stream: boolean }).stream;
}

function lackingItsEnd(call: SeenCall, until: Promise<void>) {
  const events = messageEvents(messageTo(call));
  return eventStream(heldBefore(events, { number: events.length - 1, until }));
}
