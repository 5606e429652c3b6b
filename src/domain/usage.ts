import type { UnpricedUses } from "./price.ts";
import type { UsageReading } from "./reading.ts";

/** How a billed call stopped. `unknown`: the proxy died with it, and nobody saw. `proxy_cut`: we cut it, at the end of a drain. */
export const OUTCOMES = ["completed", "client_left", "upstream_error", "upstream_broke", "proxy_cut", "unknown"] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** How far a row's counts can be trusted. */
export const ACCURACIES = ["exact", "estimated", "unknown"] as const;
export type Accuracy = (typeof ACCURACIES)[number];

/** What is known of a billed call when it is admitted; committed before its first byte goes upstream. */
export interface OpenCall {
  /** `ar-` and a ULID. */
  readonly id: string;
  /** The run of the proxy that opened the row: a sweep closes those of earlier runs. */
  readonly instanceId: string;
  readonly workspaceId: string;
  readonly sandboxId: string;
  readonly traceId: string;
  readonly kind: "message" | "batch_line";
  readonly provider: string;
  readonly requestedModel: string;
  readonly streaming: boolean;
  /** Admission, milliseconds since the epoch, UTC. */
  readonly createdAt: number;
  readonly maxTokens: number | null;
  readonly requestBytes: number;
  /** SHA-256 of the bytes of `messages`, hex. */
  readonly messagesHash: string | null;
  readonly agentId: string | null;
  readonly parentAgentId: string | null;
  readonly agentType: string | null;
  readonly requestClass: string | null;
  readonly promptId: string | null;
  readonly client: string | null;
  readonly tokenId: string | null;
  readonly credentialId: string | null;
  /** The message batch that a line belongs to, and the client's own id of that line; null for a message. */
  readonly batchId: string | null;
  readonly customId: string | null;
}

/** What a call has not where nobody said it. */
export const UNSAID = {
  messagesHash: null,
  agentId: null,
  parentAgentId: null,
  agentType: null,
  requestClass: null,
  promptId: null,
  client: null,
  tokenId: null,
  credentialId: null,
  batchId: null,
  customId: null,
} as const satisfies Partial<OpenCall>;

/** How a call ended and what it used. */
export interface Closing {
  readonly outcome: Outcome;
  readonly accuracy: Accuracy;
  /** The upstream's HTTP status; null where none came. */
  readonly status: number | null;
  readonly upstreamRequestId: string | null;
  /** Milliseconds from admission to the last byte. */
  readonly duration: number | null;
  /** Milliseconds from admission to the first content delta. */
  readonly ttft: number | null;
  readonly reading: UsageReading;
  /** Whole nano-dollars; null where nobody can say: the row is unpriced, or its accuracy is `unknown`. */
  readonly cost: number | null;
  /** The price list that made the cost. */
  readonly priceVersion: string | null;
  /** Uses beside the cost that have no price. */
  readonly unpricedUses: UnpricedUses;
}

/** What a call costs of which nobody can say it. */
export const NO_COST = { cost: null, priceVersion: null, unpricedUses: {} } as const satisfies Partial<Closing>;

/** The `errorType` of a row whose upstream named a count that nobody can believe: the row has none of its counts. */
export const ABSURD_USAGE = "absurd_usage";

/** A closed row of `usage`. `revision` grows with each later change of the same row. */
export interface UsageRow {
  readonly call: OpenCall;
  readonly closing: Closing;
  readonly revision: number;
}

/** Revisions, from weak to strong: a real close beats a sweep. */
export const REVISION = { open: 0, swept: 1, closed: 2 } as const;

/** One row as `/internal/traces/:id` shows it. Durations in ms, times in ms since the epoch. */
export interface TokenUsage {
  readonly id: string;
  readonly traceId?: string;
  readonly sandboxId: string;
  readonly workspaceId: string;
  readonly provider: string;
  /** The served model, or the requested one where no answer named one. */
  readonly model: string;
  readonly messageId?: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cacheCreationInputTokens: number;
  readonly cacheReadInputTokens: number;
  readonly streaming: boolean;
  readonly duration: number;
  readonly ttft: number;
  readonly createdAt: number;
  readonly outcome: Outcome | "open";
  readonly accuracy: Accuracy;
  readonly status?: number;
  readonly errorType?: string;
  readonly stopReason?: string;
  readonly requestedModel: string;
  readonly upstreamRequestId?: string;
  readonly cacheCreation5mInputTokens: number;
  readonly cacheCreation1hInputTokens: number;
  readonly thinkingTokens: number;
  readonly serverToolUse?: Readonly<Record<string, number>>;
  readonly serviceTier?: string;
  readonly inferenceGeo?: string;
  readonly speed?: string;
  readonly iterations?: readonly Readonly<Record<string, unknown>>[];
  readonly agentId?: string;
  readonly parentAgentId?: string;
  readonly agentType?: string;
  readonly requestClass?: string;
  readonly promptId?: string;
  readonly client?: string;
  /** Nano-dollars; left out where the row is unpriced or nothing is known of it. */
  readonly cost?: number;
  readonly priceVersion?: string;
  /** The first attempt at what this call asks again. */
  readonly retryOf?: string;
  /** It did not complete, and a later call asks the same. */
  readonly askedAgain?: true;
  /** Why the upstream declined; left out if it named no category. */
  readonly refusalCategory?: string;
  /** Uses that have no price and are not in `cost`. */
  readonly unpricedUses?: UnpricedUses;
}

/** Totals of calls that have ended. A sum of tokens may be more than a number holds exactly. */
export interface UsageTotals {
  readonly inputTokens: bigint;
  readonly outputTokens: bigint;
  readonly cacheCreationInputTokens: bigint;
  readonly cacheReadInputTokens: bigint;
  readonly requestCount: number;
  readonly money: MoneySummary;
  readonly retries: RetrySummary;
}

/** Totals of one group of calls; what it was grouped by is there, and empty where the calls name none. */
export interface UsageSummary extends UsageTotals {
  readonly provider?: string;
  readonly model?: string;
  readonly workspaceId?: string;
  readonly sandboxId?: string;
  readonly traceId?: string;
  readonly agentId?: string;
  readonly client?: string;
  /** Start of the day and of the hour, UTC, milliseconds since the epoch. */
  readonly day?: number;
  readonly hour?: number;
}

/** What calls cost together, and how far that can be trusted. */
export interface MoneySummary {
  /** Nano-dollars of the calls that have a price. A sum may be more than a number holds exactly. */
  readonly cost: bigint;
  /** The part of it that rests on estimated counts. */
  readonly estimatedCost: bigint;
  /** Calls whose counts are estimated; of which nothing is known; and that have no price. The last two are not in `cost`. */
  readonly estimatedCount: number;
  readonly unknownCount: number;
  readonly unpricedCount: number;
  /** Calls that are in `cost` although some of their uses have no price. */
  readonly partlyPricedCount: number;
}

/** How often clients asked again what had not been answered, and what those attempts cost that were asked again (`domain/retry.ts`). */
export interface RetrySummary {
  readonly count: number;
  /** Nano-dollars: what was paid beside the attempt that came last. A part of all costs. */
  readonly cost: bigint;
}

/** What a query is narrowed to; null stands for "all". */
export interface QueryOpts {
  readonly workspaceId: string | null;
  readonly sandboxId: string | null;
  /** Milliseconds since the epoch; rows from then on. */
  readonly since: number | null;
  /** Milliseconds since the epoch; rows before then. */
  readonly until: number | null;
  readonly limit: number;
  readonly offset: number;
}
