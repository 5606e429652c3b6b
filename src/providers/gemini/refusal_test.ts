import assert from "node:assert/strict";
import { Fault, type FaultCode, FAULTS } from "../../domain/fault.ts";
import { errorEvent, refuse } from "./refusal.ts";

const TO = { requestId: "ar-1", client: null };

Deno.test("refuse() writes Google's error JSON with the status in it, whatever the fault", () => {
  for (const code of Object.keys(FAULTS) as FaultCode[]) {
    const { status, body, headers } = refuse(new Fault(code, 'No "more"\n'), TO);
    const { error } = JSON.parse(body);
    assert.deepEqual([error.code, error.message], [status, 'No "more"\n'], code);
    assert.match(error.status, /^[A-Z_]+$/, code);
    assert.equal(headers["content-type"], "application/json; charset=UTF-8");
  }
});

Deno.test("refuse() stops Gemini CLI by a 403 if no wait helps soon: it asks again after 429 and 5xx (trap 24)", () => {
  for (const code of Object.keys(FAULTS) as FaultCode[]) {
    for (const retryAfterSeconds of ["never", 60, 3_600] as const) {
      const { status } = refuse(new Fault(code, "No.", { retryAfterSeconds }), TO);
      assert.ok(status < 500 && status !== 429, `${code}: ${status}`);
    }
  }
  const fault = new Fault("over_cost_per_day", "Used up.", { retryAfterSeconds: 3_600 });
  const { status, body, headers } = refuse(fault, TO);
  assert.equal(status, 403);
  assert.equal(headers["retry-after"], "3600");
  assert.deepEqual(JSON.parse(body).error, {
    code: 403,
    message: "Used up.",
    status: "PERMISSION_DENIED",
    details: [{ "@type": "type.googleapis.com/google.rpc.RequestInfo", requestId: "ar-1" }],
  });
});

Deno.test("refuse() says in the body how long to wait, because Gemini CLI ignores the header (trap 25)", () => {
  const { status, body, headers } = refuse(new Fault("upstream_busy", "Busy.", { retryAfterSeconds: 7 }), TO);
  assert.deepEqual([status, headers["retry-after"]], [429, "7"]);
  const { error } = JSON.parse(body);
  assert.equal(error.status, "RESOURCE_EXHAUSTED");
  assert.deepEqual(error.details[0], { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "7s" });
});

Deno.test("refuse() shows no amounts and no id to clients that take digits in a body for a status", () => {
  const fault = new Fault("over_cost_per_day", "Used 500.00 of 429.00 dollars.", {
    retryAfterSeconds: "never",
    plainMessage: "The limit is used up.",
  });
  const { body } = refuse(fault, { requestId: "ar-01M8429500", client: "opencode" });
  assert.doesNotMatch(body, /429|500/);
  assert.equal(JSON.parse(body).error.message, fault.plainMessage);
});

Deno.test("refuse() and errorEvent() do not let the cause out", () => {
  const fault = new Fault("upstream_unreachable", "It cannot be reached.", { cause: new Error("connect 10.0.0.7") });
  assert.ok(!JSON.stringify([refuse(fault, TO), errorEvent(fault, "ar-1")]).includes("10.0.0.7"));
});

Deno.test("errorEvent() is the same error as one whole event of a stream", () => {
  const text = errorEvent(new Fault("upstream_timeout", "It broke off."), "ar-1");
  assert.match(text, /^data: \{.*\}\r\n\r\n$/);
  const { error } = JSON.parse(text.slice("data: ".length));
  assert.deepEqual([error.code, error.message, error.status], [504, "It broke off.", "DEADLINE_EXCEEDED"]);
});
