import { type Fault, FAULTS } from "../../domain/fault.ts";

/** By status (https://docs.anthropic.com/en/api/errors); others are `api_error`. */
const ERROR_TYPES: ReadonlyMap<number, string> = new Map([
  [400, "invalid_request_error"],
  [401, "authentication_error"],
  [403, "permission_error"],
  [404, "not_found_error"],
  [408, "timeout_error"],
  [413, "request_too_large"],
  [415, "invalid_request_error"],
  [421, "invalid_request_error"],
  [431, "request_too_large"],
]);

export function errorTypeOf(status: number): string {
  return ERROR_TYPES.get(status) ?? "api_error";
}

/**
 * Our own refusal in Anthropic's error JSON, so that clients show its text. `x-should-retry: false`
 * stops the SDKs if a retry cannot help; otherwise `retry-after` (RFC 9110, 10.2.3) says when it
 * may.
 */
export function refuse(fault: Fault, requestId: string) {
  const { retryAfterSeconds } = FAULTS[fault.code];
  const advice = retryAfterSeconds === "never" ? { "x-should-retry": "false" } : { "retry-after": String(retryAfterSeconds) };
  return {
    body: JSON.stringify(errorOf(fault, requestId)),
    headers: { "content-type": "application/json", ...advice },
  };
}

/** The same as an event of a stream (https://docs.anthropic.com/en/api/messages-streaming). */
export function errorEvent(fault: Fault, requestId: string): string {
  return `event: error\ndata: ${JSON.stringify(errorOf(fault, requestId))}\n\n`;
}

function errorOf({ code, message }: Fault, requestId: string) {
  return { type: "error", error: { type: errorTypeOf(FAULTS[code].status), message }, request_id: requestId };
}
