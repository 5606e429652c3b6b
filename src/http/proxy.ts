import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import { Fault, type FaultCode } from "../domain/fault.ts";
import { HeaderFields } from "../domain/header_fields.ts";
import { generateRequestId } from "../domain/ids.ts";
import type { Readiness } from "../domain/operations.ts";
import type { Provider } from "../domain/provider.ts";
import { withoutOwnCredentials } from "../call/authenticate.ts";
import type { ArrivedRequest, Deps, IncomingCall } from "../call/deps.ts";
import { journey } from "../call/journey.ts";
import { refuseListing } from "../call/ownership.ts";
import { pass } from "../call/passthrough.ts";
import { faultOf } from "../call/refusals.ts";
import { refusedRequest, Whose, WHOSE_DEFAULTS } from "../call/refused_request.ts";
import { assertAllowed, assertPlainMethod, clientIpOf, plainTarget, rawPath, unknownPath } from "../call/target.ts";
import type { AnswerHead } from "../domain/answer_sink.ts";
import { HEAD_MESSAGES, type HeadFault, rawAnswer } from "./head_refusal.ts";
import { HEALTH, type Health } from "./health.ts";
import { HttpAnswer, type HttpAnswerOptions, REQUEST_ID_HEADER } from "./http_answer.ts";
import { requestBody } from "./request_body.ts";
import { type OwningRoute, type Road, Roads } from "./roads.ts";

/** Refusals that are about the path alone: the token has not been looked at. */
const BEFORE_TOKENS: readonly FaultCode[] = ["path_unknown", "path_not_allowed", "path_misdirected"];

export interface ProxyOptions extends Pick<HttpAnswerOptions, "stallMs"> {
  readonly deps: Deps;
  /** All that the proxy knows. It speaks those that some upstream speaks. */
  readonly dialects: readonly Provider[];
  /** Prefixes of paths that pass besides the dialects' open routes; `*` for all. */
  readonly allowedPaths: readonly string[];
  readonly readiness: () => Readiness;
}

/** What a `node:http` server calls. */
export interface ProxyHandler {
  /** Answers one request, whatever it is. Never throws. `expects`: it waits for `100 Continue`. */
  readonly handle: (incoming: IncomingMessage, outgoing: ServerResponse, expects: boolean) => void;
  /** What came is no request. Returns the answer, head and body; the connection ends after it. */
  readonly refuseHead: (code: HeadFault) => string;
}

/** One request at the proxy's port. */
interface Exchange {
  readonly request: ArrivedRequest & { readonly url: string };
  readonly answer: HttpAnswer;
  readonly requestId: string;
}

/** What sandboxes reach. Nothing administrative answers here. */
export function proxyHandler(options: ProxyOptions): ProxyHandler {
  const { deps, allowedPaths, dialects, readiness, stallMs } = options;
  const whose = new Whose({ ...WHOSE_DEFAULTS, sandboxOf: deps.sandboxOf, elapsed: deps.elapsed });
  const roads = new Roads(dialects);
  const own = new Map<string, () => Health>([
    ...Object.entries(HEALTH).map(([path, health]) => [path, () => health(readiness)] as const),
    ["/api/hello", () => ({ status: 200, body: { status: "ok" } })],
  ]);

  async function passOn({ request, answer, requestId }: Exchange, road: Road): Promise<void> {
    const { provider, route, path } = road;
    try {
      assertPlainMethod(request);
      const target = plainTarget(request, { known: roads.known, hasEncodedSlashes: route?.hasEncodedSlashes === true });
      const call = {
        ...withoutOwnCredentials(request, provider),
        ...{ requestId, client: answer, provider },
        target: target.slice(road.prefix.length),
        arrivedAt: deps.elapsed(),
        clientIp: clientIpOf(request, deps),
      };
      deps.traffic.assertOpen();
      if (route === null) throw provider.baseUrlFault(path) ?? unknownPath();
      if (route.kind === "refused") throw route.fault(request.headers);
      if (route.kind === "billed") return await journey({ ...call, dialect: route.call }, deps);
      if (route.isClosed) assertAllowed(path, allowedPaths, provider);
      if (route.kind === "passthrough") {
        return await pass(call, { passthrough: route.passthrough, about: null, makes: null, deps });
      }
      await passOwned(call, { route, path });
    } catch (error) {
      await refused({ request, answer, requestId }, error, provider);
    }
  }

  /** `LLMPROXY_ALLOW_PATHS` opens no more of what belongs to a workspace. */
  async function passOwned(
    call: IncomingCall,
    { route, path }: { readonly route: OwningRoute; readonly path: string },
  ): Promise<void> {
    const { passthrough, owns: kind, yields = {}, notJson } = route;
    if (path === route.path) {
      if (call.request.method !== route.method || route.madeBy === "billed") return await refuseListing(call, deps);
      return await pass(call, { passthrough, about: null, makes: kind, deps });
    }
    const below = path.slice(route.path.length + 1);
    const [id = ""] = below.split("/");
    const answersJson = !below.endsWith(notJson);
    return await pass(call, { passthrough: { ...passthrough, answersJson }, about: { kind, id }, yields, makes: null, deps });
  }

  async function refused({ request, answer, requestId }: Exchange, error: unknown, provider: Provider): Promise<void> {
    const fault = faultOf(error);
    let refusal = provider.refuse(fault, { requestId, client: null });
    if (fault.code !== "client_left") {
      const owner = async () =>
        BEFORE_TOKENS.includes(fault.code) ? await whose.of(withoutOwnCredentials(request, provider).request, request.url) : null;
      const sandbox = fault.sandbox ?? await owner();
      const shown = refusedRequest(request, { sandbox, userId: fault.userId, clientIp: clientIpOf(request, deps) }, deps);
      refusal = provider.refuse(fault, { requestId, client: shown.client });
      deps.observe.refused(requestId, fault, { ...shown, status: refusal.status });
      deps.refusals.count(fault, { sandbox, at: deps.now() });
    }
    const { status, body, headers } = refusal;
    await answer.answer(ownHead(status, headers), body);
  }

  async function answerTo(exchange: Exchange): Promise<void> {
    const { request, answer } = exchange;
    const path = rawPath(request);
    if (request.method === "HEAD" && path === "/") return await answer.answer(ownHead(200, {}), null);
    const health = request.method === "GET" || request.method === "HEAD" ? own.get(path) : undefined;
    if (health === undefined) return await passOn(exchange, roads.of(request, deps.upstreams.dialects()));
    const { status, body } = health();
    await answer.answer(ownHead(status, { "content-type": "application/json" }), JSON.stringify(body));
  }

  return {
    handle(incoming, outgoing, expects) {
      const requestId = generateRequestId(deps.newId);
      const answer = new HttpAnswer(incoming, outgoing, { requestId, stallMs });
      const exchange = { request: arrived(incoming, () => expects && outgoing.writeContinue()), answer, requestId };
      const work = answerTo(exchange).catch((error) => refused(exchange, error, deps.upstreams.dialects()[0]!));
      deps.traffic.follow(work, requestId);
    },
    refuseHead(code) {
      const requestId = generateRequestId(deps.newId);
      const fault = new Fault(code, HEAD_MESSAGES[code]);
      deps.observe.refused(requestId, fault, { sandbox: null, path: "", client: null, clientIp: null });
      deps.refusals.count(fault, { sandbox: null, at: deps.now() });
      const { status, body, headers } = deps.upstreams.dialects()[0]!.refuse(fault, { requestId, client: null });
      return rawAnswer(status, { ...headers, [REQUEST_ID_HEADER]: requestId }, body);
    },
  };
}

/** A request as its client sent it: `url` is its target. Nothing of the body has been read. */
function arrived(incoming: IncomingMessage, onRead: () => void): Exchange["request"] {
  const { method = "", url = "", rawHeaders } = incoming;
  return { method, url, headers: HeaderFields.ofRaw(rawHeaders), body: requestBody(incoming, onRead) };
}

function ownHead(status: number, headers: Readonly<Record<string, string>>): AnswerHead {
  return { status, statusText: STATUS_CODES[status] ?? "", headers: new HeaderFields(Object.entries(headers)) };
}
