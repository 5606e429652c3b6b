/**
 * Start of the month (UTC) of that time, milliseconds since the epoch. `months` later, or earlier
 * if negative.
 */
export function monthStart(time: number, months = 0): number {
  const date = new Date(time);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + months);
}

const HOUR_MS = 3_600_000;

/** Start of the hour of that time, milliseconds since the epoch. */
export function hourStart(time: number): number {
  return Math.floor(time / HOUR_MS) * HOUR_MS;
}

/** Start of the first hour that begins at or after that time. */
export function nextHourStart(time: number): number {
  return Math.ceil(time / HOUR_MS) * HOUR_MS;
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * HOUR_MS;

export type Period = "minute" | "hour" | "day" | "month";

/**
 * Start of the period (UTC) of that time, or of the first one that begins at or after it (`next`).
 */
export function periodStart(period: Period, time: number, which: "this" | "next" = "this"): number {
  if (period === "minute") return (which === "this" ? Math.floor(time / MINUTE_MS) : Math.ceil(time / MINUTE_MS)) * MINUTE_MS;
  if (period === "hour") return which === "this" ? hourStart(time) : nextHourStart(time);
  if (period === "day") return (which === "this" ? Math.floor(time / DAY_MS) : Math.ceil(time / DAY_MS)) * DAY_MS;
  const start = monthStart(time);
  return which === "this" || start === time ? start : monthStart(time, 1);
}

/** Whether no time is left from `since` to before `until`. */
export function isEmptySpan(since: number, until: number): boolean {
  return since >= until;
}
