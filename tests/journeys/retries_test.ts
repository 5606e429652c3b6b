import assert from "node:assert/strict";
import { type Answer, eventStream, failing, messageTo, type SeenCall, streamed } from "../fake_answers.ts";
import { messageEvents, sse } from "../fake_messages.ts";
import { messageCall, type ProxyUnderTest, received, type Row, startProxy } from "../proxy_under_test.ts";

const SESSION = "11111111-2222-4333-8444-555555555555";
const OVERLOADED = sse("error", { type: "error", error: { type: "overloaded_error", message: "too much" }, request_id: "req_1" });

/** Everything up to the third of ten deltas. */
function begun(call: SeenCall): string[] {
  return messageEvents({ ...messageTo(call), deltas: 10 }).slice(0, 6);
}

Deno.test("the proxy links the plain answer that Claude Code asks for after an error event in mid-stream to the stream", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  await ask(proxy, { token, stream: true, answer: (call) => eventStream([...begun(call), OVERLOADED]) });
  await ask(proxy, { token, stream: false, answer: "default" });
  const [first, second] = await proxy.closedRows(2);
  assert.deepEqual([first!.outcome, first!.accuracy, second!.outcome, second!.streaming], [
    "upstream_error",
    "estimated",
    "completed",
    0,
  ]);
  await assertShown(proxy, [first!, second!]);
});

Deno.test("the proxy links the streams that a client asks for after a dropped one and a refusal to the first, and a later question to none", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  await ask(proxy, { token, stream: true, answer: (call) => ({ ...eventStream(begun(call)), ending: "reset" }) });
  await ask(proxy, { token, stream: true, answer: failing(529) });
  await ask(proxy, { token, stream: true, answer: streamed() });
  await ask(proxy, { token, stream: true, answer: streamed() });
  const rows = await proxy.closedRows(4);
  assert.deepEqual(rows.map((row) => row.outcome), ["upstream_broke", "upstream_error", "completed", "completed"]);
  await assertShown(proxy, rows);
});

interface Asking {
  readonly token: string;
  readonly stream: boolean;
  readonly answer: "default" | ((call: SeenCall) => Answer);
}

/** Asks the same each time, in one session, and waits until the client has seen how it ends. */
async function ask(proxy: ProxyUnderTest, { token, stream, answer }: Asking): Promise<void> {
  proxy.upstream.answer(answer);
  const init = messageCall(token, { text: "once more", stream, headers: { "x-claude-code-session-id": SESSION } });
  await received(await fetch(`${proxy.url}/v1/messages`, init));
  await proxy.closedRows(proxy.upstream.calls.length);
}

/**
 * Of the calls, those before the first that completed repeat one another, as the admin API shows
 * them.
 */
async function assertShown(proxy: ProxyUnderTest, rows: readonly Row[]): Promise<void> {
  const answered = rows.findIndex((row) => row.outcome === "completed");
  const { requests } = await proxy.ask(`/internal/traces/at-${SESSION}`) as {
    requests: { retryOf?: string; askedAgain?: boolean }[];
  };
  assert.deepEqual(
    requests.map(({ retryOf, askedAgain }) => [retryOf, askedAgain]),
    rows.map((_, n) => [n > 0 && n <= answered ? rows[0]!.id : undefined, n < answered ? true : undefined]),
  );
  const cost = rows.slice(0, answered).reduce((sum, row) => sum + Number(row.cost), 0);
  assert.ok(cost > 0);
  const shown = { retryCount: answered, retriedCostUsd: (cost / 1e9).toFixed(9) };
  for (const [path, key] of [["/internal/traces", "traces"], ["/internal/usage", "usage"]] as const) {
    const [{ retryCount, retriedCostUsd }] = (await proxy.ask(path))[key] as [Record<string, unknown>];
    assert.deepEqual({ retryCount, retriedCostUsd }, shown, path);
  }
}
