import type { ServiceTier, TokenKind } from "./price.ts";
import type { RepriceSteps, Span } from "./repricing.ts";
import type { ExportFormat, UsageFilter } from "./usage_record.ts";

/** What an operator asks of a running proxy besides queries: src/http asks, src/server answers. */

/** `degraded`: calls are served and recorded, but an operator should look. */
export interface Readiness {
  readonly status: "ok" | "degraded" | "unavailable";
  /** Null if all is well. */
  readonly reason: string | null;
}

/** The one that is worse; the first if they are equal. */
export function worse(one: Readiness, other: Readiness): Readiness {
  const order = ["ok", "degraded", "unavailable"];
  return order.indexOf(other.status) > order.indexOf(one.status) ? other : one;
}

/** One value of the machine's metrics, of all its processes. Its name has no prefix. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** An upstream as operators see it: without secrets. */
export interface UpstreamInForce {
  readonly name: string;
  readonly dialect: string;
  /** Who bills its calls. */
  readonly provider: string;
  readonly baseUrl: string;
  /** Patterns of the models that calls may ask for. */
  readonly models: readonly string[];
  /** Null: all workspaces may use it. */
  readonly workspaces: readonly string[] | null;
  readonly credentials: readonly { readonly id: string; readonly weight: number; readonly baseUrl: string }[];
}

/** US dollars per million tokens, as the price list has them. Left out: there is no price. */
export interface PriceInForce extends TokenPrices {
  readonly model: string;
  /** The day from which it holds. */
  readonly from: string;
  /** The day at whose start it ends; null: until the list changes. */
  readonly until: string | null;
  /** For prompts of at least so many tokens. */
  readonly promptFrom: number;
  /** What factors there are, in percent: for `speed: "fast"`, and by service tier. */
  readonly fastPercent: number | null;
  readonly serviceTierPercent: { readonly [T in ServiceTier]?: number };
}

type TokenPrices = { readonly [K in TokenKind]?: string };

export interface PricesInForce {
  readonly version: string;
  readonly prices: readonly PriceInForce[];
}

/** Queues the rows recorded from `since` on to be shipped again; null: no shared database. */
export type Reship = ((since: number) => Promise<number>) | null;

export interface RepriceRequest extends Span {
  readonly isDryRun: boolean;
}

/** Prices rows again by the current list, from its first step on; null while another runs. */
export type Reprice = (request: RepriceRequest) => {
  readonly priceVersion: string;
  readonly steps: RepriceSteps;
} | null;

export interface UsageExport {
  /** Null if they could not be counted. */
  readonly rows: number | null;
  /** Estimated from the first rows; null if unknown. */
  readonly estimatedBytes: number | null;
  /** Errors if the rows cannot be read to their end. */
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** Rejects with `TooManyExports`, or if not even the first rows can be read. */
export type ExportUsage = (format: ExportFormat, filter: UsageFilter) => Promise<UsageExport>;

/** Work of this kind is running already; the admin API answers 503 with `retry-after`. */
export class Busy extends Error {}

export class TooManyExports extends Busy {
  override readonly name = "TooManyExports";

  constructor(most: number) {
    super(`Cannot export at the moment: ${most} exports are under way`);
  }
}

export interface Backup {
  /** `spool`: the records of a shared database are not in it. */
  readonly of: "database" | "spool";
  readonly bytes: number;
  /** Calls in it: as many as the database had. */
  readonly rows: number;
  /** The database's files were lost while the proxy ran: this is what the proxy still held. */
  readonly isRescued: boolean;
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** Rejects with `BackupUnderWay`, or with the reason in words for an operator. */
export type BackUp = () => Promise<Backup>;

export class BackupUnderWay extends Busy {
  override readonly name = "BackupUnderWay";

  constructor() {
    super("Cannot make a backup at the moment: another one is under way");
  }
}
