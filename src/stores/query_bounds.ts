import { hourStart, nextHourStart } from "../domain/calendar.ts";

/** The most rows that one trace's detail shows, its newest: taking them over from a Worker holds the event loop for some 10 ms. */
export const MAX_DETAIL_ROWS = 2_000;

/** The most calls that `getCachedCalls` gives at once. */
export const MAX_CACHED_CALLS = 1_000;

/** From a time on to before another; null: without an end. */
export interface Stretch {
  readonly from: number | null;
  readonly to: number | null;
}

/** Whole hours, by their roll-ups, and the broken ones at both ends, by their rows. What is empty is null. */
export interface Span {
  readonly hours: Stretch | null;
  readonly head: Stretch | null;
  readonly tail: Stretch | null;
}

/** A broken hour whose rows have been dropped counts whole. */
export function spanOf(
  { since, until }: { readonly since: number | null; readonly until: number | null },
  droppedBefore: number,
): Span {
  if (since !== null && until !== null && since >= until) return { hours: null, head: null, tail: null };
  const fromHour = since === null ? null : since < droppedBefore ? hourStart(since) : nextHourStart(since);
  const toHour = until === null ? null : until <= droppedBefore ? nextHourStart(until) : hourStart(until);
  if (fromHour !== null && toHour !== null && fromHour > toHour) {
    return { hours: null, head: { from: since, to: until }, tail: null };
  }
  return {
    hours: fromHour !== null && fromHour === toHour ? null : { from: fromHour, to: toHour },
    head: fromHour !== null && since! < fromHour ? { from: since, to: fromHour } : null,
    tail: toHour !== null && toHour < until! ? { from: toHour, to: until } : null,
  };
}
