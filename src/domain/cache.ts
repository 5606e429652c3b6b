import type { Priced } from "./price.ts";

/** A call that read or wrote the prompt cache: what decides the worth of that. */
export interface CachedCall extends Omit<Priced, "serverToolUse"> {
  readonly id: string;
  /** Admission, milliseconds since the epoch: the call is priced at that time. */
  readonly createdAt: number;
  readonly agentId: string | null;
  readonly requestClass: string | null;
}

/** Whole nano-dollars, rounded once, half up; negative if the list makes the cache cost more. */
export interface CacheValue {
  /** What the tokens read would have cost as plain input, less what they cost as reads. */
  readonly saved: number;
  /** What the tokens that were written cost above plain input. */
  readonly writePremium: number;
  /** What `missedTokens` of the writes cost above reads; the cheaper writes are counted first. */
  readonly missCost: number;
}

/** Null if a model has no price at that time, or an amount is not a safe integer. Never throws. */
export type CacheValueOf = (call: CachedCall, missed: { readonly missedTokens: number }) => CacheValue | null;
