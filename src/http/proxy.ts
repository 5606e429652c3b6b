import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import { RegExpRouter } from "hono/router/reg-exp-router";
import { SmartRouter } from "hono/router/smart-router";
import { TrieRouter } from "hono/router/trie-router";
import { Fault, type FaultCode } from "../domain/fault.ts";
import { HeaderFields } from "../domain/header_fields.ts";
import { generateRequestId } from "../domain/ids.ts";
import type { Readiness } from "../domain/operations.ts";
import type { PassthroughRoute, Route } from "../domain/provider.ts";
import { withoutOwnCredentials } from "../call/authenticate.ts";
import type { ArrivedRequest, Deps, IncomingCall } from "../call/deps.ts";
import { journey } from "../call/journey.ts";
import { refuseListing } from "../call/ownership.ts";
import { pass, type PassOptions } from "../call/passthrough.ts";
import { faultOf } from "../call/refusals.ts";
import { refusedRequest, Whose, WHOSE_DEFAULTS } from "../call/refused_request.ts";
import { assertAllowed, assertPlainMethod, clientIpOf, knownPaths, plainTarget, rawPath, unknownPath } from "../call/target.ts";
import type { AnswerHead } from "../domain/answer_sink.ts";
import { HEAD_MESSAGES, type HeadFault, rawAnswer } from "./head_refusal.ts";
import { HEALTH, type Health } from "./health.ts";
import { HttpAnswer, type HttpAnswerOptions, REQUEST_ID_HEADER } from "./http_answer.ts";
import { requestBody } from "./request_body.ts";

/** Refusals that are about the path alone: the token has not been looked at. */
const BEFORE_TOKENS: readonly FaultCode[] = ["path_unknown", "path_not_allowed", "path_misdirected"];

export interface ProxyOptions extends Pick<HttpAnswerOptions, "stallMs"> {
  readonly deps: Deps;
  /** Prefixes of paths that pass besides the provider's open routes; `*` for all. */
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

type Handler = (exchange: Exchange) => Promise<void>;

/** What sandboxes reach. Nothing administrative answers here. */
export function proxyHandler(options: ProxyOptions): ProxyHandler {
  const { deps, allowedPaths, readiness, stallMs } = options;
  const { provider } = deps;
  const whose = new Whose({ ...WHOSE_DEFAULTS, sandboxOf: deps.sandboxOf, elapsed: deps.elapsed });
  const known = knownPaths(provider.routes);
  const routes = new SmartRouter<Handler>({ routers: [new RegExpRouter(), new TrieRouter()] });

  async function answering({ request, answer, requestId }: Exchange, go: (call: IncomingCall) => Promise<void>): Promise<void> {
    try {
      assertPlainMethod(request);
      const call = {
        ...withoutOwnCredentials(request, provider),
        requestId,
        client: answer,
        target: plainTarget(request, known),
        arrivedAt: deps.elapsed(),
        clientIp: clientIpOf(request, deps),
      };
      deps.traffic.assertOpen();
      await go(call);
    } catch (error) {
      await refused({ request, answer, requestId }, error);
    }
  }

  async function refused({ request, answer, requestId }: Exchange, error: unknown): Promise<void> {
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

  function passing(
    passthrough: PassthroughRoute,
    { about = null, makes = null, isClosed = false }: Partial<Pick<PassOptions, "about" | "makes">> & {
      readonly isClosed?: boolean;
    } = {},
  ): Handler {
    return (exchange) =>
      answering(exchange, (call) => {
        if (isClosed) assertAllowed(rawPath(exchange.request), allowedPaths, provider);
        return pass(call, { passthrough, about, makes, deps });
      });
  }

  function mount(route: Route): void {
    const { method, path } = route;
    const on = (handler: Handler) => routes.add(method === "*" ? ANY_METHOD : method, path, handler);
    if (route.kind === "billed") return on((exchange) => answering(exchange, (call) => journey(call, deps)));
    const { passthrough } = route;
    if (route.kind === "passthrough") return on(passing(passthrough, { isClosed: route.isClosed ?? false }));
    // `LLMPROXY_ALLOW_PATHS` opens no more of what belongs to a workspace.
    const { owns: kind, notJson } = route;
    on(passing(passthrough, { makes: kind }));
    routes.add(ANY_METHOD, path, (exchange) => answering(exchange, (call) => refuseListing(call, deps)));
    routes.add(ANY_METHOD, `${path}/:id/*`, (exchange) => {
      const below = rawPath(exchange.request).slice(path.length + 1);
      const [id = ""] = below.split("/");
      return passing({ ...passthrough, answersJson: !below.endsWith(notJson) }, { about: { kind, id } })(exchange);
    });
  }

  function telling(health: () => Health): Handler {
    return async ({ answer }) => {
      const { status, body } = health();
      await answer.answer(ownHead(status, { "content-type": "application/json" }), JSON.stringify(body));
    };
  }

  const unknown: Handler = (exchange) =>
    answering(exchange, () => Promise.reject(provider.baseUrlFault(rawPath(exchange.request)) ?? unknownPath()));
  const greeting: Handler = ({ answer }) => answer.answer(ownHead(200, {}), null);

  for (const [path, health] of Object.entries(HEALTH)) routes.add("GET", path, telling(() => health(readiness)));
  routes.add("HEAD", "/", greeting);
  routes.add("GET", "/api/hello", telling(() => ({ status: 200, body: { status: "ok" } })));
  provider.routes.forEach(mount);

  /** A HEAD is routed as the GET that it asks about. */
  function handlerOf({ method, url }: Exchange["request"]): Handler {
    const path = rawPath({ url });
    const [[first] = []] = method === "HEAD" && path !== "/" ? routes.match("GET", path) : routes.match(method, path);
    return first?.[0] ?? unknown;
  }

  return {
    handle(incoming, outgoing, expects) {
      const requestId = generateRequestId(deps.newId);
      const answer = new HttpAnswer(incoming, outgoing, { requestId, stallMs });
      const exchange = { request: arrived(incoming, () => expects && outgoing.writeContinue()), answer, requestId };
      deps.traffic.follow(handlerOf(exchange.request)(exchange).catch((error) => refused(exchange, error)), requestId);
    },
    refuseHead(code) {
      const requestId = generateRequestId(deps.newId);
      const fault = new Fault(code, HEAD_MESSAGES[code]);
      deps.observe.refused(requestId, fault, { sandbox: null, path: "", client: null, clientIp: null });
      deps.refusals.count(fault, { sandbox: null, at: deps.now() });
      const { status, body, headers } = provider.refuse(fault, { requestId, client: null });
      return rawAnswer(status, { ...headers, [REQUEST_ID_HEADER]: requestId }, body);
    },
  };
}

const ANY_METHOD = "ALL";

/** A request as its client sent it: `url` is its target. Nothing of the body has been read. */
function arrived(incoming: IncomingMessage, onRead: () => void): Exchange["request"] {
  const { method = "", url = "", rawHeaders } = incoming;
  return { method, url, headers: HeaderFields.ofRaw(rawHeaders), body: requestBody(incoming, onRead) };
}

function ownHead(status: number, headers: Readonly<Record<string, string>>): AnswerHead {
  return { status, statusText: STATUS_CODES[status] ?? "", headers: new HeaderFields(Object.entries(headers)) };
}
