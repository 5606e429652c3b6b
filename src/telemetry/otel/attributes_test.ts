import assert from "node:assert/strict";
import * as conventions from "@opentelemetry/semantic-conventions/incubating";
import { EMPTY_READING } from "../../domain/reading.ts";
import { type Closing, type OpenCall, UNSAID } from "../../domain/usage.ts";
import { errorTypeOf, serverAttributes, spanAttributes, tokensOf } from "./attributes.ts";

const CALL: OpenCall = {
  ...UNSAID,
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
  agentId: "agent-1",
  agentType: "Explore",
  client: "claude-code",
  upstream: "work",
};

const CLOSING: Closing = {
  outcome: "completed",
  accuracy: "exact",
  status: 200,
  upstreamRequestId: "req_1",
  duration: 1_234,
  ttft: 321,
  cost: 12_345_678,
  unpricedUses: {},
  priceVersion: "v",
  reading: {
    ...EMPTY_READING,
    messageId: "msg_1",
    servedModel: "claude-x-1",
    stopReason: "tool_use",
    inputTokens: 1,
    outputTokens: 20,
    cacheCreationInputTokens: 300,
    cacheReadInputTokens: 4_000,
    thinkingTokens: 7,
  },
};

Deno.test("spanAttributes() names everything as the semantic conventions do, or as llmproxy's own", () => {
  const failed = { ...CLOSING, outcome: "upstream_error" as const };
  const names = Object.keys({ ...spanAttributes(CALL, failed), ...serverAttributes("https://a.test") });
  const known: readonly unknown[] = Object.values(conventions);
  assert.deepEqual(names.filter((name) => !known.includes(name) && !name.startsWith("llmproxy.")), []);
  assert.ok(names.includes("error.type") && names.length > 25, String(names));
});

Deno.test("spanAttributes() counts tokens of the cache as input, and names who called and what it cost", () => {
  assert.deepEqual(known(spanAttributes(CALL, CLOSING)), {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.request.model": "claude-x",
    "gen_ai.request.stream": true,
    "gen_ai.request.max_tokens": 100,
    "gen_ai.response.model": "claude-x-1",
    "gen_ai.response.id": "msg_1",
    "gen_ai.response.finish_reasons": ["tool_use"],
    "gen_ai.response.time_to_first_chunk": 0.321,
    "gen_ai.conversation.id": "at-1",
    "gen_ai.agent.id": "agent-1",
    "gen_ai.agent.name": "Explore",
    "gen_ai.usage.input_tokens": 4_301,
    "gen_ai.usage.output_tokens": 20,
    "gen_ai.usage.cache_creation.input_tokens": 300,
    "gen_ai.usage.cache_read.input_tokens": 4_000,
    "gen_ai.usage.reasoning.output_tokens": 7,
    "http.response.status_code": 200,
    "llmproxy.request_id": "ar-1",
    "llmproxy.workspace_id": "ws-1",
    "llmproxy.sandbox_id": "sb-1",
    "llmproxy.client": "claude-code",
    "llmproxy.upstream": "work",
    "llmproxy.upstream_request_id": "req_1",
    "llmproxy.outcome": "completed",
    "llmproxy.accuracy": "exact",
    "llmproxy.cost_usd": 0.012345678,
  });
});

Deno.test("spanAttributes() leaves out what is not known, and the first chunk of what is no stream", () => {
  const call = {
    ...CALL,
    requestedModel: "",
    traceId: "",
    streaming: false,
    maxTokens: null,
    agentId: null,
    agentType: "",
    client: null,
    upstream: null,
  };
  const closing: Closing = {
    ...CLOSING,
    ...{ outcome: "unknown", accuracy: "unknown", status: null, upstreamRequestId: null, cost: null },
    reading: { ...EMPTY_READING, outputTokens: 5 },
  };
  assert.deepEqual(known(spanAttributes(call, closing)), {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.request.stream": false,
    "error.type": "unknown",
    "llmproxy.request_id": "ar-1",
    "llmproxy.workspace_id": "ws-1",
    "llmproxy.sandbox_id": "sb-1",
    "llmproxy.outcome": "unknown",
    "llmproxy.accuracy": "unknown",
  });
});

Deno.test("tokensOf() is null if the upstream counted none", () => {
  assert.equal(tokensOf({ ...CLOSING, reading: EMPTY_READING }), null);
  assert.deepEqual(tokensOf({ ...CLOSING, accuracy: "estimated" }), { input: 4_301, output: 20 });
});

Deno.test("errorTypeOf() is the upstream's own type, its status, or how the call stopped", () => {
  const reading = { ...EMPTY_READING, errorType: "rate_limit_error" };
  const cases: readonly (readonly [over: Partial<Closing>, type: string | null])[] = [
    [{}, null],
    [{ outcome: "client_left", reading }, null],
    [{ outcome: "upstream_error", status: 429, reading }, "rate_limit_error"],
    [{ outcome: "upstream_error", status: 502 }, "502"],
    [{ outcome: "upstream_broke", status: 200 }, "upstream_broke"],
    [{ outcome: "stopped", reading: { ...reading, errorType: "suspended" } }, "suspended"],
    [{ outcome: "proxy_cut" }, "proxy_cut"],
  ];
  for (const [over, type] of cases) assert.equal(errorTypeOf({ ...CLOSING, ...over }), type, JSON.stringify(over));
});

Deno.test("serverAttributes() has the port of the scheme if the URL names none", () => {
  const of = (url: string) => Object.values(serverAttributes(url));
  assert.deepEqual(of("https://api.anthropic.com"), ["api.anthropic.com", 443]);
  assert.deepEqual(of("http://gateway/anthropic"), ["gateway", 80]);
  assert.deepEqual(of("http://[::1]:8080"), ["::1", 8080]);
});

function known(attributes: Readonly<Record<string, unknown>>) {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}
