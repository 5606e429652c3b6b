import { type Fault, FAULTS } from "../../domain/fault.ts";
import type { RefusedClient } from "../../domain/provider.ts";
import { CLIENTS } from "../clients.ts";
import { statusNameOf } from "../google_error.ts";

/** Clients obey a shorter wait. */
const SOON_SECONDS = 60;
/**
 * Clients take it for the last word. Gemini CLI (0.61) asks again after a 429 and after every 5xx,
 * whatever the headers say.
 */
const STOP_STATUS = 403;

/**
 * Our own refusal in Google's error JSON (https://google.aip.dev/193). Gemini CLI reads from the
 * body how long to wait, not from `retry-after`.
 */
export function refuse(fault: Fault, { requestId, client }: RefusedClient) {
  const { status: usual } = FAULTS[fault.code];
  const { retryAfterSeconds: wait } = fault;
  const isFinal = wait === "never" || wait >= SOON_SECONDS;
  const status = isFinal && (usual === 429 || usual >= 500) ? STOP_STATUS : usual;
  const isBare = isFinal && CLIENTS.find(({ name }) => name === client)?.readsText === true;
  const [message, id] = isBare ? [fault.plainMessage, null] : [fault.message, requestId];
  return {
    status,
    body: JSON.stringify(errorOf({ status, message, requestId: id, waitSeconds: isFinal ? null : wait })),
    headers: {
      "content-type": "application/json; charset=UTF-8",
      ...wait === "never" ? {} : { "retry-after": String(wait) },
    },
  };
}

/** The same as an event of a stream. */
export function errorEvent({ code, message }: Fault, requestId: string): string {
  const error = errorOf({ status: FAULTS[code].status, message, requestId, waitSeconds: null });
  return `data: ${JSON.stringify(error)}\r\n\r\n`;
}

interface Said {
  readonly status: number;
  readonly message: string;
  /** Null: it is in a header only. */
  readonly requestId: string | null;
  /** Null: no wait helps soon. */
  readonly waitSeconds: number | null;
}

function errorOf({ status, message, requestId, waitSeconds }: Said) {
  const details = [
    ...waitSeconds === null ? [] : [{ "@type": `${TYPES}RetryInfo`, retryDelay: `${waitSeconds}s` }],
    ...requestId === null ? [] : [{ "@type": `${TYPES}RequestInfo`, requestId }],
  ];
  return { error: { code: status, message, status: statusNameOf(status), details } };
}

/** https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto */
const TYPES = "type.googleapis.com/google.rpc.";
