import {
  ALL_KINDS,
  type Bound,
  isGuard,
  type Limit,
  type LimitDefaults,
  type LimitKind,
  type Limits,
  periodOf,
} from "../domain/limits.ts";

type MaxByKind = ReadonlyMap<LimitKind, number>;

/** All limits in force, for finding those of a call. */
export class LimitTable {
  readonly #default: Map<LimitKind, number>;
  readonly #guard: Map<LimitKind, number>;
  readonly #workspaces = new Map<string, Map<LimitKind, number>>();
  readonly #sandboxes = new Map<string, Map<LimitKind, number>>();
  readonly #traces = new Map<string, Map<LimitKind, number>>();
  readonly #isEmpty: boolean;

  /** Guards among the defaults are those of each trace. */
  constructor(limits: readonly Limit[], defaults: LimitDefaults) {
    const given = Object.entries(defaults) as [LimitKind, number][];
    this.#default = new Map(given.filter(([kind]) => !isGuard(kind)));
    this.#guard = new Map(given.filter(([kind]) => isGuard(kind)));
    for (const { scope, workspaceId, id, kind, max } of limits) {
      if (scope === "default") (isGuard(kind) ? this.#guard : this.#default).set(kind, max);
      else if (scope === "workspace") into(this.#workspaces, workspaceId).set(kind, max);
      else into(scope === "sandbox" ? this.#sandboxes : this.#traces, keyOf(workspaceId, id)).set(kind, max);
    }
    this.#isEmpty = limits.length === 0 && given.every(([, max]) => max === 0);
  }

  boundsOf({ workspaceId, sandboxId, traceId, createdAt }: Parameters<Limits["boundsOf"]>[0]): readonly Bound[] {
    if (this.#isEmpty) return [];
    const own = this.#workspaces.get(workspaceId);
    const workspace = own === undefined ? this.#default : new Map([...this.#default, ...own]);
    const sandbox = this.#sandboxes.get(keyOf(workspaceId, sandboxId));
    const ofTrace = this.#traces.get(keyOf(workspaceId, traceId));
    const trace = ofTrace === undefined ? this.#guard : new Map([...this.#guard, ...ofTrace]);
    return [
      ...boundsIn(workspace, { scope: "workspace", id: workspaceId, createdAt }),
      ...boundsIn(sandbox, { scope: "sandbox", id: sandboxId, createdAt }),
      ...boundsIn(trace, { scope: "trace", id: traceId, createdAt }),
    ];
  }
}

function boundsIn(
  limits: MaxByKind | undefined,
  { scope, id, createdAt }: Pick<Bound, "scope" | "id"> & { readonly createdAt: number },
): readonly Bound[] {
  if (limits === undefined) return [];
  return ALL_KINDS.flatMap((kind) => {
    const max = limits.get(kind) ?? 0;
    return max === 0 ? [] : [{ kind, scope, id, max, ...periodOf(kind, createdAt) }];
  });
}

function keyOf(workspaceId: string, id: string): string {
  return JSON.stringify([workspaceId, id]);
}

function into(map: Map<string, Map<LimitKind, number>>, key: string): Map<LimitKind, number> {
  const found = map.get(key) ?? new Map<LimitKind, number>();
  map.set(key, found);
  return found;
}
