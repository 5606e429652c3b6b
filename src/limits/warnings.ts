import { LRUCache } from "lru-cache";
import type { TellOperator } from "../domain/events.ts";
import { type Bound, LIMIT_KINDS } from "../domain/limits.ts";

/** Bounds whose warnings are remembered. One that is forgotten may be told again. */
const MOST_REMEMBERED = 50_000;

/** Tells once for each period of a limit that a share of it is used. */
export class Warnings {
  readonly #percents: readonly number[];
  readonly #tell: TellOperator;
  /** The greatest share that was told. */
  readonly #told = new LRUCache<string, number>({ max: MOST_REMEMBERED });

  constructor(percents: readonly number[], tell: TellOperator) {
    this.#percents = percents.toSorted((a, b) => b - a);
    this.#tell = tell;
  }

  used(workspaceId: string, bound: Bound, used: number): void {
    // Calls that run come and go: a full house is no news.
    if (LIMIT_KINDS[bound.kind].counts === "running") return;
    const percent = this.#percents.find((percent) => used * 100 >= bound.max * percent);
    if (percent === undefined) return;
    const key = JSON.stringify([workspaceId, bound.scope, bound.id, bound.kind, bound.from, bound.max]);
    if ((this.#told.get(key) ?? 0) >= percent) return;
    this.#told.set(key, percent);
    this.#tell({ type: "limit.reached", workspaceId, bound, percent, used });
  }
}
