import type { UnpricedUses } from "../domain/price.ts";
import type { UsageReading } from "../domain/reading.ts";

export function wholeMs(milliseconds: number | null): number | null {
  return milliseconds === null ? null : Math.round(milliseconds);
}

/** A JSON object as text; null where there is nothing in it. */
export function serverToolUseJson(reading: UsageReading): string | null {
  return countsJson(reading.serverToolUse);
}

/** As `serverToolUseJson`. */
export function countsJson(counts: UnpricedUses): string | null {
  const text = JSON.stringify(counts);
  return text === "{}" ? null : text;
}

/** A JSON array as text; null where there is nothing in it. */
export function iterationsJson(reading: UsageReading): string | null {
  return reading.iterations.length === 0 ? null : JSON.stringify(reading.iterations);
}
