import { Fault } from "../domain/fault.ts";
import { type Fields, HeaderFields } from "../domain/header_fields.ts";
import type { AnswerHead } from "../domain/answer_sink.ts";
import { type HeldBody, sentOnce, type SizedBody } from "../wire/body.ts";
import { forwardedHeaders, returnedHeaders } from "../wire/headers.ts";
import { baseUrlAt } from "../wire/located_url.ts";
import { inTraceOf } from "../wire/trace_context.ts";
import { TOKEN_HEADERS } from "./authenticate.ts";
import type { LiveCall } from "./live_call.ts";

/**
 * Sends the call upstream, once, and resolves when its answer begins.
 * Rejects with `Fault` `upstream_unreachable`, `upstream_timeout`, `upstream_refused_credential`,
 * `draining` or `client_left`; its row is closed then.
 */
export async function forward(call: LiveCall, body: HeldBody): Promise<Response> {
  try {
    return await send(call, sentOnce(body.bytes), body.bytes);
  } catch (error) {
    throw await call.fail(error);
  } finally {
    body.sent();
  }
}

/**
 * Sends every end-to-end header and byte of the sandbox's request, with what pays in place of the
 * token. `bytes`: the whole body, if it is at hand. Rejects with `Fault`
 * `upstream_refused_credential`, that of `Provider.placed`, or with fetch's error.
 */
export async function send(
  call: LiveCall,
  body: SizedBody | ReadableStream<Uint8Array<ArrayBuffer>> | null,
  bytes: Uint8Array | null = null,
): Promise<Response> {
  const { incoming: { request, provider }, caller, upstream, credential, deps: { fetch, clientIpHeader } } = call;
  const asked = headersInTrace(call);
  const drop = [...TOKEN_HEADERS, ...provider.credentialHeaders, ...(clientIpHeader === null ? [] : [clientIpHeader])];
  const headers = forwardedHeaders(asked, { drop, secrets: [caller.token] });
  for (const [name, value] of [...provider.defaultHeaders, ["user-agent", upstream.userAgent] as const]) {
    if (!headers.some(([sent]) => sent === name)) headers.push([name, value]);
  }
  const url = urlOf(call);
  const { payment } = call;
  const paying = payment.headersFor({ method: request.method, url, headers, body: bytes });
  call.paying = paying instanceof Promise ? await paying : paying;
  for (const [name, value] of call.paying) headers.push([name, value]);
  call.sending();
  const init = { method: request.method, headers, body, redirect: "manual", signal: call.signal } as const;
  const sent = inTraceOf(asked, () => fetch(url, init));
  const answer = await sent.finally(() => call.idle.heard());
  call.answer = answer;
  const { status } = answer;
  const isRefused = payment.isRefusedBy?.(answer) ?? status === 401;
  if (status >= MIN_STATUS && status <= MAX_STATUS) {
    call.row?.answered(status, answer.headers.get(provider.requestIdHeader));
    upstream.credentials.answered(credential, answer, call.row?.call.requestedModel ?? null);
    if (!isRefused) return answer;
  }
  answer.body?.cancel().catch(() => {});
  if (!isRefused) throw new Error(`The upstream answered with the invalid status ${status}`);
  payment.refused();
  throw await refusedCredential(call, status);
}

/** Where the call goes. Throws the `Fault` of a place that the upstream does not have. */
function urlOf({ incoming: { provider, target }, upstream: { place }, credential: { baseUrl } }: LiveCall): string {
  const placed = provider.placed?.(target, place);
  if (placed === undefined) return (provider.baseUrlFor?.(baseUrl, target) ?? baseUrl) + target;
  if (placed instanceof Fault) throw placed;
  return baseUrlAt(baseUrl, placed.location) + placed.target;
}

/** The client's headers. The call's own span, if it has one, stands where its client's stood. */
function headersInTrace({ incoming: { request }, row }: LiveCall): Fields {
  const ours = row?.span?.headers ?? null;
  if (ours === null) return request.headers;
  return new HeaderFields([...[...request.headers].filter(([name]) => !TRACE_CONTEXT.includes(name)), ...ours]);
}

/** https://www.w3.org/TR/trace-context/ */
const TRACE_CONTEXT: readonly string[] = ["traceparent", "tracestate"];

/** Final statuses (RFC 9110, section 15): a 101 would hand the connection over. */
const MIN_STATUS = 200;
const MAX_STATUS = 599;

/** The upstream's no is about the operator's credential; the sandbox's own token is good. */
async function refusedCredential({ incoming, upstream, credential, deps }: LiveCall, status: number): Promise<Fault> {
  deps.observe.credentialRefused(incoming.requestId, credential.id);
  // Other refusals can be a sandbox's doing: its headers are part of a signature.
  if (status === 401 && await upstream.credentials.refused(credential)) {
    const message = "The upstream refused one of the proxy's own credentials. Ask again: another one is used from now on.";
    return new Fault("upstream_refused_credential", message, { retryAfterSeconds: 1 });
  }
  return new Fault(
    "upstream_refused_credential",
    "The upstream refused the proxy's own credential. Tell the operator of the proxy; asking again does not help.",
  );
}

/** The answer's head for the client, without any header that holds what paid. */
export function returned(answer: Response, { credential: { auth, secret }, paying }: LiveCall): AnswerHead {
  const { status, statusText } = answer;
  // What was minted or signed is known to the call alone.
  const made = auth.kind === "header" ? [] : paying.map(([, value]) => value.slice(value.lastIndexOf(" ") + 1));
  const headers = new HeaderFields(returnedHeaders(answer.headers, { secrets: [secret, ...made] }));
  // RFC 9110, section 8.6: a 204 has no length.
  if (status === 204) headers.delete("content-length");
  return { status, statusText, headers };
}
