/** Start of the month (UTC) in which that time lies, milliseconds since the epoch. `months` later, or earlier where negative. */
export function monthStart(time: number, months = 0): number {
  const date = new Date(time);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + months);
}

const HOUR_MS = 3_600_000;

/** Start of the hour in which that time lies, milliseconds since the epoch. */
export function hourStart(time: number): number {
  return Math.floor(time / HOUR_MS) * HOUR_MS;
}

/** Start of the first hour that lies wholly at or after that time. */
export function nextHourStart(time: number): number {
  return Math.ceil(time / HOUR_MS) * HOUR_MS;
}

/** From `since` to before `until` there is no time at all: equal bounds leave none either. */
export function isEmptySpan(since: number, until: number): boolean {
  return since >= until;
}
