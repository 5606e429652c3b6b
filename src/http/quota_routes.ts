import type { LimitPlace } from "../domain/limits.ts";
import { filterSchema } from "./admin_filters.ts";
import { AdminRefusal, shown } from "./admin_refusal.ts";
import { type AdminRoute, type Asked, inJson, NO_CONTENT } from "./admin_route.ts";
import { quotaOfDefaultShape, quotaOfWorkspaceShape, quotaShape } from "./answer_shapes.ts";
import { clearQuota, quotaBodyOf, readQuota, setQuota } from "./quotas.ts";

/** Where limits are set, and for whom. */
interface QuotaPath {
  readonly path: string;
  readonly scope: LimitPlace["scope"];
  /** For the document. */
  readonly whose: string;
  readonly shape: typeof quotaShape | typeof quotaOfWorkspaceShape | typeof quotaOfDefaultShape;
  readonly placeOf: (param: Asked["param"]) => Pick<LimitPlace, "workspaceId" | "id">;
}

const PATHS: readonly QuotaPath[] = [
  {
    path: "/internal/quotas",
    scope: "default",
    whose: "each workspace without limits of its own",
    shape: quotaOfDefaultShape,
    placeOf: () => ({ workspaceId: "", id: "" }),
  },
  {
    path: "/internal/quotas/:id",
    scope: "workspace",
    whose: "a workspace",
    shape: quotaOfWorkspaceShape,
    placeOf: (param) => ({ workspaceId: idIn(param()), id: "" }),
  },
  ...(["sandbox", "trace"] as const).map((scope): QuotaPath => ({
    path: `/internal/quotas/:workspace/${scope === "sandbox" ? "sandboxes" : "traces"}/:id`,
    scope,
    whose: `a ${scope}`,
    shape: quotaShape,
    placeOf: (param) => ({ workspaceId: idIn(param("workspace")), id: idIn(param()) }),
  })),
];

/** An id that can be stored. */
function idIn(text: string): string {
  const { expects, schema } = filterSchema("workspace_id");
  if (schema.safeParse(text).success) return text;
  throw new AdminRefusal("invalid_request_error", `Cannot read the path: ${shown(text)} is not ${expects}`);
}

export const QUOTA_ROUTES: readonly AdminRoute[] = PATHS.flatMap(({ path, scope, whose, shape, placeOf }): AdminRoute[] => {
  const place = ({ param }: Asked) => ({ scope, ...placeOf(param) });
  return [
    {
      method: "GET",
      path,
      does: `The limits of ${whose}, and what is used of them.`,
      filters: [],
      answers: { 200: inJson("The limits that hold", shape) },
      answer: (asked) => readQuota(asked.request, place(asked), asked.deps),
    },
    {
      method: "PUT",
      path,
      does: `Sets limits of ${whose}: null removes one, and 0 is no limit whatever the default says.`,
      filters: [],
      body: quotaBodyOf(scope),
      answers: { 200: inJson("The limits that hold now", shape) },
      answer: (asked) => setQuota(asked.request, place(asked), { ...asked.deps, by: asked.by }),
    },
    {
      method: "DELETE",
      path,
      does: `Removes all limits of ${whose}.`,
      filters: [],
      answers: { 204: NO_CONTENT },
      answer: (asked) => clearQuota(asked.request, place(asked), { ...asked.deps, by: asked.by }),
    },
  ];
});
