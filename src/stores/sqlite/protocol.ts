import type { StoreVerbs } from "../verbs.ts";
import type { Synchronous } from "./connection.ts";

export type Verb = keyof StoreVerbs;

/** What the Worker is asked, one verb for each method of the seams. */
export type Verbs = { readonly [V in Verb]: StoreVerbs[V] };

/** The same methods on the Worker's own thread, blocking. */
export type Answers = { readonly [V in Verb]: (...args: Parameters<Verbs[V]>) => Awaited<ReturnType<Verbs[V]>> };

/** `open` does nothing but open the database, and so rejects if it cannot be used. */
export type WorkerMethods = Answers & { readonly open: () => void; readonly close: () => void };

/** The first message to the Worker; every further one is a request for one of `WorkerMethods`. */
export interface OpenMessage {
  readonly path: string;
  readonly synchronous: Synchronous;
}
