import { Fault } from "../domain/fault.ts";
import type { OwnedKind } from "../domain/owned.ts";
import type { PassthroughRoute } from "../domain/provider.ts";
import type { Sandbox } from "../domain/sandbox.ts";
import { BodyError, declaredLength, limitBody } from "../wire/body.ts";
import { JsonCopy } from "../wire/json_copy.ts";
import { IdleTimeout, UPSTREAM_IDLE } from "../wire/idle_timeout.ts";
import { tap, type Watch } from "../wire/tap.ts";
import { authenticate } from "./authenticate.ts";
import { claimed, Creation } from "./creation.ts";
import { failureOf, refusedCredential, returned, send } from "./forward.ts";
import { BodyScan } from "./body_scan.ts";
import { assertOwner, assertOwnFiles } from "./ownership.ts";
import { bodyFault } from "./read.ts";
import { belongingOf, namesSession } from "./trace.ts";
import { CLIENT_LEFT } from "./traffic.ts";
import type { Deps, IncomingCall } from "./deps.ts";

export interface PassOptions {
  readonly passage: PassthroughRoute;
  /** What the call is about: it passes only for its owner. */
  readonly about: { readonly kind: OwnedKind; readonly id: string } | null;
  /** What a good answer has made, which then is the caller's. */
  readonly makes: OwnedKind | null;
  /** Settles when the answer's last byte has been delivered or the client has gone. */
  readonly over: Promise<unknown>;
  readonly deps: Deps;
}

/** A call without a row: authenticated, then passed on with streaming bodies in both directions. */
export async function pass(arrival: IncomingCall, options: PassOptions): Promise<Response> {
  const { passage, about, makes, deps } = options;
  const { request } = arrival;
  const sandbox = await authenticate(arrival, deps);
  const called = { headers: request.headers, asked: null, sandbox };
  if (passage.joinsTrace && namesSession(request.headers, deps)) {
    belongingOf(called, deps).then(({ trace }) => deps.ledger.join(trace))
      .catch((cause) => deps.observe.note("warn", "a trace's activity could not be recorded", { cause }));
  }
  if (about !== null) await assertOwner(about, { sandbox, deps });
  if ((declaredLength(request.headers) ?? 0) > passage.maxBodyBytes) throw bodyFault(new BodyError("too_large"));
  if (about?.kind === "batch" && request.method === "DELETE") await deps.batches.accountFor(about.id);

  if (makes !== null) assertRecordable(deps);
  const credential = deps.upstream.credential();
  const creation = makes === null ? null : new Creation(arrival, {
    kind: makes,
    sandbox,
    belonging: await belongingOf(called, deps),
    credential,
    deps,
  });
  const over = creation?.over ?? options.over;
  const controller = deps.traffic.controllerUntil(over, arrival.requestId);
  const silence = new IdleTimeout({
    ms: deps.upstream.idleMs,
    elapsed: deps.elapsed,
    onIdle: () => controller.abort(UPSTREAM_IDLE),
  });
  const ended = () => silence.end();
  over.then(ended, ended);
  silence.listen();
  request.signal.addEventListener("abort", () => creation === null ? controller.abort(CLIENT_LEFT) : creation.leave(controller));
  const problem: { fault: unknown } = { fault: null };
  const body = bodyOf(arrival, { passage, sandbox, deps, silence, onProblem: (fault) => problem.fault ??= fault });
  try {
    const answer = await send(arrival, { body, credential, signal: controller.signal, deps }).catch((error) => {
      throw problem.fault ?? failureOf(controller.signal, error).fault;
    });
    if (answer.status === 401) throw refusedCredential(answer, arrival, { credential, deps });
    deps.observe.passed(arrival.requestId, passage.name, answer.status, arrival);
    silence.heard();
    const init = returned(answer, credential);
    if (creation !== null) return claimed(answer, init, { creation, silence });
    const passing = answer.body === null
      ? null
      : tap(answer.body, watchOf(answer, passage), { holdsLast: false, isSized: false, silence });
    return new Response(passing, init);
  } catch (error) {
    creation?.end();
    throw error;
  }
}

/** What nobody could claim must not be made. Throws `Fault` `ledger_unavailable`. */
function assertRecordable({ ledger }: Deps): void {
  const trouble = ledger.trouble();
  if (trouble === null) return;
  throw new Fault("ledger_unavailable", "Nothing can be recorded at the moment, so nothing is made", { cause: trouble });
}

/** The request's body as it goes on: within its limit, and not to its end where it names what is not the caller's. */
function bodyOf(
  { request }: IncomingCall,
  { passage, sandbox, deps, silence, onProblem }: {
    readonly passage: PassthroughRoute;
    readonly sandbox: Sandbox;
    readonly deps: Deps;
    readonly silence: IdleTimeout;
    readonly onProblem: (fault: unknown) => void;
  },
): ReadableStream<Uint8Array<ArrayBuffer>> | null {
  if (request.body === null) return null;
  const limited = limitBody(request.body as ReadableStream<Uint8Array<ArrayBuffer>>, {
    maxBytes: passage.maxBodyBytes,
    deadlineMs: deps.limits.bodyDeadlineMs,
    onProblem: (error) => onProblem(bodyFault(error)),
    silence,
  });
  if (!passage.namesFiles) return limited;
  const files = new BodyScan(request.headers.get("content-encoding") ?? "", {
    maxDecodedBytes: passage.maxBodyBytes,
    fileKey: deps.provider.request.fileKey,
    keys: [],
  });
  const reader = limited.getReader();
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      try {
        const { value, done } = await reader.read();
        await (done ? files.end() : files.push(value));
        await assertOwnFiles(files.takeFileIds(), { sandbox, deps });
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        // The upstream has seen no end, and a body without one is no request.
        onProblem(error);
        files.close();
        reader.cancel(error).catch(() => {});
        throw error;
      }
    },
    cancel(reason) {
      files.close();
      return reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
}

/**
 * Where the end of the connection is the end of the answer, a cut shows only in the JSON itself
 * (RFC 9112, section 8).
 */
function watchOf(answer: Response, { answersJson }: PassthroughRoute): Watch {
  if (!answersJson || !answer.ok || answer.headers.has("content-length") || answer.headers.has("transfer-encoding")) {
    return UNWATCHED;
  }
  const copy = new JsonCopy(answer.headers, { keys: [], maxValueBytes: 0, maxDecodedBytes: MAX_DECODED_BYTES });
  return {
    look: (chunk) => copy.push(chunk),
    ended: async () => (await copy.end()).isCut ? "broken" : "tidy",
    broke: () => Promise.resolve(copy.close()),
    left: () => {
      copy.close();
      return "cancel";
    },
  };
}

/** The most that is decoded of a compressed answer whose end nothing but its content tells. */
const MAX_DECODED_BYTES = 16 * 1024 * 1024;

const UNWATCHED: Watch = {
  look: () => {},
  ended: () => Promise.resolve("tidy"),
  broke: () => Promise.resolve(),
  left: () => "cancel",
};
