import type { Methods, WorkerRpc } from "../../async/worker_rpc.ts";
import type { Limit, LimitDefaults, Limits } from "../../domain/limits.ts";
import { LimitTable } from "../../limits/limit_table.ts";
import type { ParentMethods } from "./protocol.ts";

/** A worker's limits: it knows which a call has, and the parent admits. */
export class LimitsAtParent implements Limits {
  readonly #parent: WorkerRpc<ParentMethods & Methods>;
  readonly #defaults: LimitDefaults;
  #table: LimitTable;

  constructor(
    parent: WorkerRpc<ParentMethods & Methods>,
    { known, defaults }: {
      readonly known: readonly Limit[];
      readonly defaults: LimitDefaults;
    },
  ) {
    this.#parent = parent;
    this.#defaults = defaults;
    this.#table = new LimitTable(known, defaults);
  }

  /** The limits have changed. */
  replace(known: readonly Limit[]): void {
    this.#table = new LimitTable(known, this.#defaults);
  }

  readonly boundsOf: Limits["boundsOf"] = (call) => this.#table.boundsOf(call);

  readonly reserve: Limits["reserve"] = async (reservation, bounds, signal) => {
    signal.throwIfAborted();
    const { id } = reservation;
    const giveUp = () => void this.#parent.call("giveUp", id).catch(() => {});
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      const refusal = await this.#parent.call("reserve", reservation, bounds);
      if (signal.aborted && refusal === null) this.release(id);
      signal.throwIfAborted();
      return refusal;
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  };

  /** If the parent has died, so does this worker at once. */
  readonly settle: Limits["settle"] = (ended) => void this.#parent.call("settle", ended).catch(() => {});

  readonly release: Limits["release"] = (id) => void this.#parent.call("release", id).catch(() => {});
}

/** The parent's answers to it. */
export function limitAnswers({ reserve, settle, release }: Omit<Limits, "boundsOf">) {
  /** Calls of workers that are being admitted. */
  const asking = new Map<string, AbortController>();
  return {
    async reserve(...[reservation, bounds]: Parameters<ParentMethods["reserve"]>) {
      const left = new AbortController();
      asking.set(reservation.id, left);
      try {
        return await reserve(reservation, bounds, left.signal);
      } finally {
        asking.delete(reservation.id);
      }
    },
    giveUp: (id: string) => asking.get(id)?.abort(new Error("The client left")),
    settle,
    release,
  };
}
