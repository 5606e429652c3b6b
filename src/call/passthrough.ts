import { Fault } from "../domain/fault.ts";
import type { OwnedKind } from "../domain/owned.ts";
import type { PassthroughRoute } from "../domain/provider.ts";
import type { Credential, Upstream } from "../domain/upstream.ts";
import { BodyError, declaredLength, limitBody, readBody, sentOnce, SizedBody } from "../wire/body.ts";
import { JsonCopy } from "../wire/json_copy.ts";
import { pump, type Watch } from "../wire/pump.ts";
import { calledBy } from "./admit.ts";
import { authenticate, type Caller } from "./authenticate.ts";
import { BatchModels } from "./batch_models.ts";
import { BodyNames } from "./body_names.ts";
import { assertHasKeys } from "./body_scan.ts";
import { claim, type Creation } from "./creation.ts";
import { returned, send } from "./forward.ts";
import { LiveCall } from "./live_call.ts";
import { AnswerClaims } from "./answer_claims.ts";
import { assertOwner, assertOwnThings, namedIn } from "./ownership.ts";
import { bodyFault } from "./read.ts";
import { refusedTo } from "./refusals.ts";
import { assertRoom } from "./reservation.ts";
import { belongingOf, namesSession } from "./trace.ts";
import type { Deps, IncomingCall } from "./deps.ts";

export interface PassOptions {
  readonly passthrough: PassthroughRoute;
  /** What the call is about: it passes only for its owner. */
  readonly about: { readonly kind: OwnedKind; readonly id: string } | null;
  /** Of what the call is about: as the route says. */
  readonly yields?: Readonly<Record<string, OwnedKind>>;
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
    const upstream = deps.upstreams.forCall(incoming.provider, { workspaceId, model: null, heldBy });
    const { credentials } = upstream;
    const credential = about === null ? credentials.ofWorkspace(workspaceId) : credentials.holding(heldBy);
    const creation = makes === null ? null : await creationOf(makes, incoming, { caller, upstream, credential, deps });
    if (creation?.kind === "batch") await assertRoom(creation.made, incoming, deps);
    const readsOnMs = creation === null ? 0 : upstream.drainAfterLeftMs;
    const call = new LiveCall({ incoming, caller, upstream, credential, row: null, readsOnMs, route: passthrough.name }, deps);
    await passAs(call, options, creation).finally(() => call.end("completed"));
  } catch (error) {
    throw refusedTo(error, caller);
  }
}

async function passAs(call: LiveCall, options: PassOptions, creation: Creation | null): Promise<void> {
  const { incoming, idle, signal, deps } = call;
  const { passthrough } = options;
  const { client, requestId } = incoming;
  let problem: unknown = null;
  const stream = bodyOf(call, options, (fault) => problem ??= fault);
  const sent = call.payment.signsBody ? sendWhole(call, stream, passthrough) : sendOn(call, stream);
  const answer = await sent.catch(async (error) => {
    throw await call.fail(problem ?? error);
  });
  deps.observe.passed(requestId, passthrough.name, answer.status, incoming);
  const head = returned(answer, call);
  client.begin(head);
  if (answer.body === null) return await client.end();
  const makes = answer.ok ? creation : null;
  const { watch, close, holdsLast } = watchOf(answer, { options, creation: makes, call });
  try {
    const isSized = holdsLast && head.headers.has("content-length");
    await pump(answer.body, client, { watch, holdsLast: () => holdsLast, isSized, idle, signal });
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
  const { request, target, provider } = incoming;
  const { headers } = request;
  if (passthrough.joinsTrace && namesSession(headers, { token, deps })) {
    belongingOf({ incoming, asked: null, caller }, deps).then(({ trace }) => deps.ledger.join(trace))
      .catch((cause) => deps.observe.note("warn", "a trace's activity could not be recorded", { cause }));
  }
  const heldBy = about === null ? null : await assertOwner(about, { sandbox, deps });
  const behind = about === null ? Infinity : target.split("?", 1)[0]!.split("/").indexOf(about.id) + 1;
  const alsoHeldBy = await assertOwnThings(namedIn(target, provider, behind), { sandbox, provider, deps });
  if (passthrough.namesOwned) assertHasKeys(headers.get("content-type"));
  if ((declaredLength(headers) ?? 0) > passthrough.maxBodyBytes) throw bodyFault(new BodyError("too_large"));
  const isCounted = about?.kind === "batch" ? provider.batches !== undefined : about?.kind === "response";
  if (isCounted && request.method === "DELETE") await deps.batches.accountFor(about!.id);
  const trouble = makes === null ? null : deps.ledger.trouble();
  if (trouble === null) return heldBy ?? alsoHeldBy.heldBy;
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
  { incoming: { request, provider }, caller: { sandbox }, upstream, idle, deps }: LiveCall,
  { passthrough, about, makes }: PassOptions,
  onProblem: (fault: unknown) => void,
): ReadableStream<Uint8Array<ArrayBuffer>> | null {
  if (request.body === null) return null;
  const limited = limitBody(request.body as ReadableStream<Uint8Array<ArrayBuffer>>, {
    maxBytes: passthrough.maxBodyBytes,
    deadlineMs: deps.bodyDeadlineMs,
    onProblem: (error) => onProblem(bodyFault(error)),
    idle,
  });
  const { namesOwned, namesOwnedIf, maxBodyBytes } = passthrough;
  if (!namesOwned && namesOwnedIf === undefined && about === null) return limited;
  const contentEncoding = request.headers.get("content-encoding") ?? "";
  const { workspaceId } = sandbox;
  const models = makes === "batch"
    ? BatchModels.of({ contentEncoding, maxDecodedBytes: maxBodyBytes, upstream, workspaceId })
    : null;
  const names = new BodyNames({
    contentType: request.headers.get("content-type") ?? "",
    contentEncoding,
    maxDecodedBytes: maxBodyBytes,
    owned: provider.owned,
    ...namesOwnedIf === undefined ? {} : { namesOwnedIf },
  });
  const reader = limited.getReader();
  let held: Uint8Array<ArrayBuffer> | null = null;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      try {
        for (let earlier: typeof held = null; earlier === null;) {
          const { value = null } = await reader.read();
          if (value !== null) await names.push(value);
          const named = value === null ? await names.end() : names.take();
          await assertOwnThings(named, { sandbox, provider, deps });
          await (value === null ? models?.end() : models?.push(value));
          [earlier, held] = [held, value];
          if (earlier !== null) controller.enqueue(earlier);
          if (value === null) return controller.close();
        }
      } catch (error) {
        // The upstream has not seen the last bytes, and a body without them is no request.
        onProblem(error);
        names.close();
        models?.close();
        reader.cancel(error).catch(() => {});
        throw error;
      }
    },
    cancel(reason) {
      names.close();
      models?.close();
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
  { options: { passthrough, about, yields }, creation, call }: {
    readonly options: PassOptions;
    readonly creation: Creation | null;
    readonly call: LiveCall;
  },
): { readonly watch: Watch; readonly close: () => void; readonly holdsLast: boolean } {
  const showsEnd = !passthrough.answersJson || !ok || headers.has("content-length") || headers.has("transfer-encoding");
  const claims = ok && about !== null ? AnswerClaims.of({ kind: about.kind, yields }, call) : null;
  if (creation === null && claims === null && showsEnd) return UNWATCHED;
  const copy = new JsonCopy(headers, {
    keys: creation === null ? claims?.keys ?? [] : ["id", "type"],
    maxValueBytes: MAX_ID_BYTES,
    maxDecodedBytes: MAX_DECODED_BYTES,
    onChunk: (chunk) => claims?.look(chunk),
  });
  const ended = async () => {
    const { values, isCut } = await copy.end();
    if (creation !== null) await claim(values, creation, call);
    await claims?.claim(values);
    return isCut ? "broken" as const : "whole" as const;
  };
  // A chunk that is held would delay the events of a stream.
  const isStream = /^text\/event-stream\b/i.test(headers.get("content-type") ?? "");
  const holdsLast = creation !== null || (claims !== null && !isStream);
  return { watch: { look: (chunk) => copy.push(chunk), ended }, close: () => copy.close(), holdsLast };
}

/** The longest `id` of an answer that is read, and the most that is decoded of a compressed one. */
const MAX_ID_BYTES = 1024;
const MAX_DECODED_BYTES = 16 * 1024 * 1024;

const UNWATCHED = {
  watch: { look: () => {}, ended: () => Promise.resolve("whole" as const) },
  close: () => {},
  holdsLast: false,
};
