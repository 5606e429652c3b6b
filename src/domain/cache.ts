import type { Priced } from "./price.ts";

/** Of a call that read or wrote the prompt cache, what decides what that was worth. */
export interface CachedCall extends Omit<Priced, "serverToolUse"> {
  readonly id: string;
  /** Admission, milliseconds since the epoch: the call is priced at that time. */
  readonly createdAt: number;
  readonly agentId: string | null;
  readonly requestClass: string | null;
}

/** Whole nano-dollars, each rounded once, half up. Negative only by a price list on which the cache costs more than it saves. */
export interface CacheValue {
  /** What the tokens that were read would have cost as plain input, less what they cost as reads. */
  readonly saved: number;
  /** What the tokens that were written cost above plain input. */
  readonly writePremium: number;
  /** What `missedTokens` of the writes cost above reads; the cheaper writes are counted first. */
  readonly missCost: number;
}

/** Null where a model has no price at that time, or the amounts are beyond anything that can be paid. Pure; never throws. */
export type CacheValueOf = (call: CachedCall, missed: { readonly missedTokens: number }) => CacheValue | null;
