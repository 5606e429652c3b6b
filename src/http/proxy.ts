import { Hono } from "hono";
import { Fault, type FaultCode } from "../domain/fault.ts";
import type { OwnedKind } from "../domain/owned.ts";
import { generateRequestId } from "../domain/ids.ts";
import { withoutOwnCredentials } from "../call/authenticate.ts";
import { baseUrlFault } from "../call/base_url.ts";
import { clientIpOf } from "../call/client_ip.ts";
import { journey } from "../call/journey.ts";
import { closed } from "../call/ownership.ts";
import { assertAllowed, pass, type PassOptions, type PassthroughRoute } from "../call/passthrough.ts";
import { assertPlainMethod, plainTarget, rawPath, unknownPath } from "../call/target.ts";
import { refusedRequest } from "../call/refused_request.ts";
import { Whose, WHOSE_DEFAULTS } from "../call/whose.ts";
import type { Deps, IncomingCall } from "../call/deps.ts";
import type { Readiness } from "../domain/operations.ts";
import { mountHealth } from "./health.ts";
import { refusalResponse } from "./refusal.ts";

const MB = 1024 * 1024;

/** The API's own limits; what is not named here may be as large as a message. */
const COUNT_TOKENS: PassthroughRoute = {
  name: "count_tokens",
  maxBodyBytes: 32 * MB,
  joinsTrace: true,
  namesFiles: true,
  answersJson: true,
};
const MODELS: PassthroughRoute = {
  name: "models",
  maxBodyBytes: 32 * MB,
  joinsTrace: false,
  namesFiles: false,
  answersJson: true,
};
const BATCHES: PassthroughRoute = {
  name: "batches",
  maxBodyBytes: 256 * MB,
  joinsTrace: false,
  namesFiles: true,
  answersJson: true,
};
const FILES: PassthroughRoute = {
  name: "files",
  maxBodyBytes: 500 * MB,
  joinsTrace: false,
  namesFiles: false,
  answersJson: true,
};
const OTHER: PassthroughRoute = { name: "other", maxBodyBytes: 32 * MB, joinsTrace: false, namesFiles: true, answersJson: false };

/** Results of a batch are JSON by the line, and what a file holds is anything. */
const ANSWERS_NO_JSON = /\/(?:results|content)$/;

/** Refusals that are about the path alone, so that nobody has looked at the token. */
const BEFORE_TOKENS: readonly FaultCode[] = ["path_unknown", "path_not_allowed", "path_misdirected"];

/** On every answer that the proxy makes or passes. */
const REQUEST_ID_HEADER = "x-llmproxy-request-id";

/** `Deno.serve`'s word of a request: `completed` settles when the answer has been delivered or the client has gone. */
export interface Delivery {
  readonly completed: Promise<void>;
}

export interface ProxyOptions {
  readonly deps: Deps;
  /** Prefixes of `/v1/` paths that pass besides the known ones; `*` for all. */
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

/** What a route is told of a request besides the request itself. */
interface Call extends Delivery {
  readonly requestId: string;
}

function proxyApp({ deps, allowedPaths, readiness }: ProxyOptions): Hono<{ Bindings: Call }> {
  const whose = new Whose({ ...WHOSE_DEFAULTS, sandboxOf: deps.sandboxOf, elapsed: deps.elapsed });
  const app = new Hono<{ Bindings: Call }>({ getPath: rawPath });

  async function answer(
    context: { readonly req: { readonly raw: Request }; readonly env: Call },
    go: (arrival: IncomingCall) => Promise<Response>,
  ): Promise<Response> {
    const { requestId, completed } = context.env;
    const request = context.req.raw;
    deps.traffic.follow(completed, requestId);
    let arrival: IncomingCall | null = null;
    const clientIp = clientIpOf(request, deps);
    const shown = withoutOwnCredentials(request, deps.provider);
    try {
      assertPlainMethod(request);
      arrival = { requestId, ...shown, target: plainTarget(request), arrivedAt: deps.elapsed(), clientIp, sandbox: null };
      deps.traffic.assertOpen();
      return await go(arrival);
    } catch (error) {
      const fault = error instanceof Fault
        ? error
        : new Fault("internal_error", "The proxy failed on this call.", { cause: error });
      if (fault.code !== "client_left") {
        const sandbox = arrival?.sandbox ?? fault.sandbox ??
          (BEFORE_TOKENS.includes(fault.code) ? await whose.of(shown.request, request.url) : null);
        deps.observe.refused(requestId, fault, refusedRequest(request, { ...arrival, sandbox, clientIp }));
        deps.refusals.count(fault, { sandbox, at: deps.now() });
      }
      return refusalResponse(fault, requestId);
    }
  }

  const passing =
    (passage: PassthroughRoute, special: Partial<Pick<PassOptions, "about" | "makes">> & { readonly isOpen?: boolean } = {}) =>
    (context: { req: { raw: Request }; env: Call }) =>
      answer(context, (arrival) => {
        if (special.isOpen === false) assertAllowed(rawPath(context.req.raw), allowedPaths);
        return pass(arrival, { about: null, makes: null, ...special, passage, over: context.env.completed, deps });
      });

  /** What is made here, and then open to its owner alone; `LLMPROXY_ALLOW_PATHS` opens no more of it. */
  function mountOwned(path: string, passage: PassthroughRoute, { kind }: { readonly kind: OwnedKind }): void {
    app.post(path, passing(passage, { makes: kind }));
    app.all(path, (context) => answer(context, (arrival) => closed(arrival, deps)));
    app.all(`${path}/:id/*`, (context) => {
      const asked = rawPath(context.req.raw);
      const id = asked.slice(path.length + 1).split("/")[0]!;
      return passing({ ...passage, answersJson: !ANSWERS_NO_JSON.test(asked) }, { about: { kind, id } })(context);
    });
  }

  mountHealth(app, readiness);
  // Hono routes HEAD as GET; the request's own method is what tells them apart.
  app.get("/", (context) => context.req.raw.method === "HEAD" ? context.body(null, 200) : context.notFound());
  app.get("/api/hello", (context) => context.json({ status: "ok" }));
  app.post("/v1/messages", (context) => answer(context, (arrival) => journey(arrival, deps)));
  app.post("/v1/messages/count_tokens", passing(COUNT_TOKENS));
  app.on("GET", ["/v1/models", "/v1/models/:id"], passing(MODELS));
  mountOwned("/v1/messages/batches", BATCHES, { kind: "batch" });
  mountOwned("/v1/files", FILES, { kind: "file" });
  app.all("/v1/*", passing(OTHER, { isOpen: false }));
  app.onError((cause, context) => {
    const fault = new Fault("internal_error", "The proxy failed on this call.", { cause });
    deps.observe.refused(
      context.env.requestId,
      fault,
      refusedRequest(context.req.raw, { sandbox: null, clientIp: clientIpOf(context.req.raw, deps) }),
    );
    return refusalResponse(fault, context.env.requestId);
  });
  app.notFound((context) => answer(context, () => Promise.reject(baseUrlFault(rawPath(context.req.raw)) ?? unknownPath())));
  return app;
}
