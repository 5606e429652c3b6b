import type { Reading } from "../domain/reading.ts";

export function wholeMs(milliseconds: number | null): number | null {
  return milliseconds === null ? null : Math.round(milliseconds);
}

/** A JSON object as text; null where there is nothing in it. */
export function serverToolUseJson(reading: Reading): string | null {
  const counts = JSON.stringify(reading.serverToolUse);
  return counts === "{}" ? null : counts;
}

/** A JSON array as text; null where there is nothing in it. */
export function iterationsJson(reading: Reading): string | null {
  return reading.iterations.length === 0 ? null : JSON.stringify(reading.iterations);
}
