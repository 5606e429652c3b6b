import type { OpenCall } from "../../domain/usage.ts";
import type { StoreVerbs } from "../verbs.ts";
import type { RowBounds } from "./backup.ts";
import type { Synchronous } from "./connection.ts";

interface Rescue {
  /** As `copyDatabase`, on the open connection: it still has what the files have lost. */
  readonly copyInto: (path: string, openCalls: readonly OpenCall[]) => Promise<RowBounds>;
}

type Methods = StoreVerbs & Rescue;
export type Verb = keyof Methods;

/** What the Worker is asked, one verb for each method of the seams. */
export type Verbs = { readonly [V in Verb]: Methods[V] };

/** The same methods on the Worker's own thread, blocking. */
export type Answers = { readonly [V in Verb]: (...args: Parameters<Verbs[V]>) => Awaited<ReturnType<Verbs[V]>> };

/** `open` does nothing but open the database, and so rejects if it cannot be used. */
export type WorkerMethods = Answers & { readonly open: () => void; readonly close: () => void };

/** The first message to the Worker; every further one is a request for one of `WorkerMethods`. */
export interface OpenMessage {
  readonly path: string;
  readonly synchronous: Synchronous;
}
