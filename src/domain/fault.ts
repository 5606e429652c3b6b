import { ALL_KINDS, LIMIT_KINDS, type LimitKind } from "./limits.ts";
import type { Sandbox } from "./sandbox.ts";

/** How the proxy itself refuses a call. What the upstream answers is never a fault. */
interface FaultShape {
  readonly status: number;
  /** Seconds after which a retry may help; "never" stops clients from retrying. */
  readonly retryAfterSeconds: number | "never";
  /** It is about money. */
  readonly isSpending?: true;
}

type LimitFaults = { readonly [K in LimitKind as `over_${K}`]: FaultShape };

/**
 * One for each kind of limit, so that refusals are counted by kind. Each says when to ask again.
 */
const LIMIT_FAULTS = Object.fromEntries(ALL_KINDS.map((kind) => {
  const spending = LIMIT_KINDS[kind].counts === "cost" ? { isSpending: true } as const : {};
  return [`over_${kind}`, { status: 429, retryAfterSeconds: 1, ...spending } satisfies FaultShape];
})) as LimitFaults;

/** The closed table: a new fault is one row. */
export const FAULTS = {
  unauthenticated: { status: 401, retryAfterSeconds: "never" },
  sandbox_inactive: { status: 403, retryAfterSeconds: "never" },
  suspended: { status: 403, retryAfterSeconds: "never" },
  authority_unavailable: { status: 503, retryAfterSeconds: 5 },
  path_not_allowed: { status: 403, retryAfterSeconds: "never" },
  /** No upstream offers the model to the workspace. */
  model_not_allowed: { status: 403, retryAfterSeconds: "never" },
  /** A file or batch that does not exist or is another workspace's. */
  not_owned: { status: 404, retryAfterSeconds: "never" },
  /** A wrong base URL. Clients show the text of a 421 (RFC 9110, 15.5.20) and do not retry. */
  path_misdirected: { status: 421, retryAfterSeconds: "never" },
  path_unknown: { status: 404, retryAfterSeconds: "never" },
  /** The client offers a protocol that the proxy does not speak (RFC 9110, 15.5.22). */
  upgrade_refused: { status: 426, retryAfterSeconds: "never" },
  /** What came is no HTTP/1.1 request, so nothing of it is believed. */
  head_malformed: { status: 400, retryAfterSeconds: "never" },
  head_too_large: { status: 431, retryAfterSeconds: "never" },
  head_timeout: { status: 408, retryAfterSeconds: 1 },
  body_too_large: { status: 413, retryAfterSeconds: "never" },
  body_timeout: { status: 408, retryAfterSeconds: 1 },
  body_opaque: { status: 415, retryAfterSeconds: "never" },
  body_cut: { status: 400, retryAfterSeconds: "never" },
  /** The call would not tell what it used, and the operator wants that of every call. */
  unmetered: { status: 400, retryAfterSeconds: "never" },
  overloaded: { status: 503, retryAfterSeconds: 1 },
  ...LIMIT_FAULTS,
  /** The same question came many times. The refusal says when the pause ends. */
  looping: { status: 429, retryAfterSeconds: 1 },
  /** A limit of cost cannot be held for a model without a price. */
  unpriced_model: { status: 403, retryAfterSeconds: "never" },
  draining: { status: 503, retryAfterSeconds: 5 },
  ledger_unavailable: { status: 503, retryAfterSeconds: 5 },
  upstream_unreachable: { status: 502, retryAfterSeconds: 1 },
  upstream_timeout: { status: 504, retryAfterSeconds: 1 },
  /** "never", unless another credential pays from now on. */
  upstream_refused_credential: { status: 502, retryAfterSeconds: "never" },
  /** The upstream asked for a wait. The refusal says how long it still is. */
  upstream_busy: { status: 429, retryAfterSeconds: 1 },
  call_cut: { status: 403, retryAfterSeconds: "never" },
  /** The client is gone; 499 is nginx's status for it. */
  client_left: { status: 499, retryAfterSeconds: "never" },
  internal_error: { status: 500, retryAfterSeconds: 1 },
} as const satisfies Record<string, FaultShape>;

export type FaultCode = keyof typeof FAULTS;

/**
 * Our own refusal. `message` goes to the sandbox, so it holds no host, key, token or SQL; the
 * detail is in `cause`, which is logged and never sent.
 */
export class Fault extends Error {
  readonly code: FaultCode;
  /** The table's, unless this refusal knows better. */
  readonly retryAfterSeconds: number | "never";
  /** Who calls, if that is known. Never sent. */
  readonly sandbox: Sandbox | null;
  /** What the body says of its user; undefined if nothing has read the body. Never sent. */
  readonly userId: string | null | undefined;
  /** The message without amounts, for clients that take 500 in it for a status. */
  readonly plainMessage: string;

  constructor(code: FaultCode, message: string, options: FaultOptions = {}) {
    super(message, options);
    this.name = "Fault";
    this.code = code;
    this.retryAfterSeconds = options.retryAfterSeconds ?? FAULTS[code].retryAfterSeconds;
    this.sandbox = options.sandbox ?? null;
    this.userId = options.userId;
    this.plainMessage = options.plainMessage ?? message;
  }
}

export interface FaultOptions {
  readonly cause?: unknown;
  readonly sandbox?: Sandbox | null;
  readonly userId?: string | null | undefined;
  /** Instead of the table's. */
  readonly retryAfterSeconds?: number | "never";
  readonly plainMessage?: string;
}
