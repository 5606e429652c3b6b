import { type Fault, FAULTS } from "../../domain/fault.ts";
import type { RefusedClient } from "../../domain/provider.ts";
import { CLIENTS } from "../clients.ts";

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
  [429, "rate_limit_error"],
  [431, "request_too_large"],
]);

export function errorTypeOf(status: number): string {
  return ERROR_TYPES.get(status) ?? "api_error";
}

/** A shorter wait than this is obeyed by every client. */
const SOON_SECONDS = 60;

/**
 * Our own refusal in Anthropic's error JSON, so that clients show its text. `retry-after` (RFC
 * 9110, 10.2.3) says when a retry may help. If that is not soon, `x-should-retry: false` stops the
 * SDKs. Clients that ignore it are stopped by the status of their row: of those seen, each asks
 * once.
 */
export function refuse(fault: Fault, { requestId, client }: RefusedClient) {
  const { status: usual } = FAULTS[fault.code];
  const { retryAfterSeconds: wait } = fault;
  const isFinal = wait === "never" || wait >= SOON_SECONDS;
  const row = CLIENTS.find(({ name }) => name === client);
  const status = usual === 429 && isFinal ? row?.stopStatus ?? usual : usual;
  // The request id is in a header as well.
  const [message, id] = isFinal && row?.readsText ? [fault.plainMessage, undefined] : [fault.message, requestId];
  return {
    status,
    body: JSON.stringify(errorOf({ code: fault.code, message, status }, id)),
    headers: {
      "content-type": "application/json",
      ...isFinal ? { "x-should-retry": "false" } : {},
      ...wait === "never" ? {} : { "retry-after": String(wait) },
    },
  };
}

/** The same as an event of a stream (https://docs.anthropic.com/en/api/messages-streaming). */
export function errorEvent({ code, message }: Fault, requestId: string): string {
  const error = errorOf({ code, message, status: FAULTS[code].status }, requestId);
  return `event: error\ndata: ${JSON.stringify(error)}\n\n`;
}

function errorOf(
  { code, message, status }: Pick<Fault, "code" | "message"> & { readonly status: number },
  requestId?: string,
) {
  const type = status === 429 && "isSpending" in FAULTS[code] ? "billing_error" : errorTypeOf(status);
  return { type: "error", error: { type, message }, request_id: requestId };
}
