import { Fault } from "../domain/fault.ts";
import { BodyError, declaredLength, limitBody } from "../wire/body.ts";
import { Silence } from "../wire/silence.ts";
import { tap, type Watch } from "../wire/tap.ts";
import { authenticate } from "./authenticate.ts";
import { failureOf, refusedCredential, returned, send } from "./forward.ts";
import { bodyFault } from "./read.ts";
import { traceClueOf, traceOf } from "./trace.ts";
import { CLIENT_LEFT, SILENT } from "./traffic.ts";
import type { Arrival, World } from "./world.ts";

/** A route whose calls are not billed. */
export interface Passage {
  /** The route's name in metrics. */
  readonly name: string;
  readonly maxBodyBytes: number;
  /** The call belongs to its session, though it has no row. */
  readonly joinsTrace: boolean;
}

/**
 * A call without a row: authenticated, then passed on with streaming bodies in both directions.
 * `over` settles when the answer's last byte has been delivered or the client has gone.
 */
export async function pass(
  arrival: Arrival,
  options: { readonly passage: Passage; readonly over: Promise<unknown>; readonly world: World },
): Promise<Response> {
  const { passage, world } = options;
  const { request } = arrival;
  const sandbox = await authenticate(arrival, world);
  if (passage.joinsTrace && traceClueOf(request.headers, { userId: null, world }) !== null) {
    world.ledger.join(traceOf(request.headers, { userId: null, sandbox, world }))
      .catch((cause) => world.observe.note("warn", "a trace's activity could not be recorded", { cause }));
  }
  if ((declaredLength(request.headers) ?? 0) > passage.maxBodyBytes) throw bodyFault(new BodyError("too_large"));

  const controller = world.traffic.controllerUntil(options.over, arrival.requestId);
  const silence = new Silence({
    ms: world.upstream.idleMs,
    elapsed: world.elapsed,
    onSilence: () => controller.abort(SILENT),
  });
  const over = () => silence.end();
  options.over.then(over, over);
  silence.listen();
  request.signal.addEventListener("abort", () => controller.abort(CLIENT_LEFT));
  let problem: BodyError | null = null;
  const asked = request.body === null ? null : limitBody(request.body as ReadableStream<Uint8Array<ArrayBuffer>>, {
    maxBytes: passage.maxBodyBytes,
    deadlineMs: world.limits.bodyDeadlineMs,
    onProblem: (error) => problem = error,
    silence,
  });
  const credential = world.upstream.credential();
  const answer = await send(arrival, { body: asked, credential, signal: controller.signal, world }).catch((error) => {
    throw problem !== null ? bodyFault(problem) : failureOf(controller.signal, error).fault;
  });
  if (answer.status === 401) throw refusedCredential(answer, arrival, { credential, world });
  world.observe.passed(arrival.requestId, passage.name, answer.status);
  silence.heard();
  const body = answer.body === null ? null : tap(answer.body, UNWATCHED, { holdsLast: false, isSized: false, silence });
  return new Response(body, returned(answer, credential));
}

const UNWATCHED: Watch = {
  look: () => {},
  ended: () => Promise.resolve("tidy"),
  broke: () => Promise.resolve(),
  left: () => "cancel",
};

/** Whether an operator's `LLMPROXY_ALLOW_PATHS` names the path: whole segments, or `*` for all. */
export function assertAllowed(path: string, allowed: readonly string[]): void {
  const isAllowed = allowed.some((prefix) => prefix === "*" || path === prefix || path.startsWith(prefix.replace(/\/?$/, "/")));
  if (isAllowed) return;
  throw new Fault(
    "path_not_allowed",
    "This endpoint is not open through the proxy. Its operator can open it by LLMPROXY_ALLOW_PATHS.",
  );
}
