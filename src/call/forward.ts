import { Fault } from "../domain/fault.ts";
import type { Credential, Provider } from "../domain/provider.ts";
import { EMPTY_READING } from "../domain/reading.ts";
import type { Outcome } from "../domain/usage.ts";
import { streamOf } from "../wire/body.ts";
import { forwardedHeaders, returnedHeaders } from "../wire/headers.ts";
import { IdleTimeout, UPSTREAM_IDLE } from "../wire/idle_timeout.ts";
import { tokenOf } from "./authenticate.ts";
import type { RequestFacts } from "./read.ts";
import type { Recorder } from "./record.ts";
import { CLIENT_LEFT, CUT } from "./traffic.ts";
import type { Deps, IncomingCall } from "./deps.ts";

/** A call that is upstream: its answer, and how to end it early. */
export interface Exchange {
  readonly answer: Response;
  /** With which the answer was paid for. */
  readonly credential: Credential;
  /** The request asked for a stream. */
  readonly isStreamAsked: boolean;
  readonly controller: AbortController;
  /** Listens for the upstream's silence; at it the call is aborted with `UPSTREAM_IDLE`. */
  readonly silence: IdleTimeout;
  /** The client has gone. Ends a streamed call at once; lets an unstreamed one, which is paid for anyway, come in for a while. */
  readonly leave: () => void;
  readonly hasLeft: () => boolean;
}

/**
 * Sends the call upstream, once, and resolves when its answer begins.
 * Rejects with `Fault` `upstream_unreachable`, `upstream_timeout`, `upstream_refused_credential` or `draining`; its row is closed then.
 */
export async function forward(
  arrival: IncomingCall,
  options: { readonly asked: RequestFacts; readonly credential: Credential; readonly recorder: Recorder; readonly deps: Deps },
): Promise<Exchange> {
  const { asked, credential, recorder, deps } = options;
  const controller = deps.traffic.controllerUntil(recorder.settled, arrival.requestId);
  const silence = new IdleTimeout({
    ms: deps.upstream.idleMs,
    elapsed: deps.elapsed,
    onIdle: () => controller.abort(UPSTREAM_IDLE),
  });
  const departure = departureOf(controller, { isStreamed: asked.isStreamed, recorder, deps });
  recorder.settled.then(() => {
    silence.end();
    departure.end();
  });
  arrival.request.signal.addEventListener("abort", departure.leave);
  if (arrival.request.signal.aborted) departure.leave();
  silence.listen();
  try {
    const answer = await send(arrival, {
      body: streamOf(asked.body),
      credential,
      signal: controller.signal,
      deps,
    });
    recorder.answered(answer.status, answer.headers.get(deps.provider.requestIdHeader));
    if (answer.status === 401) throw refusedCredential(answer, arrival, { credential, deps });
    const { leave, hasLeft } = departure;
    return { answer, credential, isStreamAsked: asked.isStreamed, controller, silence, leave, hasLeft };
  } catch (error) {
    const { outcome, fault } = failureOf(controller.signal, error);
    // A ledger that cannot be written keeps the closing and tries again; what is answered here is no completed answer.
    await recorder.end(outcome, { ...EMPTY_READING, errorType: errorTypeOf(fault, deps.provider) }).catch(() => {});
    throw fault;
  } finally {
    silence.heard();
  }
}

/** The request as it goes on: every end-to-end header and byte of the sandbox's, with the operator's credential for its token. */
export async function send(
  arrival: IncomingCall,
  options: {
    readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | null;
    readonly credential: Credential;
    readonly signal: AbortSignal;
    readonly deps: Deps;
  },
): Promise<Response> {
  const { provider, upstream, fetch, clientIpHeader } = options.deps;
  const { request, target } = arrival;
  const headers = forwardedHeaders(request.headers, {
    drop: clientIpHeader === null ? provider.credentialHeaders : [...provider.credentialHeaders, clientIpHeader],
    secrets: [tokenOf(request.headers)],
  });
  headers.set(options.credential.header, options.credential.value);
  for (const [name, value] of [...provider.defaultHeaders, ["user-agent", upstream.userAgent] as const]) {
    if (!headers.has(name)) headers.set(name, value);
  }
  const answer = await fetch(upstream.baseUrl + target, {
    method: request.method,
    headers,
    body: options.body,
    redirect: "manual",
    signal: options.signal,
  });
  if (answer.status >= MIN_STATUS && answer.status <= MAX_STATUS) return answer;
  answer.body?.cancel().catch(() => {});
  throw new Error(`The upstream answered with status ${answer.status}, which is none`);
}

/** RFC 9110, section 15: of a final answer. A 101 would hand the connection over to nobody; a `Response` takes none above 599. */
const MIN_STATUS = 200;
const MAX_STATUS = 599;

/** How the upstream's answer goes back: as it came, but never with the operator's credential in a header. */
export function returned(answer: Response, credential: Credential): ResponseInit & { readonly headers: Headers } {
  const { status, statusText } = answer;
  const headers = returnedHeaders(answer.headers, { secrets: [credential.secret] });
  // RFC 9110, section 8.6: a 204 has no length.
  if (status === 204) headers.delete("content-length");
  return { status, statusText, headers };
}

/** An upstream 401 is about the operator's credential, so the sandbox gets our 502: its own token is good. */
export function refusedCredential(
  answer: Response,
  arrival: IncomingCall,
  options: { readonly credential: Credential; readonly deps: Deps },
): Fault {
  answer.body?.cancel().catch(() => {});
  options.deps.observe.credentialRefused(arrival.requestId, options.credential.id);
  return new Fault(
    "upstream_refused_credential",
    "The upstream refused the proxy's own credential. Tell the operator of the proxy; asking again does not help.",
  );
}

/** What a failed fetch means: the reason of our own abort where there was one, else that nobody answered. */
export function failureOf(signal: AbortSignal, error: unknown): { readonly outcome: Outcome; readonly fault: Fault } {
  if (error instanceof Fault) return { outcome: "upstream_error", fault: error };
  switch (signal.aborted ? signal.reason : null) {
    case CLIENT_LEFT:
      return { outcome: "client_left", fault: new Fault("client_left", "The client left before the answer.") };
    case UPSTREAM_IDLE:
      return { outcome: "upstream_broke", fault: new Fault("upstream_timeout", "The upstream did not answer in time.") };
    case CUT:
      return { outcome: "proxy_cut", fault: new Fault("draining", "The proxy is restarting. Ask again in a few seconds.") };
  }
  const fault = new Fault("upstream_unreachable", "The upstream could not be reached, or it hung up before it answered.", {
    cause: error,
  });
  return { outcome: "upstream_broke", fault };
}

function errorTypeOf({ code }: Fault, provider: Provider): string | null {
  if (code === "client_left") return null;
  return code === "upstream_refused_credential" ? provider.errorTypeOf(401) : code;
}

function departureOf(
  controller: AbortController,
  options: { readonly isStreamed: boolean; readonly recorder: Recorder; readonly deps: Deps },
): { readonly leave: () => void; readonly hasLeft: () => boolean; readonly end: () => void } {
  let hasLeft = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  return {
    hasLeft: () => hasLeft,
    end: () => clearTimeout(timer),
    leave: () => {
      if (hasLeft || options.recorder.hasEnded) return;
      hasLeft = true;
      if (options.isStreamed) controller.abort(CLIENT_LEFT);
      else timer = setTimeout(() => controller.abort(CLIENT_LEFT), options.deps.upstream.drainAfterLeftMs);
    },
  };
}
