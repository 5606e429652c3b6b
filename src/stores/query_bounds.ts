import { hourStart, nextHourStart } from "../domain/calendar.ts";

/**
 * The most rows in a trace's detail, its newest: receiving them from a Worker holds the event loop
 * for some 10 ms.
 */
export const MAX_DETAIL_ROWS = 2_000;

/** The most calls that `getCachedCalls` returns. */
export const MAX_CACHED_CALLS = 1_000;

/** The most traces of one id that `findTraces` returns. */
export const MAX_NAMESAKES = 100;

/** From one time to before another; null means no bound. */
export interface Stretch {
  readonly from: number | null;
  readonly to: number | null;
}

/**
 * Whole hours, which are read from roll-ups, and the partial hours at both ends, which are read
 * from rows. An empty part is null.
 */
export interface SplitSpan {
  readonly hours: Stretch | null;
  readonly head: Stretch | null;
  readonly tail: Stretch | null;
}

/** A partial hour whose rows were dropped counts as a whole hour. */
export function spanOf(
  { since, until }: { readonly since: number | null; readonly until: number | null },
  droppedBefore: number,
): SplitSpan {
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
