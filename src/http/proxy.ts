import { type Context, Hono } from "hono";
import { type FaultCode, FAULTS } from "../domain/fault.ts";
import { generateRequestId } from "../domain/ids.ts";
import type { Readiness } from "../domain/operations.ts";
import type { PassthroughRoute, Route } from "../domain/provider.ts";
import { withoutOwnCredentials } from "../call/authenticate.ts";
import type { Deps, IncomingCall } from "../call/deps.ts";
import { journey } from "../call/journey.ts";
import { refuseListing } from "../call/ownership.ts";
import { pass, type PassOptions } from "../call/passthrough.ts";
import { faultOf } from "../call/refusals.ts";
import { refusedRequest, Whose, WHOSE_DEFAULTS } from "../call/refused_request.ts";
import { assertAllowed, assertPlainMethod, clientIpOf, knownPaths, plainTarget, rawPath, unknownPath } from "../call/target.ts";
import { mountHealth } from "./health.ts";

/** Refusals that are about the path alone: the token has not been looked at. */
const BEFORE_TOKENS: readonly FaultCode[] = ["path_unknown", "path_not_allowed", "path_misdirected"];

/** On every answer of the proxy's port. */
const REQUEST_ID_HEADER = "x-llmproxy-request-id";

/**
 * What `Deno.serve` says of a request: `completed` settles when the answer is delivered or the
 * client has gone.
 */
export interface Delivery {
  readonly completed: Promise<void>;
}

export interface ProxyOptions {
  readonly deps: Deps;
  /** Prefixes of paths that pass besides the provider's open routes; `*` for all. */
  readonly allowedPaths: readonly string[];
  readonly readiness: () => Readiness;
}

/** What sandboxes reach. Nothing administrative answers here. */
export function proxyHandler(options: ProxyOptions): (request: Request, delivery: Delivery) => Response | Promise<Response> {
  const app = proxyApp(options);
  return async (request, { completed }) => {
    const requestId = generateRequestId(options.deps.newId);
    const response = await app.fetch(request, { completed, requestId });
    response.headers.set(REQUEST_ID_HEADER, requestId);
    return response;
  };
}

/** What a route is told besides the request. */
interface Call extends Delivery {
  readonly requestId: string;
}

type ProxyContext = Context<{ Bindings: Call }>;
type Handler = (context: ProxyContext) => Promise<Response>;

function proxyApp({ deps, allowedPaths, readiness }: ProxyOptions): Hono<{ Bindings: Call }> {
  const { provider } = deps;
  const whose = new Whose({ ...WHOSE_DEFAULTS, sandboxOf: deps.sandboxOf, elapsed: deps.elapsed });
  const known = knownPaths(provider.routes);
  const app = new Hono<{ Bindings: Call }>({ getPath: rawPath });

  async function answer({ req, env }: ProxyContext, go: (incoming: IncomingCall) => Promise<Response>): Promise<Response> {
    const { requestId, completed } = env;
    const request = req.raw;
    deps.traffic.follow(completed, requestId);
    try {
      assertPlainMethod(request);
      const incoming = {
        ...withoutOwnCredentials(request, provider),
        requestId,
        target: plainTarget(request, known),
        arrivedAt: deps.elapsed(),
        clientIp: clientIpOf(request, deps),
      };
      deps.traffic.assertOpen();
      return await go(incoming);
    } catch (error) {
      return await refused(request, { error, requestId });
    }
  }

  async function refused(
    request: Request,
    { error, requestId }: { readonly error: unknown; readonly requestId: string },
  ): Promise<Response> {
    const fault = faultOf(error);
    if (fault.code !== "client_left") {
      const owner = async () =>
        BEFORE_TOKENS.includes(fault.code) ? await whose.of(withoutOwnCredentials(request, provider).request, request.url) : null;
      const sandbox = fault.sandbox ?? await owner();
      const shown = { sandbox, userId: fault.userId, clientIp: clientIpOf(request, deps) };
      deps.observe.refused(requestId, fault, refusedRequest(request, shown, deps));
      deps.refusals.count(fault, { sandbox, at: deps.now() });
    }
    const { body, headers } = provider.refuse(fault, requestId);
    return new Response(body, { status: FAULTS[fault.code].status, headers });
  }

  function passing(
    passthrough: PassthroughRoute,
    { about = null, makes = null, isClosed = false }: Partial<Pick<PassOptions, "about" | "makes">> & {
      readonly isClosed?: boolean;
    } = {},
  ): Handler {
    return (context) =>
      answer(context, (incoming) => {
        if (isClosed) assertAllowed(rawPath(context.req.raw), allowedPaths, provider);
        return pass(incoming, { passthrough, about, makes, over: context.env.completed, deps });
      });
  }

  function mount(route: Route): void {
    const { method, path } = route;
    const on = (handler: Handler) => void (method === "*" ? app.all(path, handler) : app.on(method, path, handler));
    if (route.kind === "billed") return on((context) => answer(context, (incoming) => journey(incoming, deps)));
    const { passthrough } = route;
    if (route.kind === "passthrough") return on(passing(passthrough, { isClosed: route.isClosed ?? false }));
    // `LLMPROXY_ALLOW_PATHS` opens no more of what belongs to a workspace.
    const { owns: kind, notJson } = route;
    on(passing(passthrough, { makes: kind }));
    app.all(path, (context) => answer(context, (incoming) => refuseListing(incoming, deps)));
    app.all(`${path}/:id/*`, (context) => {
      const below = rawPath(context.req.raw).slice(path.length + 1);
      const [id = ""] = below.split("/");
      return passing({ ...passthrough, answersJson: !below.endsWith(notJson) }, { about: { kind, id } })(context);
    });
  }

  mountHealth(app, readiness);
  // Hono routes HEAD as GET; only the request's own method tells them apart.
  app.get("/", (context) => context.req.raw.method === "HEAD" ? context.body(null, 200) : context.notFound());
  app.get("/api/hello", (context) => context.json({ status: "ok" }));
  provider.routes.forEach(mount);
  app.onError((error, context) => refused(context.req.raw, { error, requestId: context.env.requestId }));
  app.notFound((context) =>
    answer(context, () => Promise.reject(provider.baseUrlFault(rawPath(context.req.raw)) ?? unknownPath()))
  );
  return app;
}
