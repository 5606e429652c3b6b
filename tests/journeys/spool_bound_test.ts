import assert from "node:assert/strict";
import { eventStream, heldBefore, messageTo } from "../fake_answers.ts";
import { messageEvents } from "../fake_messages.ts";
import { callAndRead, type SeenAnswer, textOf } from "../metered_calls.ts";
import { startPostgres } from "../postgres_server.ts";
import { metricOf, readinessOf } from "../process_metrics.ts";
import { messageCall, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { arrivedRows, sharedRows } from "../shared_rows.ts";
import { gate, waitFor } from "../wait.ts";

/** Calls at a time, and the most that are made until the spool of one megabyte is full. */
const AT_ONCE = 20;
const MOST_CALLS = 5_000;
/** Housekeeping, which makes room again, goes round every few seconds. */
const ROOM_MS = 30_000;
const UNRECORDED = "call ended and is not recorded: the spool is full";

const postgres = await startPostgres({ own: true });
Deno.test.afterAll(async () => await postgres[Symbol.asyncDispose]());

Deno.test("a full spool refuses calls with 503 and closes those under way; when PostgreSQL is back all rows arrive and calls are served again", async () => {
  const url = await postgres.newDatabase();
  await using proxy = await startProxy({ env: { LLMPROXY_DATABASE_URL: url, LLMPROXY_SPOOL_MAX_MB: "1" } });
  const token = await proxy.token();
  const first = await callAndRead(proxy.url, { token, text: textOf(0) });
  await arrivedRows(postgres, { count: 1, url });
  await postgres.stop();
  const held = gate();
  proxy.upstream.answer((call) => eventStream(heldBefore(messageEvents(messageTo(call)), { number: 5, until: held.passed })));
  const underWay = callAndRead(proxy.url, { token, text: textOf(1) });
  await proxy.upstream.waitForCalls(2);
  proxy.upstream.answer("default");

  const { answers, refusal } = await callUntilRefused(proxy, token);
  assert.equal(refusal?.status, 503);
  const { error } = JSON.parse(refusal!.text);
  assert.deepEqual(error, { type: "api_error", message: "Calls cannot be recorded at the moment, so none are passed on" });
  assert.notEqual(refusal!.retryAfter, null);
  const { code, status, reason } = await readinessOf(proxy);
  assert.deepEqual([code, status], [503, "unavailable"]);
  assert.match(reason, /LLMPROXY_SPOOL_MAX_MB \(1 MB\)/);
  assert.ok(await metricOf(proxy, "llmproxy_ledger_bytes") >= 1_048_576);
  assert.equal(await metricOf(proxy, "llmproxy_ledger_trouble"), 1);
  assert.ok(await metricOf(proxy, 'llmproxy_refusals_total{fault="ledger_unavailable"}') > 0);
  for (const percent of [50, 80]) {
    await waitFor(() => warnings(proxy).some((full) => full >= percent), {
      what: `a warning at ${percent} %`,
      deadlineMs: ROOM_MS,
    });
  }
  const before = proxy.upstream.calls.length;
  await refusalOf(proxy, token);
  assert.equal(proxy.upstream.calls.length, before, "a refused call went upstream");

  held.open();
  const [late] = await Promise.all([underWay]);
  assert.deepEqual([late.isWhole, late.error], [true, null]);
  await postgres.start();
  const whole = [first, late, ...answers];
  const rows = await arrivedRows(postgres, { count: whole.length, url });
  assert.deepEqual(rows.map((row) => row.message_id).sort(), whole.map(({ messageId }) => messageId).sort());
  await waitFor(async () => (await readinessOf(proxy)).status === "ok", { what: "room in the spool", deadlineMs: ROOM_MS });
  const again = await callAndRead(proxy.url, { token, text: textOf(2) });
  assert.equal(again.isWhole, true);
});

Deno.test("a full spool serves on where LLMPROXY_SPOOL_FULL says so: each call without a row is counted and logged", async () => {
  const url = await postgres.newDatabase();
  await using proxy = await startProxy({
    env: { LLMPROXY_DATABASE_URL: url, LLMPROXY_SPOOL_MAX_MB: "1", LLMPROXY_SPOOL_FULL: "serve" },
  });
  const token = await proxy.token();
  await callAndRead(proxy.url, { token, text: textOf(0) });
  await postgres.stop();
  const answers: SeenAnswer[] = [];
  while (await metricOf(proxy, "llmproxy_unrecorded_calls_total") === 0) {
    assert.ok(answers.length < MOST_CALLS, "the spool does not become full");
    answers.push(...await someCalls(proxy, token));
  }
  answers.push(...await someCalls(proxy, token));
  assert.ok(answers.every(({ isWhole }) => isWhole));
  const unrecorded = await metricOf(proxy, "llmproxy_unrecorded_calls_total");
  assert.ok(unrecorded >= AT_ONCE);
  const told = proxy.logs.map((line) => JSON.parse(line)).filter(({ msg }) => msg === UNRECORDED);
  assert.equal(told.length, unrecorded);
  const { code, status } = await readinessOf(proxy);
  assert.deepEqual([code, status], [200, "degraded"]);

  await postgres.start();
  const count = 1 + answers.length - unrecorded;
  await arrivedRows(postgres, { count, url });
  await waitFor(async () => {
    await callAndRead(proxy.url, { token, text: textOf(1) });
    return (await sharedRows(postgres, url)).length > count;
  }, { what: "calls to be recorded again", deadlineMs: ROOM_MS });
  await waitFor(async () => await metricOf(proxy, "llmproxy_unshipped_rows") === 0, { what: "nothing to wait here any more" });
});

interface Refusal {
  readonly status: number;
  readonly text: string;
  readonly retryAfter: string | null;
}

async function callUntilRefused(
  proxy: ProxyUnderTest,
  token: string,
): Promise<{ readonly answers: readonly SeenAnswer[]; readonly refusal: Refusal | null }> {
  const answers: SeenAnswer[] = [];
  while (answers.length < MOST_CALLS) {
    const some = await someCalls(proxy, token);
    answers.push(...some.filter(({ status }) => status === 200));
    if (some.every(({ status }) => status !== 200)) return { answers, refusal: await refusalOf(proxy, token) };
  }
  throw new Error("The spool does not become full");
}

function someCalls(proxy: ProxyUnderTest, token: string): Promise<readonly SeenAnswer[]> {
  return Promise.all(
    Array.from({ length: AT_ONCE }, (_, n) => callAndRead(proxy.url, { token, text: textOf(n), stream: false })),
  );
}

async function refusalOf(proxy: ProxyUnderTest, token: string): Promise<Refusal> {
  const answer = await fetch(`${proxy.url}/v1/messages`, messageCall(token));
  return { status: answer.status, text: await answer.text(), retryAfter: answer.headers.get("retry-after") };
}

/** How full the spool was, in percent, when the log warned of it. */
function warnings(proxy: ProxyUnderTest): readonly number[] {
  return proxy.logs.map((line) => String(JSON.parse(line).msg)).flatMap((message) => {
    const percent = /^the spool is (\d+) % full/.exec(message)?.[1];
    return percent === undefined ? [] : [Number(percent)];
  });
}
