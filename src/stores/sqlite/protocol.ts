import type { SpoolCare } from "../../domain/spool.ts";
import type { TokenCopies } from "../../domain/tokens.ts";
import type { CarriedError } from "../../domain/unavailable.ts";
import type { StoreVerbs } from "../verbs.ts";
import type { RowBounds } from "./backup.ts";
import type { Synchronous } from "./connection.ts";

export interface Rescue {
  /** As `copyDatabase`, on the connection that is open: it still has what the files have lost. */
  readonly copyInto: (path: string) => Promise<RowBounds>;
}

/** What the Worker is asked for, one verb a method of the seams. */
export type Verbs = StoreVerbs & SpoolCare & TokenCopies & Rescue;
export type Verb = keyof Verbs;

/** The same methods, answered at once by the thread that holds the connection. */
export type Answers = { readonly [V in Verb]: (...args: Parameters<Verbs[V]>) => Awaited<ReturnType<Verbs[V]>> };

/** The first message to the Worker. */
export interface OpenMessage {
  readonly path: string;
  readonly synchronous: Synchronous;
  /** Between two looks at the write-ahead log; 0: never look. */
  readonly checkpointMs: number;
}

/** Every further message; `args` are the verb's. After `close` nothing is answered. */
export type AskMessage =
  | { readonly ask: number; readonly verb: Verb; readonly args: readonly unknown[] }
  | { readonly ask: number; readonly verb: "close" };

/** The Worker's reply to the first message (`ask` 0) and to each further one. */
export type Reply =
  | { readonly ask: number; readonly value: unknown }
  | { readonly ask: number; readonly error: CarriedError };
