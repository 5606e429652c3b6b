import { ALL_KINDS, type Bound, type Limit, type LimitKind, type Limits, periodOf } from "../domain/limits.ts";

type MaxByKind = ReadonlyMap<LimitKind, number>;

/** All limits in force, for finding those of a call. */
export class LimitTable {
  readonly #default: Map<LimitKind, number>;
  readonly #workspaces = new Map<string, Map<LimitKind, number>>();
  readonly #sandboxes = new Map<string, Map<LimitKind, number>>();
  readonly #traces = new Map<string, Map<LimitKind, number>>();
  readonly #isEmpty: boolean;

  /** `defaults` hold for each workspace without a limit of that kind; 0: none. */
  constructor(limits: readonly Limit[], defaults: Partial<Readonly<Record<LimitKind, number>>>) {
    this.#default = new Map(Object.entries(defaults) as [LimitKind, number][]);
    for (const { scope, workspaceId, id, kind, max } of limits) {
      if (scope === "default") this.#default.set(kind, max);
      else if (scope === "workspace") into(this.#workspaces, workspaceId).set(kind, max);
      else into(scope === "sandbox" ? this.#sandboxes : this.#traces, keyOf(workspaceId, id)).set(kind, max);
    }
    this.#isEmpty = limits.length === 0 && [...this.#default.values()].every((max) => max === 0);
  }

  boundsOf({ workspaceId, sandboxId, traceId, createdAt }: Parameters<Limits["boundsOf"]>[0]): readonly Bound[] {
    if (this.#isEmpty) return [];
    const own = this.#workspaces.get(workspaceId);
    const workspace = own === undefined ? this.#default : new Map([...this.#default, ...own]);
    const sandbox = this.#sandboxes.get(keyOf(workspaceId, sandboxId));
    const trace = this.#traces.get(keyOf(workspaceId, traceId));
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
