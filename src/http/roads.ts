import { RegExpRouter } from "hono/router/reg-exp-router";
import { SmartRouter } from "hono/router/smart-router";
import { TrieRouter } from "hono/router/trie-router";
import { knownPaths, rawPath } from "../call/target.ts";
import type { Fields } from "../domain/header_fields.ts";
import type { Provider, Route } from "../domain/provider.ts";

export type OwningRoute = Route & { readonly kind: "owning" };

/** The dialect and the route of a request. */
export interface Road {
  readonly provider: Provider;
  /** Null: the dialect has nothing at that path. */
  readonly route: Route | null;
  /** The raw path behind the prefix. */
  readonly path: string;
  /** The dialect's, or empty if the request named none. */
  readonly prefix: string;
}

interface RoutedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Pick<Fields, "get">;
}

/**
 * Finds the dialect that a request speaks, and its route there:
 * 1. The prefix of a dialect decides.
 * 2. Otherwise the dialects that have the path, not only a closed rest: the one whose mark header
 *    the request has, then those that need no mark, then the others.
 * 3. Otherwise the dialect whose closed rest says most about the path, in the same order.
 * 4. If that dialect does not know the path from clients with a wrong base URL, the first that
 *    does.
 */
export class Roads {
  /** As `knownPaths`, of all dialects. */
  readonly known: ReadonlySet<string>;
  readonly #routers: ReadonlyMap<Provider, SmartRouter<Route>>;

  constructor(dialects: readonly Provider[]) {
    this.known = knownPaths(dialects);
    this.#routers = new Map(dialects.map((dialect) => [dialect, routerOf(dialect.routes)]));
  }

  /** `spoken`: dialects that upstreams speak, at least one. The first has what none of them has. */
  of(request: RoutedRequest, spoken: readonly Provider[]): Road {
    const path = rawPath(request);
    const named = spoken.find(({ prefix }) => path.startsWith(`${prefix}/`));
    if (named !== undefined) {
      const { prefix } = named;
      const behind = path.slice(prefix.length);
      return { provider: named, route: this.#routeOf(named, request.method, behind), path: behind, prefix };
    }
    let rest: Road & { readonly route: Route } | null = null;
    for (const provider of spoken.length === 1 ? spoken : inOrder(spoken, request.headers)) {
      const route = this.#routeOf(provider, request.method, path);
      if (route === null) continue;
      const road = { provider, route, path, prefix: "" };
      if (!isRest(route)) return road;
      if (rest === null || route.path.length > rest.route.path.length) rest = { ...road, route };
    }
    const isSlipOf = ({ baseUrlFault }: Provider) => baseUrlFault(path) !== null;
    if (rest !== null && isSlipOf(rest.provider)) return rest;
    const slipped = spoken.find(isSlipOf);
    if (slipped === undefined && rest !== null) return rest;
    return { provider: slipped ?? spoken[0]!, route: null, path, prefix: "" };
  }

  /** A HEAD is routed as the GET that it asks about. */
  #routeOf(provider: Provider, method: string, path: string): Route | null {
    const [[first] = []] = this.#routers.get(provider)!.match(method === "HEAD" ? "GET" : method, path);
    return first?.[0] ?? null;
  }
}

const ANY_METHOD = "ALL";

function routerOf(routes: readonly Route[]): SmartRouter<Route> {
  const router = new SmartRouter<Route>({ routers: [new RegExpRouter(), new TrieRouter()] });
  for (const route of routes) {
    const { method, path } = route;
    if (route.kind !== "owning") router.add(method === "*" ? ANY_METHOD : method, path, route);
    else for (const owned of [path, `${path}/:id/*`]) router.add(ANY_METHOD, owned, route);
  }
  return router;
}

function isRest(route: Route): boolean {
  return route.kind === "passthrough" && route.isClosed === true && route.path.endsWith("*");
}

function inOrder(spoken: readonly Provider[], headers: RoutedRequest["headers"]): readonly Provider[] {
  const marked = spoken.filter(({ markHeader }) => markHeader !== undefined);
  const meant = marked.filter(({ markHeader }) => headers.get(markHeader!) !== null);
  const unmarked = spoken.filter((dialect) => !marked.includes(dialect));
  return [...meant, ...unmarked, ...marked.filter((dialect) => !meant.includes(dialect))];
}
