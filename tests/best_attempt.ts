import assert from "node:assert/strict";

const MOST_ATTEMPTS = 10;

/**
 * Measures until an attempt stays within the limit, and fails where none of ten does: a machine
 * that is not ours alone adds to a time or to the memory of the process now and then, but what the
 * code itself takes it takes in every attempt.
 */
export async function assertAtMost(limit: number, measure: (attempt: number) => number | Promise<number>): Promise<void> {
  const seen: number[] = [];
  while (!seen.some((value) => value <= limit)) {
    if (seen.length === MOST_ATTEMPTS) assert.fail(`over ${limit} in each attempt: ${seen.map(Math.round)}`);
    seen.push(await measure(seen.length));
  }
}

/**
 * The memory of the process grows by at most `limitBytes` from one round of `work` to the next: a
 * leak grows in all of them.
 */
export async function assertFrees(limitBytes: number, work: () => Promise<void>): Promise<void> {
  await work();
  let before = Deno.memoryUsage().rss;
  await assertAtMost(limitBytes, async () => {
    const from = before;
    await work();
    before = Deno.memoryUsage().rss;
    return before - from;
  });
}
