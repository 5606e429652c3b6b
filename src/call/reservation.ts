import { Buffer } from "node:buffer";
import { Fault } from "../domain/fault.ts";
import { addedTo, type Bound, LIMIT_KINDS, type LimitRefusal, type Reservation } from "../domain/limits.ts";
import { costUsd } from "../domain/money.ts";
import type { Closing, OpenCall } from "../domain/usage.ts";
import type { RequestFacts } from "./read.ts";
import type { Deps, IncomingBilled, IncomingCall } from "./deps.ts";

/** What an admitted call holds of its limits. One of the two is called, once. */
export interface Hold {
  /** The call ended. */
  readonly settle: (closing: Closing) => void;
  /** The call never began. */
  readonly release: () => void;
}

/** For a place among running calls: it is free at any time. */
const PLACE_SECONDS = 2;

/**
 * Reserves what the call may use in all its limits; null: it has none. Rejects with a `Fault` of
 * the limit's kind, `unpriced_model`, or, while it waits for a place, the signal's reason.
 */
export async function reserve(
  call: OpenCall,
  { incoming, facts, signal }: {
    readonly incoming: IncomingBilled;
    readonly facts: RequestFacts;
    readonly signal: AbortSignal;
  },
  deps: Deps,
): Promise<Hold | null> {
  const { limits, loops } = deps;
  const pauseEnd = loops.pausedUntil(call);
  if (pauseEnd !== null) throw looping(pauseEnd, deps.now());
  const bounds = limits.boundsOf(call);
  if (bounds.length === 0) return null;
  const reservation = reservationOf(call, { incoming, facts, bounds, deps });
  const refusal = await limits.reserve(reservation, bounds, signal);
  if (refusal !== null) throw overLimit(refusal, reservation, deps.now());
  const { id } = call;
  return {
    settle: ({ cost, reading }) => {
      const { inputTokens, outputTokens, cacheCreationInputTokens, cacheReadInputTokens } = reading;
      const tokens = inputTokens + outputTokens + cacheCreationInputTokens + cacheReadInputTokens;
      limits.settle({ id, tokens, cost: cost ?? 0 });
    },
    release: () => limits.release(id),
  };
}

/**
 * Rejects as `reserve` does if a limit is used up that would count the lines of a batch, with
 * `client_left` or with `draining`. Nothing is held for the lines: they are not known yet.
 */
export async function assertRoom(made: OpenCall, incoming: IncomingCall, deps: Deps): Promise<void> {
  const { limits } = deps;
  const bounds = limits.boundsOf(made).filter(({ kind }) => LIMIT_KINDS[kind].counts !== "running");
  if (bounds.length === 0) return;
  const { id, instanceId: holder, workspaceId, sandboxId, traceId, createdAt } = made;
  const least: Reservation = { id, workspaceId, sandboxId, traceId, holder, createdAt, tokens: 1, cost: 1 };
  const refusal = await limits.reserve(least, bounds, whileWanted(incoming, deps));
  if (refusal !== null) throw overLimit(refusal, null, deps.now());
  limits.release(id);
}

/** Aborts if the client leaves or the proxy stops. */
export function whileWanted({ client }: IncomingCall, { traffic }: Deps): AbortSignal {
  const left = new AbortController();
  client.onLeft(() => left.abort(new Fault("client_left", "The client left before its call was admitted.")));
  return AbortSignal.any([left.signal, traffic.draining]);
}

function reservationOf(
  call: OpenCall,
  { incoming: { dialect: { request } }, facts, bounds, deps }: {
    readonly incoming: IncomingBilled;
    readonly facts: RequestFacts;
    readonly bounds: readonly Bound[];
    readonly deps: Deps;
  },
): Reservation {
  const { id, instanceId: holder, workspaceId, sandboxId, traceId, createdAt } = call;
  const { isCompressed, namesFiles, maxTokens, speed, inferenceGeo, body } = facts;
  const { estimates, unpriced } = deps;
  const mayCache = estimates.needsCacheMarks && (request.cachesUnasked || mayHaveKey(body.bytes, request.cacheMarkKey));
  const { tokens, cost } = estimates.of({
    provider: call.provider,
    model: call.requestedModel,
    bytes: call.requestBytes,
    at: createdAt,
    ...{ isCompressed, namesFiles, mayCache, maxTokens, speed, inferenceGeo },
  });
  const countsCost = bounds.some(({ kind }) => LIMIT_KINDS[kind].counts === "cost");
  if (cost === null && countsCost && unpriced === "refuse") {
    throw new Fault(
      "unpriced_model",
      "This workspace has a spending limit, and this model has no price here, so the limit cannot be held. " +
        "Choose another model, or ask the operator of the proxy to add its price.",
    );
  }
  return { id, workspaceId, sandboxId, traceId, holder, createdAt, tokens, cost: cost ?? 0 };
}

/** Also if the key may be written with escapes. */
function mayHaveKey(body: Uint8Array, key: string): boolean {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return bytes.includes(`"${key}"`) || bytes.includes("\\u");
}

function looping(until: number, now: number): Fault {
  const plainMessage = "This session asks the same question again and again, and pauses. Do not ask again; tell its user.";
  const message = `This session asked the same question many times, so it pauses until ${secondOf(until)}. ` +
    "Tell its user: the agent may be stuck in a loop.";
  return new Fault("looping", message, { retryAfterSeconds: secondsTo(until, now), plainMessage });
}

function secondsTo(until: number, now: number): number {
  return Math.max(1, Math.ceil((until - now) / 1_000));
}

/** `call`: what it may use; null if that is not known. */
function overLimit({ bound, used, pausedUntil }: LimitRefusal, call: Reservation | null, now: number): Fault {
  const { kind, scope, max } = bound;
  const until = pausedUntil ?? bound.until;
  const { counts, words } = LIMIT_KINDS[kind];
  const whose = scope === "trace" ? "session" : scope;
  if (until === null) {
    const message = `This ${whose} already has ${max} ${words}, as many as its limit (${kind}) allows. Ask again in a moment.`;
    return new Fault(`over_${kind}`, message, { retryAfterSeconds: PLACE_SECONDS });
  }
  const reset = `${pausedUntil === undefined ? "The limit will reset at" : "The session pauses until"} ${secondOf(until)}.`;
  // Agents know by "quota exceeded" that they must not ask again: pi at once, at any status.
  const message = `Quota exceeded. This ${whose} has used ${amount(used)} of its limit of ${amount(max)} ${words} (${kind})` +
    `${call === null || counts === "requests" ? "" : `, and this call may use ${amount(addedTo(bound, call))}`}. ${reset}`;
  const plainMessage = `Quota exceeded. The limit ${kind} of this ${whose} is used up. ${reset}`;
  return new Fault(`over_${kind}`, message, { retryAfterSeconds: secondsTo(until, now), plainMessage });

  function amount(value: number): string {
    return counts === "cost" ? shortUsd(value) : value.toLocaleString("en-US");
  }
}

/** UTC, without milliseconds: three digits in a row look like a status. */
function secondOf(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}

/** Dollars with two places, or as many as are needed. */
function shortUsd(nanoDollars: number): string {
  return costUsd(nanoDollars).replace(/(\.\d\d\d*?)0*$/, "$1");
}
