import assert from "node:assert/strict";
import { Fault } from "../domain/fault.ts";
import { EMPTY_READING } from "../domain/reading.ts";
import { type Closing, type OpenCall, UNSAID } from "../domain/usage.ts";
import { MAX_LINES, WINDOW_MS } from "./bounded_lines.ts";
import { type LogLevel, newLogger } from "./log.ts";
import { newMetrics } from "./metrics.ts";
import { newObserve } from "./observe.ts";

const CALL: OpenCall = {
  id: "ar-1",
  instanceId: "i-1",
  workspaceId: "ws-1",
  sandboxId: "sb-1",
  traceId: "at-1",
  kind: "message",
  provider: "anthropic",
  requestedModel: "claude-x",
  streaming: true,
  createdAt: 1,
  maxTokens: 100,
  requestBytes: 1_000,
  ...UNSAID,
  messagesHash: "00",
  agentId: "agent-1",
  client: "claude-cli/2",
  tokenId: "lt-1",
  credentialId: "key-1",
};

const CLOSING: Closing = {
  outcome: "completed",
  accuracy: "exact",
  status: 200,
  upstreamRequestId: "req_1",
  duration: 1234.5678,
  ttft: 321.999,
  cost: 12_345_678,
  unpricedUses: {},
  priceVersion: "2026-11-24",
  reading: {
    ...EMPTY_READING,
    messageId: "msg_1",
    servedModel: "claude-x-1",
    stopReason: "end_turn",
    inputTokens: 10,
    outputTokens: 20,
    cacheCreationInputTokens: 30,
    cacheReadInputTokens: 40,
  },
};

const END = { upstreamUrl: "https://api.anthropic.com", span: null };
const SANDBOX = { sandboxId: "sb-1", workspaceId: "ws-1", tokenId: "lt-1" };
const UNKNOWN = { sandbox: null, path: "/v1/messages", client: null, clientIp: null };

Deno.test("callEnded() writes one line with the call's ids, models, counts, outcome and times", () => {
  using watched = watch();
  watched.observe.callEnded(CALL, CLOSING, { ...END, overheadMs: 1.239, isRecorded: true });
  assert.deepEqual(watched.lines(), [{
    level: "info",
    time: "1970-01-01T00:00:00.000Z",
    requestId: "ar-1",
    traceId: "at-1",
    workspaceId: "ws-1",
    sandboxId: "sb-1",
    tokenId: "lt-1",
    credentialId: "key-1",
    agentId: "agent-1",
    client: "claude-cli/2",
    messageId: "msg_1",
    upstreamRequestId: "req_1",
    provider: "anthropic",
    requestedModel: "claude-x",
    servedModel: "claude-x-1",
    streaming: true,
    outcome: "completed",
    accuracy: "exact",
    status: 200,
    stopReason: "end_turn",
    inputTokens: 10,
    outputTokens: 20,
    cacheCreationInputTokens: 30,
    cacheReadInputTokens: 40,
    costUsd: "0.012345678",
    durationMs: 1234.57,
    ttftMs: 322,
    overheadMs: 1.24,
    msg: "call ended",
  }]);
});

Deno.test("callEnded() names the call's span in its line, as log readers know it", () => {
  using watched = watch();
  const span = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", headers: null };
  watched.observe.callEnded(CALL, CLOSING, { ...END, overheadMs: 0, isRecorded: true, span });
  const [line] = watched.lines();
  assert.deepEqual([line?.trace_id, line?.span_id, line?.traceId], [span.traceId, span.spanId, CALL.traceId]);
});

Deno.test("callEnded() of a call without a row warns, and counts it", async () => {
  using watched = watch();
  watched.observe.callEnded(CALL, CLOSING, { ...END, overheadMs: 0, isRecorded: false });
  const [line] = watched.lines();
  assert.deepEqual([line?.level, line?.msg, line?.outputTokens], [
    "warn",
    "call ended and is not recorded: the spool is full",
    20,
  ]);
  assert.match((await watched.metrics.text()).text, /^llmproxy_unrecorded_calls_total 1$/m);
});

Deno.test("unpriced() tells an operator once a day and model, and counts each call", async () => {
  using watched = watch();
  const cost = { isPriced: false, why: "model", model: "claude-new" } as const;
  for (let n = 0; n < 3; n++) watched.observe.unpriced("ar-1", cost);
  watched.observe.unpriced("ar-2", { ...cost, model: "claude-newer" });
  assert.deepEqual(watched.lines().map((line) => [line.level, line.model]), [["warn", "claude-new"], ["warn", "claude-newer"]]);
  assert.match((await watched.metrics.text()).text, /^llmproxy_unpriced_calls_total\{model="claude-new"\} 3$/m);
  watched.clock.at += 86_400_000;
  watched.observe.unpriced("ar-3", cost);
  assert.equal(watched.lines().length, 3);
});

Deno.test("partlyPriced() tells an operator once a day and counter, and counts each call", async () => {
  using watched = watch();
  const used = { model: "claude-new", uses: { tool_search_requests: 2, moon_landing_requests: 1 } };
  for (let n = 0; n < 3; n++) watched.observe.partlyPriced("ar-1", used);
  assert.deepEqual(watched.lines().map((line) => [line.level, line.counter, line.count, line.model]), [
    ["warn", "tool_search_requests", 2, "claude-new"],
    ["warn", "moon_landing_requests", 1, "claude-new"],
  ]);
  assert.match((await watched.metrics.text()).text, /^llmproxy_partly_priced_calls_total\{model="claude-new"\} 3$/m);
  watched.clock.at += 86_400_000;
  watched.observe.partlyPriced("ar-2", { ...used, uses: { tool_search_requests: 1 } });
  assert.equal(watched.lines().length, 3);
});

Deno.test("absurdUsage() tells an operator in bounded lines, and counts each call", async () => {
  using watched = watch();
  for (let n = 0; n < 1_000; n++) watched.observe.absurdUsage(`ar-${n}`, "claude-odd");
  assert.ok(watched.lines().length <= 10, String(watched.lines().length));
  assert.deepEqual([watched.lines()[0]?.level, watched.lines()[0]?.requestId], ["error", "ar-0"]);
  assert.match((await watched.metrics.text()).text, /^llmproxy_absurd_usage_calls_total\{model="claude-odd"\} 1000$/m);
});

Deno.test("callEnded() leaves out unknown values, and warns if an operator should look", () => {
  using watched = watch();
  const closing: Closing = {
    ...CLOSING,
    outcome: "upstream_broke",
    accuracy: "unknown",
    status: null,
    upstreamRequestId: null,
    ttft: null,
    reading: EMPTY_READING,
  };
  watched.observe.callEnded({ ...CALL, tokenId: null, agentId: null, client: null }, closing, {
    ...END,
    overheadMs: 0,
    isRecorded: true,
  });
  const [line] = watched.lines();
  assert.equal(line!["level"], "warn");
  for (const name of ["status", "upstreamRequestId", "ttftMs", "messageId", "servedModel", "tokenId", "agentId", "client"]) {
    assert.ok(!(name in line!), name);
  }
});

Deno.test("callEnded() counts even if its line is below the log's level", async () => {
  using watched = watch("error");
  watched.observe.callEnded(CALL, CLOSING, { ...END, overheadMs: 1, isRecorded: true });
  assert.deepEqual(watched.lines(), []);
  assert.match(
    (await watched.metrics.text()).text,
    /llmproxy_calls_total\{outcome="completed",status="200",model="claude-x-1",upstream=""\} 1/,
  );
});

Deno.test("refused() says who was refused, with what and why, at the level that the fault deserves", () => {
  using watched = watch();
  const cause = new Error("connect ECONNREFUSED 10.0.0.7:443");
  watched.observe.refused("ar-1", new Fault("upstream_unreachable", "The upstream cannot be reached.", { cause }), {
    sandbox: SANDBOX,
    path: "/v1/messages",
    client: "qwen-code",
    clientIp: "203.0.113.7",
  });
  watched.observe.refused("ar-2", new Fault("unauthenticated", "invalid proxy token"), UNKNOWN);
  watched.observe.refused("ar-3", new Fault("internal_error", "The proxy failed on this call."), UNKNOWN);
  const [unreachable, unknown, internal] = watched.lines();
  assert.deepEqual(unreachable, {
    level: "warn",
    time: "1970-01-01T00:00:00.000Z",
    requestId: "ar-1",
    fault: "upstream_unreachable",
    status: 502,
    workspaceId: "ws-1",
    sandboxId: "sb-1",
    tokenId: "lt-1",
    path: "/v1/messages",
    client: "qwen-code",
    clientIp: "203.0.113.7",
    said: "The upstream cannot be reached.",
    cause: { name: "Error", message: "connect ECONNREFUSED 10.0.0.7:443" },
    msg: "refused",
  });
  assert.deepEqual([unknown!["level"], internal!["level"]], ["info", "error"]);
  assert.ok(!("sandboxId" in unknown!) && !("client" in unknown!));
});

Deno.test("refused() bounds its lines by fault and says how many it left out, while the metrics count every one", async () => {
  using watched = watch();
  const fault = new Fault("unauthenticated", "invalid proxy token");
  for (let each = 0; each < 500; each++) watched.observe.refused("ar-1", fault, UNKNOWN);
  watched.observe.refused("ar-2", new Fault("draining", "restarting"), UNKNOWN);
  assert.equal(watched.lines().length, MAX_LINES + 1);
  watched.clock.at += WINDOW_MS;
  watched.observe.lookedUp("local", "known");
  const last = watched.lines().at(-1)!;
  assert.deepEqual([last["level"], last["msg"], last["kind"], last["suppressed"]], [
    "warn",
    "log lines were left out",
    "unauthenticated",
    500 - MAX_LINES,
  ]);
  assert.match((await watched.metrics.text()).text, /llmproxy_refusals_total\{fault="unauthenticated"\} 500/);
});

Deno.test("credentialRefused() is an error that says what to do, bounded like refusals", async () => {
  using watched = watch();
  for (let each = 0; each < 500; each++) watched.observe.credentialRefused("ar-1", "key-1");
  const lines = watched.lines();
  assert.equal(lines.length, MAX_LINES);
  assert.equal(lines[0]!["level"], "error");
  assert.equal(lines[0]!["credentialId"], "key-1");
  assert.match(String(lines[0]!["msg"]), /ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN .*SIGHUP/);
  assert.match((await watched.metrics.text()).text, /llmproxy_upstream_unauthorized_total 500/);
});

Deno.test("passed() and lookedUp() are metrics, and passed() a line at debug", async () => {
  using watched = watch();
  watched.observe.passed("ar-1", "models", 200);
  watched.observe.lookedUp("agentserver", "unavailable");
  assert.deepEqual(watched.lines(), []);
  const { text } = await watched.metrics.text();
  assert.match(text, /llmproxy_passed_calls_total\{route="models",status="200"\} 1/);
  assert.match(text, /llmproxy_authority_lookups_total\{authority="agentserver",outcome="unavailable"\} 1/);
  using debug = watch("debug");
  debug.observe.passed("ar-1", "models", 200);
  assert.equal(debug.lines()[0]!["route"], "models");
});

Deno.test("newObserve() lets no credential out, whichever way it came in", async () => {
  using watched = watch("debug");
  const key = "sk-ant-api03-AbCdEf0123456789";
  const token = "llmp_q7Yd8sT0aZ";
  const error = new Error(`sent authorization: Bearer ${key}`, { cause: { headers: { "x-api-key": key }, token } });
  watched.observe.callEnded({ ...CALL, traceId: token, client: key }, { ...CLOSING, upstreamRequestId: key }, {
    ...END,
    overheadMs: 0,
    isRecorded: true,
  });
  watched.observe.refused(token, new Fault("internal_error", key, { cause: error }), {
    sandbox: { ...SANDBOX, sandboxId: token },
    path: `/${token}`,
    client: token,
    clientIp: null,
  });
  watched.observe.passed(token, "models", 200);
  watched.observe.credentialRefused(token, key);
  watched.observe.note("warn", `kept ${key}`, { error, databaseUrl: "postgres://u:p@h/d", list: [token] });
  const written = watched.written() + (await watched.metrics.text()).text;
  for (const secret of [key, token, "u:p@"]) assert.ok(!written.includes(secret), written);
  assert.equal(watched.lines().length, 5);
});

function watch(level: LogLevel = "info") {
  const clock = { at: 0 };
  const written: string[] = [];
  const elapsed = () => clock.at;
  const nothing = () => 0;
  const gauges = {
    ...{ inFlight: nothing, openRows: nothing, bufferedBytes: nothing, ledgerTrouble: nothing, ledgerBytes: nothing },
    ...{
      unshippedRows: nothing,
      oldestUnshippedSeconds: nothing,
      quarantinedRows: nothing,
      shippedRows: nothing,
      shipErrors: nothing,
      batchesWaiting: nothing,
      batchLines: nothing,
      batchErrors: nothing,
      batchesLost: nothing,
      logLinesDropped: nothing,
      upstreamWaiting: nothing,
      upstreamHolds: nothing,
      workers: nothing,
      workerRestarts: nothing,
    },
    ...{ limits: nothing, limitsAlone: nothing, callsWaiting: nothing, ready: nothing, degraded: nothing, clock: nothing },
    ...{ connections: nothing, mostConnections: nothing, spoolFill: nothing, freeDisk: nothing },
  };
  const metrics = newMetrics({
    gauges,
    credentialsOut: () => new Map(),
    outages: () => new Map(),
    rooms: () => new Map(),
    version: "0",
    elapsed,
  });
  const logger = newLogger(level, { write: (line) => written.push(line), now: () => 0, secrets: () => [] });
  return {
    observe: newObserve({ logger, metrics, telemetry: null, elapsed }),
    metrics,
    clock,
    written: () => written.join(""),
    lines: () => written.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>),
    [Symbol.dispose]: metrics.end,
  };
}
