import { type Fault, FAULTS } from "../domain/fault.ts";

/**
 * Our own no in Anthropic's error JSON (https://docs.anthropic.com/en/api/errors), so that clients show its text:
 * `{"type":"error","error":{"type","message"},"request_id"}`. `x-should-retry: false` stops clients that would ask again
 * for nothing; `retry-after` (RFC 9110, section 10.2.3) says when asking again may help. The fault's cause stays here.
 */
export function refusalResponse(fault: Fault, requestId: string): Response {
  const { status, type, retryAfterSeconds } = FAULTS[fault.code];
  const body = { type: "error", error: { type, message: fault.message }, request_id: requestId };
  return Response.json(body, {
    status,
    headers: retryAfterSeconds === "never" ? { "x-should-retry": "false" } : { "retry-after": String(retryAfterSeconds) },
  });
}
