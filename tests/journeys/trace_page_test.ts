import assert from "node:assert/strict";
import { dashboardAt } from "../dashboard_browser.ts";
import { linkIn, readerOf, textOf } from "../dashboard_reader.ts";
import { eventStream, failing, messageTo, type Scripting, streamed } from "../fake_answers.ts";
import { messageEvents } from "../fake_messages.ts";
import { messageCall, type ProxyUnderTest, received, startProxy } from "../proxy_under_test.ts";
import { gate, waitFor } from "../wait.ts";

const SESSION = "11111111-2222-4333-8444-555555555555";
const ID = `at-${SESSION}`;

Deno.test("a session of calls that broke, failed, completed and still run is found by its failures, and its page shows each as it was", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token("acme", "sb-1");
  await ask(proxy, { token, text: "again", answer: (call) => ({ ...eventStream(someOf(messageTo(call))), ending: "reset" }) });
  await ask(proxy, { token, text: "again", answer: failing(529) });
  await ask(proxy, { token, text: "again", answer: streamed() });
  const rows = await proxy.closedRows(3);

  const reader = await readerOf(dashboardAt(proxy.adminUrl), proxy.adminToken);
  const list = await reader.open("/dashboard/traces?failed=true&workspace_id=acme");
  const { status, text } = await reader.open(linkIn(list.text, ID)!);
  assert.equal(status, 200);
  const labels = [...text.matchAll(/class="lane"[^>]*aria-label="([^"]*)"/g)].map(([, label]) => label!);
  assert.deepEqual(labels.map((label) => /took [^,]*, (.*)$/.exec(label)![1]!.replaceAll(/\$[\d.]+/g, "$")), [
    "upstream_broke, $, estimated",
    "upstream_error: overloaded_error, $, a retry",
    "completed, $, a retry",
  ]);
  // What came before the first token, as the row has it.
  assert.match(labels[2]!, new RegExp(`first token after ${rows[2]!.ttft_ms} ms`));
  const shown = textOf(text);
  assert.match(shown, /Calls 3 2 failed 2 are retries/);
  assert.match(shown, new RegExp(`Retry of …${String(rows[0]!.id).slice(-6)}`));
  assert.match(shown, /\$[\d.]+ of it went to attempts that were repeated/);

  const answered = gate();
  proxy.upstream.answer(async (call) => {
    await answered.passed;
    return streamed()(call);
  });
  const running = fetch(`${proxy.url}/v1/messages`, callOf(token, "something else"));
  const path = `/dashboard/traces/${ID}?workspace_id=acme`;
  await waitFor(
    async () =>
      /A call is in flight and not counted here: for [^,]*, claude-haiku-4-5\./.test(textOf((await reader.open(path)).text)),
    {
      what: "the call in flight on the page",
    },
  );
  const live = linkIn((await reader.open(path)).text, "A call is in flight")!;
  assert.match(textOf((await reader.open(live)).text), /claude-haiku-4-5/);
  answered.open();
  await received(await running);
  await proxy.closedRows(4);
  const after = textOf((await reader.open(path)).text);
  assert.match(after, /Calls 4 2 failed/);
  assert.ok(!after.includes("in flight"));
});

interface Asking {
  readonly token: string;
  readonly text: string;
  readonly answer: Scripting;
}

async function ask(proxy: ProxyUnderTest, { token, text, answer }: Asking): Promise<void> {
  proxy.upstream.answer(answer);
  await received(await fetch(`${proxy.url}/v1/messages`, callOf(token, text)));
  await proxy.closedRows(proxy.upstream.calls.length);
}

function callOf(token: string, text: string): RequestInit {
  return messageCall(token, { text, stream: true, headers: { "x-claude-code-session-id": SESSION } });
}

/** Up to the third of ten deltas. */
function someOf(message: ReturnType<typeof messageTo>): string[] {
  return messageEvents({ ...message, deltas: 10 }).slice(0, 6);
}
