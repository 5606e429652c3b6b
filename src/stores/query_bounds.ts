import { hourStart, nextHourStart } from "../domain/calendar.ts";

/** The most rows that one trace's detail shows, its newest: taking them over from a Worker holds the event loop for some 10 ms. */
export const MAX_DETAIL_ROWS = 2_000;

/** Totals since a time: whole hours from their roll-ups, and rows from `fromRow` to before `toRow`. */
export interface Span {
  readonly fromHour: number;
  readonly fromRow: number;
  readonly toRow: number;
}

/** Whole hours by their roll-ups, and the rest of the first hour by its rows, where they are still there. */
export function spanSince(since: number | null, droppedBefore: number): Span {
  if (since === null) return { fromHour: Number.MIN_SAFE_INTEGER, fromRow: 0, toRow: 0 };
  if (since < droppedBefore) return { fromHour: hourStart(since), fromRow: 0, toRow: 0 };
  return { fromHour: nextHourStart(since), fromRow: since, toRow: nextHourStart(since) };
}
