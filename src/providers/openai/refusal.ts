import { type Fault, FAULTS } from "../../domain/fault.ts";
import type { RefusedClient } from "../../domain/provider.ts";
import { CLIENTS } from "../clients.ts";

/** As an answer's error says it in `code`, otherwise in `type`. */
export function errorTypeOf(status: number): string {
  return status === 401 ? "invalid_api_key" : typeOf(status);
}

/** https://platform.openai.com/docs/guides/error-codes */
function typeOf(status: number): string {
  if (status >= 500) return "server_error";
  return status === 429 ? "rate_limit_exceeded" : "invalid_request_error";
}

/** A shorter wait than this is obeyed by every client; openai-node takes no longer one for true. */
const SOON_SECONDS = 60;

/**
 * Clients that ask again whatever `x-should-retry` says, and the one status that stops them. Codex
 * (0.171.0) asks once after a 400 and shows its text; it asks six times after a 401, 402, 403, 404
 * or 413, thirty times after a 500 or 502, and waits for a long `retry-after` without a word.
 */
const STOPPED_BY: ReadonlyMap<string, 400> = new Map([["codex", 400]]);

/** These do not stop the others, unless they obey `x-should-retry`. */
const ASKED_AGAIN: ReadonlySet<number> = new Set([408, 409, 429]);

/**
 * Our own refusal in OpenAI's error JSON, so that clients show its text. `retry-after` (RFC 9110,
 * 10.2.3) says when a retry may help. If that is not soon, `x-should-retry: false` stops the SDKs.
 * Other clients are stopped by the status that each was seen to obey.
 */
export function refuse(fault: Fault, { client }: RefusedClient) {
  const { status: usual } = FAULTS[fault.code];
  const { retryAfterSeconds: wait } = fault;
  const isFinal = wait === "never" || wait >= SOON_SECONDS;
  const status = isFinal ? finalStatusOf(usual, client) : usual;
  const readsText = CLIENTS.find(({ name }) => name === client)?.readsText === true;
  const message = isFinal && readsText ? fault.plainMessage : fault.message;
  return {
    status,
    body: JSON.stringify({ error: errorOf(fault, { message, status }) }),
    headers: {
      "content-type": "application/json",
      ...isFinal ? { "x-should-retry": "false" } : {},
      ...wait === "never" || status === 400 ? {} : { "retry-after": String(wait) },
      // A 426 names the protocol to go on with (RFC 9110, 15.5.22). node:http (Deno 2.9.6) reads no
      // further request of a connection on which a WebSocket was asked for, so it ends.
      ...status === 426 ? { "upgrade": "HTTP/1.1", "connection": "upgrade, close" } : {},
    },
  };
}

function finalStatusOf(usual: number, client: string | null): number {
  // It sends Codex from WebSocket to HTTP at once, and is no error for it.
  if (usual === 426) return usual;
  const stoppedBy = STOPPED_BY.get(client ?? "");
  if (stoppedBy !== undefined) return stoppedBy;
  const isAskedAgain = usual >= 500 || ASKED_AGAIN.has(usual);
  return isAskedAgain ? CLIENTS.find(({ name }) => name === client)?.stopStatus ?? usual : usual;
}

/**
 * The same as an event of a stream. Both APIs' readers know it: one by the event's name and `type`,
 * the other by the `error` in its data.
 */
export function errorEvent(fault: Fault, _requestId: string): string {
  const error = errorOf(fault, { message: fault.message, status: FAULTS[fault.code].status });
  const { code, message, param } = error;
  return `event: error\ndata: ${JSON.stringify({ type: "error", sequence_number: 0, code, message, param, error })}\n\n`;
}

function errorOf({ code }: Fault, { message, status }: { readonly message: string; readonly status: number }) {
  const type = status === 429 && "isSpending" in FAULTS[code] ? "insufficient_quota" : typeOf(status);
  return { message, type, param: null, code: CODES.get(code) ?? code };
}

/** Continue asks again after any refusal with the word "overloaded" in it. */
const CODES: ReadonlyMap<string, string> = new Map([["overloaded", "proxy_busy"]]);
