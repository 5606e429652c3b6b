import { Fault } from "../domain/fault.ts";
import type { OwnedKind } from "../domain/owned.ts";
import type { PassthroughRoute } from "../domain/provider.ts";
import type { Credential, Upstream } from "../domain/upstream.ts";
import { BodyError, declaredLength, limitBody, readBody, sentOnce, SizedBody } from "../wire/body.ts";
import { JsonCopy } from "../wire/json_copy.ts";
import { pump, type Watch } from "../wire/pump.ts";
import { calledBy } from "./admit.ts";
import { authenticate, type Caller } from "./authenticate.ts";
import { BodyScan } from "./body_scan.ts";
import { claim, type Creation } from "./creation.ts";
import { returned, send } from "./forward.ts";
import { LiveCall } from "./live_call.ts";
import { assertOwner, assertOwnThings } from "./ownership.ts";
import { bodyFault } from "./read.ts";
import { refusedTo } from "./refusals.ts";
import { assertRoom } from "./reservation.ts";
import { belongingOf, namesSession } from "./trace.ts";
import type { Deps, IncomingCall } from "./deps.ts";

export interface PassOptions {
  readonly passthrough: PassthroughRoute;
  /** What the call is about: it passes only for its owner. */
  readonly about: { readonly kind: OwnedKind; readonly id: string } | null;
  /** What a good answer has made, which then is the caller's. */
  readonly makes: OwnedKind | null;
  readonly deps: Deps;
}

/**
 * A call without a row: authenticated, then passed on with both bodies streaming. Resolves when it
 * is over. Rejects with a `Fault` if the proxy itself refuses the call.
 */
export async function pass(incoming: IncomingCall, options: PassOptions): Promise<void> {
  const caller = await authenticate(incoming, options.deps);
  try {
    const { about, makes, passthrough, deps } = options;
    const heldBy = await assertMayPass(caller, incoming, options);
    const { workspaceId } = caller.sandbox;
    const upstream = deps.upstreams.forCall(incoming.provider, { workspaceId, model: "", heldBy });
    const { credentials } = upstream;
    const credential = about === null ? credentials.ofWorkspace(workspaceId) : credentials.holding(heldBy);
    const creation = makes === null ? null : await creationOf(makes, incoming, { caller, upstream, credential, deps });
    if (creation?.kind === "batch") await assertRoom(creation.made, incoming, deps);
    const readsOnMs = creation === null ? 0 : upstream.drainAfterLeftMs;
    const call = new LiveCall({ incoming, caller, upstream, credential, row: null, readsOnMs, route: passthrough.name }, deps);
    await passAs(call, passthrough, creation).finally(() => call.end("completed"));
  } catch (error) {
    throw refusedTo(error, caller);
  }
}

async function passAs(call: LiveCall, passthrough: PassthroughRoute, creation: Creation | null): Promise<void> {
  const { incoming, credential, idle, signal, deps } = call;
  const { client, requestId } = incoming;
  let problem: unknown = null;
  const stream = bodyOf(call, passthrough, (fault) => problem ??= fault);
  const sent = call.payment.signsBody ? sendWhole(call, stream, passthrough) : sendOn(call, stream);
  const answer = await sent.catch(async (error) => {
    throw await call.fail(problem ?? error);
  });
  deps.observe.passed(requestId, passthrough.name, answer.status, incoming);
  const head = returned(answer, credential);
  client.begin(head);
  if (answer.body === null) return await client.end();
  const makes = answer.ok ? creation : null;
  const isSized = makes !== null && head.headers.has("content-length");
  const { watch, close } = watchOf(answer, { passthrough, creation: makes, call });
  try {
    await pump(answer.body, client, { watch, holdsLast: () => makes !== null, isSized, idle, signal });
  } catch {
    await client.break();
  } finally {
    close();
  }
}

/** Sends the body on as it comes. */
async function sendOn(call: LiveCall, stream: ReadableStream<Uint8Array<ArrayBuffer>> | null): Promise<Response> {
  const length = declaredLength(call.incoming.request.headers);
  return await send(call, stream === null || length === null ? stream : new SizedBody(length, stream));
}

/** Holds the body first: what pays depends on its bytes. */
async function sendWhole(
  call: LiveCall,
  stream: ReadableStream<Uint8Array<ArrayBuffer>> | null,
  { maxBodyBytes: maxBytes }: PassthroughRoute,
): Promise<Response> {
  const { incoming, caller: { sandbox }, deps: { bodyDeadlineMs: deadlineMs, budget } } = call;
  const declared = declaredLength(incoming.request.headers);
  const holder = JSON.stringify([sandbox.workspaceId, sandbox.sandboxId]);
  const body = await readBody(stream, { declared, maxBytes, deadlineMs, budget, holder }).catch((error) => {
    throw bodyFault(error);
  });
  try {
    return await send(call, sentOnce(body.bytes), body.bytes);
  } finally {
    body.release();
  }
}

/**
 * Rejects with a `Fault` if the call may not be made, is too large, or cannot be recorded. Resolves
 * as `assertOwner` does, or to null if the call is about nothing that is owned.
 */
async function assertMayPass(caller: Caller, incoming: IncomingCall, options: PassOptions): Promise<string | null> {
  const { passthrough, about, makes, deps } = options;
  const { sandbox, token } = caller;
  const { request } = incoming;
  const { headers } = request;
  if (passthrough.joinsTrace && namesSession(headers, { token, deps })) {
    belongingOf({ incoming, asked: null, caller }, deps).then(({ trace }) => deps.ledger.join(trace))
      .catch((cause) => deps.observe.note("warn", "a trace's activity could not be recorded", { cause }));
  }
  const heldBy = about === null ? null : await assertOwner(about, { sandbox, deps });
  if ((declaredLength(headers) ?? 0) > passthrough.maxBodyBytes) throw bodyFault(new BodyError("too_large"));
  if (about?.kind === "batch" && request.method === "DELETE") await deps.batches.accountFor(about.id);
  const trouble = makes === null ? null : deps.ledger.trouble();
  if (trouble === null) return heldBy;
  throw new Fault("ledger_unavailable", "Nothing can be recorded at the moment, so nothing is made", { cause: trouble });
}

async function creationOf(
  kind: OwnedKind,
  incoming: IncomingCall,
  { caller, upstream, credential, deps }: {
    readonly caller: Caller;
    readonly upstream: Upstream;
    readonly credential: Credential;
    readonly deps: Deps;
  },
): Promise<Creation> {
  const belonging = await belongingOf({ incoming, asked: null, caller }, deps);
  return { kind, made: calledBy(incoming, { caller, belonging, upstream, credential, deps }), trace: belonging.trace };
}

/** The body as it goes on: within its limit, and without an end if it names another's thing. */
function bodyOf(
  { incoming: { request, provider }, caller: { sandbox }, idle, deps }: LiveCall,
  passthrough: PassthroughRoute,
  onProblem: (fault: unknown) => void,
): ReadableStream<Uint8Array<ArrayBuffer>> | null {
  if (request.body === null) return null;
  const limited = limitBody(request.body as ReadableStream<Uint8Array<ArrayBuffer>>, {
    maxBytes: passthrough.maxBodyBytes,
    deadlineMs: deps.bodyDeadlineMs,
    onProblem: (error) => onProblem(bodyFault(error)),
    idle,
  });
  if (!passthrough.namesOwned) return limited;
  const named = new BodyScan(request.headers.get("content-encoding") ?? "", {
    maxDecodedBytes: passthrough.maxBodyBytes,
    ownedKeys: provider.owned.keys,
    keys: [],
  });
  const reader = limited.getReader();
  let held: Uint8Array<ArrayBuffer> | null = null;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      try {
        for (let earlier: typeof held = null; earlier === null;) {
          const { value = null } = await reader.read();
          await (value === null ? named.end() : named.push(value));
          await assertOwnThings(named.takeIds(), { sandbox, provider, deps });
          [earlier, held] = [held, value];
          if (earlier !== null) controller.enqueue(earlier);
          if (value === null) return controller.close();
        }
      } catch (error) {
        // The upstream has not seen the last bytes, and a body without them is no request.
        onProblem(error);
        named.close();
        reader.cancel(error).catch(() => {});
        throw error;
      }
    },
    cancel(reason) {
      named.close();
      return reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
}

/**
 * Reads a copy of the answer if that tells something. What a call made is claimed before the last
 * bytes pass. If the connection's end is the answer's end, a cut shows only in the JSON itself
 * (RFC 9112, section 8).
 */
function watchOf(
  { ok, headers }: Response,
  { passthrough, creation, call }: {
    readonly passthrough: PassthroughRoute;
    readonly creation: Creation | null;
    readonly call: LiveCall;
  },
): { readonly watch: Watch; readonly close: () => void } {
  const showsEnd = !passthrough.answersJson || !ok || headers.has("content-length") || headers.has("transfer-encoding");
  if (creation === null && showsEnd) return UNWATCHED;
  const copy = new JsonCopy(headers, {
    keys: creation === null ? [] : ["id", "type"],
    maxValueBytes: MAX_ID_BYTES,
    maxDecodedBytes: MAX_DECODED_BYTES,
  });
  const ended = async () => {
    const { values, isCut } = await copy.end();
    if (creation !== null) await claim(values, creation, call);
    return isCut ? "broken" as const : "whole" as const;
  };
  return { watch: { look: (chunk) => copy.push(chunk), ended }, close: () => copy.close() };
}

/** The longest `id` of an answer that is read, and the most that is decoded of a compressed one. */
const MAX_ID_BYTES = 1024;
const MAX_DECODED_BYTES = 16 * 1024 * 1024;

const UNWATCHED = {
  watch: { look: () => {}, ended: () => Promise.resolve("whole" as const) },
  close: () => {},
};
