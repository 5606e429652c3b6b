import { Buffer } from "node:buffer";
import { deserialize, serialize } from "node:v8";
import type { Reply, Request } from "../../async/worker_rpc.ts";
import type { Config, Secrets } from "../../config/config.ts";
import type { TellOperator } from "../../domain/events.ts";
import type { Bound, Limit, LimitRefusal, Reservation, Settled } from "../../domain/limits.ts";
import type { Readiness } from "../../domain/operations.ts";
import type { Owned } from "../../domain/owned.ts";
import type { SessionRecords } from "../../domain/sessions.ts";
import type { SuspensionScope } from "../../domain/suspensions.ts";
import type { Tokens } from "../../domain/tokens.ts";
import type { PriceList } from "../../pricing/price_list.ts";
import type { MetricsSnapshot } from "../../telemetry/metrics.ts";
import type { StopButtons } from "../stop_buttons.ts";

/** What SIGHUP replaces. */
export interface Rotated {
  /** `adminToken` is the one in force, for the log to hide. */
  readonly secrets: Secrets;
  readonly prices: PriceList;
}

/** The first request to a worker. */
export interface StartOrder extends Rotated {
  /** The worker's number, from 0, and how many there are. */
  readonly number: number;
  readonly of: number;
  /** As `packed` makes it. */
  readonly config: string;
  /** Names this run of the worker. */
  readonly instanceId: string;
  readonly port: number;
  readonly readiness: Readiness;
  readonly limits: readonly Limit[];
  readonly firstBatchLookMs: number;
  /** All of them. */
  readonly suspensions: readonly SuspensionScope[];
}

/** Settings as text: they hold what JSON does not, such as the big integers of `NO_PROXY`. */
export function packed(config: Config): string {
  return serialize(config).toString("base64");
}

export function unpacked(text: string): Config {
  return deserialize(Buffer.from(text, "base64"));
}

/** How a worker is. */
export interface Report {
  readonly metrics: MetricsSnapshot;
  readonly usedBytes: number;
  /** What its spool uses, by its bound. */
  readonly fill: number;
  /** Why it cannot record calls; null if it can. */
  readonly trouble: string | null;
  /** As far as its credentials decide. */
  readonly upstream: Readiness;
}

/** What the parent asks of a worker. */
export type WorkerMethods = { readonly [B in keyof StopButtons]: StopButtons[B] } & {
  /** Resolves when the worker listens. */
  readonly start: (order: StartOrder) => Promise<void>;
  readonly rotate: (rotated: Rotated) => void;
  readonly readiness: (readiness: Readiness) => void;
  /** The files of the data directory are lost, and why: nothing can be recorded any more. */
  readonly lost: (reason: string) => void;
  /** The limits have changed. */
  readonly limits: (limits: readonly Limit[]) => void;
  readonly report: () => Promise<Report>;
  /**
   * Refuses calls, waits for those that run, and closes all. Resolves to the last report when all
   * is recorded, and rejects if not all could be.
   */
  readonly stop: () => Promise<Report>;
  /** A stop waits no longer. */
  readonly hurry: () => void;
};

/** What a worker asks of its parent, which has the store. */
export interface ParentMethods extends Pick<Tokens, "findToken">, SessionRecords {
  readonly findOwnedHere: (ids: readonly string[]) => Promise<readonly Owned[]>;
  readonly findOwned: (ids: readonly string[]) => Promise<readonly Owned[]>;
  readonly recordOwned: (owned: readonly Owned[]) => Promise<void>;
  /** As `Batches.accountFor`; resolves to the message of its fault, or null. */
  readonly accountFor: (id: string) => Promise<string | null>;
  /** As the methods of `Limits`. */
  readonly reserve: (reservation: Reservation, bounds: readonly Bound[]) => Promise<LimitRefusal | null>;
  readonly settle: (ended: Settled) => void;
  readonly release: (id: string) => void;
  /** The client of a call that is being admitted has left. */
  readonly giveUp: (id: string) => void;
  readonly tell: TellOperator;
  /** As `Budget.take`, of what the workers share. */
  readonly takeRoom: (holder: string, bytes: number) => Promise<boolean>;
}

/** A line from the parent to a worker. */
export type ToWorker = { readonly ask: Request } | { readonly reply: Reply };

/** A line from a worker to the parent. */
export type ToParent =
  | { readonly ask: Request }
  | { readonly reply: Reply }
  /** Whole lines for the log. */
  | { readonly log: string }
  /** Something was recorded. */
  | { readonly committed: true }
  /** Room of the shared budget is free again. */
  | { readonly gave: { readonly holder: string; readonly bytes: number } }
  | { readonly report: Report };
