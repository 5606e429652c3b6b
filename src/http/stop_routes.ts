import { type AdminRoute, type Asked, inJson } from "./admin_route.ts";
import { runningCallShape, runningCallsShape, suspensionShape, suspensionsShape } from "./answer_shapes.ts";
import { cutRunning, listRunning, RUNNING_FILTERS } from "./running_calls.ts";
import {
  deleteSuspension,
  listSuspensions,
  putSuspension,
  type ScopeInPath,
  SUSPENSION_FILTERS,
  wantedSuspension,
} from "./suspensions.ts";

const SCOPES: readonly {
  readonly path: string;
  readonly what: string;
  readonly scopeOf: (param: Asked["param"]) => ScopeInPath;
}[] = [
  {
    path: "/internal/suspensions/:workspace",
    what: "a workspace",
    scopeOf: (param) => ({ workspace: param("workspace"), sandbox: null }),
  },
  {
    path: "/internal/suspensions/:workspace/sandboxes/:sandbox",
    what: "a sandbox",
    scopeOf: (param) => ({ workspace: param("workspace"), sandbox: param("sandbox") }),
  },
];

/** Calls in flight, and suspensions. */
export const STOP_ROUTES: readonly AdminRoute[] = [
  {
    method: "GET",
    path: "/internal/requests",
    does: "The calls in flight on this machine, oldest first.",
    filters: RUNNING_FILTERS,
    answers: { 200: inJson("The calls, as far as their answers have come", runningCallsShape) },
    answer: ({ request, deps }) => listRunning(request, deps.requests),
  },
  {
    method: "DELETE",
    path: "/internal/requests/:id",
    does: "Cuts a call in flight on this machine.",
    filters: [],
    answers: { 200: inJson("The call as it was when it was cut", runningCallShape) },
    answer: ({ request, param, by, deps: { requests } }) => cutRunning(request, param(), { requests, by }),
  },
  {
    method: "GET",
    path: "/internal/suspensions",
    does: "What is suspended, by workspace and sandbox.",
    filters: SUSPENSION_FILTERS,
    answers: { 200: inJson("All suspensions, or those of one workspace", suspensionsShape) },
    answer: ({ request, deps }) => listSuspensions(request, deps.suspensions),
  },
  ...SCOPES.flatMap(({ path, what, scopeOf }): AdminRoute[] => [
    {
      method: "PUT",
      path,
      does: `Refuses the calls of ${what}, and cuts those in flight.`,
      filters: [],
      body: wantedSuspension,
      isBodyOptional: true,
      answers: { 200: inJson("The suspension. The first createdAt stays", suspensionShape) },
      answer: ({ request, param, by, deps }) => putSuspension(request, scopeOf(param), { ...deps, by }),
    },
    {
      method: "DELETE",
      path,
      does: `Serves ${what} again.`,
      filters: [],
      answers: { 200: inJson("The suspension that has ended", suspensionShape) },
      answer: ({ request, param, by, deps }) => deleteSuspension(request, scopeOf(param), { ...deps, by }),
    },
  ]),
];
