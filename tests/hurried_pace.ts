import { BATCH_PACE, type BatchPace } from "../src/batches/accounts.ts";

/** Batches are looked at so often that a test can wait for it. */
export const HURRIED: BatchPace = { ...BATCH_PACE, lookMs: 20, leastWaitMs: 20, mostWaitMs: 100, leaseMs: 1_500 };
