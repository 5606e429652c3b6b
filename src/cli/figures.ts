import { z } from "zod";
import { dollarsText, wholeText } from "../http/dashboard/figures.tsx";

/** Counts, money and times of the admin API's answers, and how tables show them. */

/** Beyond 2^53 a bigint: `parseExact()`. */
export const count = z.union([z.int(), z.bigint()]);
/** US dollars with nine places. */
export const usd = z.string().regex(/^-?\d+\.\d{9}$/);

/** The totals that tables show, of `/internal/usage`. */
export const totalsShape = z.looseObject({
  requestCount: count,
  inputTokens: count,
  outputTokens: count,
  cacheCreationInputTokens: count,
  cacheReadInputTokens: count,
  costUsd: usd,
  estimatedCount: count,
  unknownCount: count,
  unpricedCount: count,
  partlyPricedCount: count,
  retryCount: count,
});
type Totals = z.output<typeof totalsShape>;

/** Headings of `totalCells()`. */
export const TOTAL_HEADINGS = ["CALLS", "INPUT", "CACHE WRITE", "CACHE READ", "OUTPUT", "COST", "OF THEM"] as const;
export const TOTAL_NUMBERS = TOTAL_HEADINGS.slice(0, -1);

export function totalCells(totals: Totals): string[] {
  return [
    wholeText(totals.requestCount),
    wholeText(totals.inputTokens),
    wholeText(totals.cacheCreationInputTokens),
    wholeText(totals.cacheReadInputTokens),
    wholeText(totals.outputTokens),
    dollars(totals.costUsd),
    notesOf(totals),
  ];
}

const NOTES = {
  estimatedCount: "estimated",
  unknownCount: "unknown",
  unpricedCount: "unpriced",
  partlyPricedCount: "partly priced",
  retryCount: "retried",
} as const;

/** What the cost does not say by itself: `3 estimated, 1 unpriced`. */
export function notesOf(totals: Partial<Pick<Totals, keyof typeof NOTES>>): string {
  const notes = Object.entries(NOTES).map(([field, word]) => [totals[field as keyof typeof NOTES] ?? 0, word] as const);
  return notes.filter(([value]) => BigInt(value) > 0n).map(([value, word]) => `${wholeText(value)} ${word}`).join(", ");
}

const LEAST_SHOWN = 100_000n;

/** As the dashboard shows it; what would round to nothing is `<$0.0001`. */
export function dollars(exact: string): string {
  const nano = BigInt(exact.replace(".", ""));
  return nano > 0n && nano < LEAST_SHOWN ? "<$0.0001" : dollarsText(nano);
}

/** A call's cost. Null, or left out: there is no price for it, or nothing is known. */
export function costCell(exact: string | null | undefined, accuracy: string): string {
  if (exact === null || exact === undefined) return accuracy === "unknown" ? "unknown" : "unpriced";
  return about(dollars(exact), accuracy);
}

/** `~` stands before what is not exact. */
export function about(text: string, accuracy: string): string {
  return accuracy === "exact" ? text : `~${text}`;
}

/** UTC to the second: `2026-01-31T12:00:00Z`. */
export function timeCell(iso: string): string {
  return iso.replace(/\.\d+Z$/, "Z");
}
