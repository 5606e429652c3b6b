import assert from "node:assert/strict";
import { Fault, type FaultCode, FAULTS } from "../../domain/fault.ts";
import { refuse } from "./refusal.ts";

const AWS_SDKS = ["aws-sdk-js", "aws-sdk-java", "aws-sdk-go-v2", "aws-cli", "Boto3", "Botocore"];
/** Names that AWS's SDKs retry, as throttling or as a wrong clock. */
const RETRIED_NAMES = /Throttl|TooManyRequests|LimitExceeded(?!Exception)|SlowDown|Signature|Skewed|RequestExpired|AuthFailure/;

function refusal(code: FaultCode, client: string | null, seconds?: number) {
  const fault = new Fault(code, "Used 500.00 dollars.", {
    plainMessage: "Used up.",
    ...(seconds === undefined ? {} : { retryAfterSeconds: seconds }),
  });
  const { status, headers, body } = refuse(fault, { requestId: "ar-1", client });
  return { status, headers, answer: JSON.parse(body) };
}

Deno.test("refuse() says the same to both families of clients: in Anthropic's JSON, and as message and x-amzn-errortype", () => {
  for (const [code, { status }] of Object.entries(FAULTS)) {
    const { status: sent, headers, answer } = refusal(code as FaultCode, null);
    assert.equal(sent, status, code);
    assert.deepEqual(Object.keys(answer), ["type", "error", "message", "request_id"]);
    assert.deepEqual([answer.type, answer.error.message, answer.message], [
      "error",
      "Used 500.00 dollars.",
      "Used 500.00 dollars.",
    ]);
    assert.match(headers["x-amzn-errortype"]!, /^[A-Z]\w+Exception$/);
  }
});

Deno.test("refuse() stops Claude Code by the one answer that it obeys: a 429 that says not to ask again (trap 24)", () => {
  for (const [code, { retryAfterSeconds }] of Object.entries(FAULTS)) {
    const { status, headers, answer } = refusal(code as FaultCode, "claude-code");
    const isFinal = retryAfterSeconds === "never";
    assert.equal(headers["x-should-retry"], isFinal ? "false" : undefined, code);
    if (isFinal) assert.deepEqual([status, answer.error.type], [429, "billing_error"], code);
    else assert.equal(status, FAULTS[code as FaultCode].status, code);
  }
  const { status, headers, answer } = refusal("over_cost_per_day", "claude-code", 3_600);
  assert.deepEqual([status, answer.error.type, headers["x-should-retry"], headers["retry-after"]], [
    429,
    "billing_error",
    "false",
    "3600",
  ]);
});

Deno.test("refuse() gives AWS's SDKs no status and no name that they retry, unless a retry helps soon (trap 32)", () => {
  for (const client of AWS_SDKS) {
    for (const [code, { retryAfterSeconds }] of Object.entries(FAULTS)) {
      const isFinal = retryAfterSeconds === "never";
      const { status, headers } = refusal(code as FaultCode, client);
      if (isFinal && status < 500) assert.doesNotMatch(headers["x-amzn-errortype"]!, RETRIED_NAMES, code);
    }
    const used = refusal("over_cost_per_day", client, 3_600);
    assert.deepEqual([used.status, used.headers["x-amzn-errortype"]], [400, "ServiceQuotaExceededException"], client);
    const many = refusal("over_concurrent", client);
    assert.deepEqual([many.status, many.headers["x-amzn-errortype"], many.headers["retry-after"]], [
      429,
      "ThrottlingException",
      "1",
    ]);
  }
});

Deno.test("refuse() stops the other clients by the status of their row, without amounts for those who read them as a status", () => {
  for (const client of ["opencode", "ai-sdk"]) {
    const { status, headers, answer } = refusal("over_cost_per_day", client, 3_600);
    assert.deepEqual([status, answer.error.type, headers["x-amzn-errortype"]], [
      403,
      "permission_error",
      "AccessDeniedException",
    ]);
    assert.equal(answer.message, client === "opencode" ? "Used up." : "Used 500.00 dollars.");
    assert.equal(answer.request_id, client === "opencode" ? undefined : "ar-1");
  }
  const { status, headers } = refusal("over_cost_per_day", null, 3_600);
  assert.deepEqual([status, headers["x-should-retry"]], [429, "false"]);
});
