import { Hono } from "hono";
import { Fault, type FaultCode } from "../domain/fault.ts";
import type { OwnedKind } from "../domain/owned.ts";
import { generateRequestId } from "../domain/ids.ts";
import { setAsideCredentials } from "../call/authenticate.ts";
import { baseUrlFault } from "../call/base_url.ts";
import { clientIpOf } from "../call/client_ip.ts";
import { journey } from "../call/journey.ts";
import { closed } from "../call/ownership.ts";
import { assertAllowed, pass, type Passage, type PassOptions } from "../call/passthrough.ts";
import { assertPlainMethod, plainTarget, rawPath, unknownPath } from "../call/target.ts";
import { refusedRequest } from "../call/refused_request.ts";
import { Whose, WHOSE_DEFAULTS } from "../call/whose.ts";
import type { Arrival, World } from "../call/world.ts";
import { mountHealth, type Readiness } from "./health.ts";
import { refusalResponse } from "./refusal.ts";

const MB = 1024 * 1024;

/** The API's own limits; what is not named here may be as large as a message. */
const COUNT_TOKENS: Passage = {
  name: "count_tokens",
  maxBodyBytes: 32 * MB,
  joinsTrace: true,
  namesFiles: true,
  answersJson: true,
};
const MODELS: Passage = { name: "models", maxBodyBytes: 32 * MB, joinsTrace: false, namesFiles: false, answersJson: true };
const BATCHES: Passage = { name: "batches", maxBodyBytes: 256 * MB, joinsTrace: false, namesFiles: true, answersJson: true };
const FILES: Passage = { name: "files", maxBodyBytes: 500 * MB, joinsTrace: false, namesFiles: false, answersJson: true };
const OTHER: Passage = { name: "other", maxBodyBytes: 32 * MB, joinsTrace: false, namesFiles: true, answersJson: false };

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

export interface ProxyDeps {
  readonly world: World;
  /** Prefixes of `/v1/` paths that pass besides the known ones; `*` for all. */
  readonly allowedPaths: readonly string[];
  readonly readiness: () => Readiness;
}

/** What sandboxes reach. Nothing administrative answers here. */
export function proxyHandler(deps: ProxyDeps): (request: Request, delivery: Delivery) => Response | Promise<Response> {
  const app = proxyApp(deps);
  return async (request, { completed }) => {
    const requestId = generateRequestId(deps.world.newId);
    const response = await app.fetch(request, { completed, requestId });
    response.headers.set(REQUEST_ID_HEADER, requestId);
    return response;
  };
}

/** What a route is told of a request besides the request itself. */
interface Call extends Delivery {
  readonly requestId: string;
}

function proxyApp(deps: ProxyDeps): Hono<{ Bindings: Call }> {
  const { world } = deps;
  const whose = new Whose({ ...WHOSE_DEFAULTS, sandboxOf: world.sandboxOf, elapsed: world.elapsed });
  const app = new Hono<{ Bindings: Call }>({ getPath: rawPath });

  async function answer(
    context: { readonly req: { readonly raw: Request }; readonly env: Call },
    go: (arrival: Arrival) => Promise<Response>,
  ): Promise<Response> {
    const { requestId, completed } = context.env;
    const request = context.req.raw;
    world.traffic.follow(completed, requestId);
    let arrival: Arrival | null = null;
    const clientIp = clientIpOf(request, world);
    const shown = setAsideCredentials(request, world.provider);
    try {
      assertPlainMethod(request);
      arrival = { requestId, ...shown, target: plainTarget(request), arrivedAt: world.elapsed(), clientIp, sandbox: null };
      world.traffic.assertOpen();
      return await go(arrival);
    } catch (error) {
      const fault = error instanceof Fault
        ? error
        : new Fault("internal_error", "The proxy failed on this call.", { cause: error });
      if (fault.code !== "client_left") {
        const sandbox = arrival?.sandbox ?? fault.sandbox ??
          (BEFORE_TOKENS.includes(fault.code) ? await whose.of(shown.request, request.url) : null);
        world.observe.refused(requestId, fault, refusedRequest(request, { ...arrival, sandbox, clientIp }));
        world.refusals.count(fault, { sandbox, at: world.now() });
      }
      return refusalResponse(fault, requestId);
    }
  }

  const passing =
    (passage: Passage, special: Partial<Pick<PassOptions, "about" | "makes">> & { readonly isOpen?: boolean } = {}) =>
    (context: { req: { raw: Request }; env: Call }) =>
      answer(context, (arrival) => {
        if (special.isOpen === false) assertAllowed(rawPath(context.req.raw), deps.allowedPaths);
        return pass(arrival, { about: null, makes: null, ...special, passage, over: context.env.completed, world });
      });

  /** What is made here, and then open to its owner alone; `LLMPROXY_ALLOW_PATHS` opens no more of it. */
  function mountOwned(path: string, passage: Passage, { kind }: { readonly kind: OwnedKind }): void {
    app.post(path, passing(passage, { makes: kind }));
    app.all(path, (context) => answer(context, (arrival) => closed(arrival, world)));
    app.all(`${path}/:id/*`, (context) => {
      const asked = rawPath(context.req.raw);
      const id = asked.slice(path.length + 1).split("/")[0]!;
      return passing({ ...passage, answersJson: !ANSWERS_NO_JSON.test(asked) }, { about: { kind, id } })(context);
    });
  }

  mountHealth(app, deps.readiness);
  // Hono routes HEAD as GET; the request's own method is what tells them apart.
  app.get("/", (context) => context.req.raw.method === "HEAD" ? context.body(null, 200) : context.notFound());
  app.get("/api/hello", (context) => context.json({ status: "ok" }));
  app.post("/v1/messages", (context) => answer(context, (arrival) => journey(arrival, world)));
  app.post("/v1/messages/count_tokens", passing(COUNT_TOKENS));
  app.on("GET", ["/v1/models", "/v1/models/:id"], passing(MODELS));
  mountOwned("/v1/messages/batches", BATCHES, { kind: "batch" });
  mountOwned("/v1/files", FILES, { kind: "file" });
  app.all("/v1/*", passing(OTHER, { isOpen: false }));
  app.onError((cause, context) => {
    const fault = new Fault("internal_error", "The proxy failed on this call.", { cause });
    world.observe.refused(
      context.env.requestId,
      fault,
      refusedRequest(context.req.raw, { sandbox: null, clientIp: clientIpOf(context.req.raw, world) }),
    );
    return refusalResponse(fault, context.env.requestId);
  });
  app.notFound((context) => answer(context, () => Promise.reject(baseUrlFault(rawPath(context.req.raw)) ?? unknownPath())));
  return app;
}
