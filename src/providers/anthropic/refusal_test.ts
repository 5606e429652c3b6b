import assert from "node:assert/strict";
import { Fault, type FaultCode, FAULTS } from "../../domain/fault.ts";
import { CLIENTS } from "../clients.ts";
import { errorEvent, refuse } from "./refusal.ts";

/** The types that Anthropic's clients are shown, by fault. */
const TYPES: Readonly<Record<FaultCode, string>> = {
  unauthenticated: "authentication_error",
  sandbox_inactive: "permission_error",
  suspended: "permission_error",
  authority_unavailable: "api_error",
  path_not_allowed: "permission_error",
  model_not_allowed: "permission_error",
  not_owned: "not_found_error",
  path_misdirected: "invalid_request_error",
  path_unknown: "not_found_error",
  upgrade_refused: "api_error",
  head_malformed: "invalid_request_error",
  head_too_large: "request_too_large",
  head_timeout: "timeout_error",
  body_too_large: "request_too_large",
  body_timeout: "timeout_error",
  body_opaque: "invalid_request_error",
  body_cut: "invalid_request_error",
  unmetered: "invalid_request_error",
  overloaded: "api_error",
  over_rpd: "rate_limit_error",
  over_tokens_per_day: "rate_limit_error",
  over_cost_per_day: "billing_error",
  over_cost_per_month: "billing_error",
  over_concurrent: "rate_limit_error",
  over_calls_per_minute: "rate_limit_error",
  over_cost_per_hour: "billing_error",
  looping: "rate_limit_error",
  unpriced_model: "permission_error",
  draining: "api_error",
  ledger_unavailable: "api_error",
  upstream_unreachable: "api_error",
  upstream_timeout: "api_error",
  upstream_refused_credential: "api_error",
  upstream_busy: "rate_limit_error",
  call_cut: "permission_error",
  client_left: "api_error",
  internal_error: "api_error",
};

function refusalResponse(fault: Fault, requestId: string): Response {
  const { status, body, headers } = refuse(fault, { requestId, client: null });
  return new Response(body, { status, headers });
}

Deno.test("refuse() is Anthropic's error JSON with the fault's status, for every fault", async () => {
  for (const [code, { status, retryAfterSeconds }] of Object.entries(FAULTS)) {
    const response = refusalResponse(new Fault(code as FaultCode, 'No "more"\n'), "ar-1");
    assert.equal(response.status, status, code);
    assert.match(response.headers.get("content-type")!, /^application\/json/);
    const isFinal = retryAfterSeconds === "never";
    assert.equal(response.headers.get("x-should-retry"), isFinal ? "false" : null, code);
    assert.equal(response.headers.get("retry-after"), isFinal ? null : String(retryAfterSeconds), code);
    assert.deepEqual(await response.json(), {
      type: "error",
      error: { type: TYPES[code as FaultCode], message: 'No "more"\n' },
      request_id: "ar-1",
    });
  }
});

/** As clients.ts has them, and as each was seen to ask again or not (429 and 403). */
const STOPPED_BY_403 = ["opencode", "kilo", "pi", "droid", "qwen-code", "ai-sdk"];
/** They ask again, as late as `retry-after` says, if a 403 has 429 or 500 anywhere in its body. */
const READ_TEXT = ["opencode", "kilo"];

Deno.test("refuse() stops each client by the status that it obeys if a wait does not help soon", () => {
  const advice = { retryAfterSeconds: 3_600, plainMessage: "The limit is used up." };
  const fault = new Fault("over_cost_per_day", "This workspace has used 500.00 of 429.00 dollars.", advice);
  for (const client of [...CLIENTS.map(({ name }) => name), null]) {
    const { status, headers, body } = refuse(fault, { requestId: "ar-1", client });
    const isStopped = STOPPED_BY_403.includes(client ?? "");
    assert.equal(status, isStopped ? 403 : 429, String(client));
    assert.deepEqual(headers, { "content-type": "application/json", "x-should-retry": "false", "retry-after": "3600" });
    const { error } = JSON.parse(body);
    assert.equal(error.type, isStopped ? "permission_error" : "billing_error", String(client));
    assert.equal(error.message, READ_TEXT.includes(client ?? "") ? advice.plainMessage : fault.message);
  }
});

Deno.test("refuse() shows no digits of amounts or ids in a body to clients that take them for a status", () => {
  const fault = new Fault("sandbox_inactive", "sandbox not active");
  for (const { name } of CLIENTS) {
    const { request_id } = JSON.parse(refuse(fault, { requestId: "ar-01M8429500", client: name }).body);
    assert.equal(request_id, READ_TEXT.includes(name) ? undefined : "ar-01M8429500", name);
  }
});

Deno.test("refuse() lets each client ask again if that helps soon", () => {
  const advice = { retryAfterSeconds: 2, plainMessage: "Too many." };
  const fault = new Fault("over_concurrent", "Too many calls run.", advice);
  for (const { name } of CLIENTS) {
    const { status, headers } = refuse(fault, { requestId: "ar-1", client: name });
    assert.deepEqual([status, headers], [429, { "content-type": "application/json", "retry-after": "2" }], name);
  }
});

Deno.test("refuse() does not let the cause out", async () => {
  const fault = new Fault("upstream_unreachable", "The upstream cannot be reached.", { cause: new Error("connect 10.0.0.7") });
  const response = refusalResponse(fault, "ar-1");
  assert.ok(!JSON.stringify([...response.headers]).includes("10.0.0.7"));
  assert.ok(!(await response.text()).includes("10.0.0.7"));
});

Deno.test("refuse() sends no body after a HEAD, so that the connection stays in step", async () => {
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => {
    return refusalResponse(new Fault("path_unknown", "There is nothing here."), "ar-1");
  });
  const socket = await Deno.connect({ port: server.addr.port, hostname: "127.0.0.1" });
  const request = "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\nHEAD /y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  await socket.write(new TextEncoder().encode(request));
  const answers = await new Response(socket.readable).text();
  assert.equal(answers.match(/HTTP\/1\.1 404/g)?.length, 2);
  assert.ok(!answers.includes("not_found_error"));
});

Deno.test("refuse() never makes a client wait for more than ten seconds: SDKs obey to the letter", () => {
  for (const [code, { retryAfterSeconds }] of Object.entries(FAULTS)) {
    if (retryAfterSeconds !== "never") assert.ok(retryAfterSeconds >= 1 && retryAfterSeconds <= 10, code);
    const seconds = Number(refusalResponse(new Fault(code as FaultCode, "no"), "ar-1").headers.get("retry-after") ?? "1");
    assert.ok(seconds >= 1 && seconds <= 10, code);
  }
});

Deno.test("errorEvent() is the same error as one whole event of a stream", () => {
  const text = errorEvent(new Fault("upstream_unreachable", "It broke off."), "ar-1");
  assert.match(text, /^event: error\ndata: \{.*\}\n\n$/);
  assert.deepEqual(JSON.parse(text.split("data: ")[1]!), {
    type: "error",
    error: { type: "api_error", message: "It broke off." },
    request_id: "ar-1",
  });
});
