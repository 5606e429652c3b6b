/** From one time to another, milliseconds since the epoch. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** A time axis on which long pauses are cut, so that what runs between them can be seen. */
export interface TimeAxis {
  /** From 0 to `AXIS_WIDTH`. */
  readonly placeOf: (at: number) => number;
  /** The times at both ends and at the quarters. */
  readonly ticks: readonly number[];
  readonly pauses: readonly Pause[];
}

export interface Pause {
  /** The middle of the place that is left of it. */
  readonly place: number;
  readonly ms: number;
}

export const AXIS_WIDTH = 1_000;

const QUARTERS = [0, 1, 2, 3, 4] as const;
/** A pause is shown as long as this part of what runs, or as this time if that is longer. */
const PAUSE_PART = 1 / 20;
const LEAST_PAUSE_MS = 1_000;

/** A stretch of time and where it is on the axis, still in milliseconds. */
interface Piece extends Stretch {
  readonly begin: number;
  readonly end: number;
}

/** At least one stretch. */
export function timeAxisOf(stretches: readonly Stretch[]): TimeAxis {
  const pieces = piecesOf(mergedOf(stretches));
  const whole = Math.max(pieces.at(-1)!.end, 1);
  const scale = AXIS_WIDTH / whole;
  const cut = pieces.filter(({ from, to, begin, end }) => to - from > end - begin);
  return {
    placeOf(at) {
      const piece = pieces.find(({ to }) => at <= to) ?? pieces.at(-1)!;
      const part = piece.to === piece.from ? 0 : (at - piece.from) / (piece.to - piece.from);
      const place = (piece.begin + part * (piece.end - piece.begin)) * scale;
      return Math.min(Math.max(place, 0), AXIS_WIDTH);
    },
    ticks: QUARTERS.map((quarter) => timeAt(pieces, whole * quarter / 4)),
    pauses: cut.map(({ from, to, begin, end }) => ({ place: (begin + end) / 2 * scale, ms: to - from })),
  };
}

function timeAt(pieces: readonly Piece[], shown: number): number {
  const { from, to, begin, end } = pieces.find((piece) => shown <= piece.end) ?? pieces.at(-1)!;
  return Math.round(end === begin ? from : from + (shown - begin) / (end - begin) * (to - from));
}

/** What runs and the pauses between, one after the other. */
function piecesOf(busy: readonly Stretch[]): readonly Piece[] {
  const running = busy.reduce((sum, { from, to }) => sum + to - from, 0);
  const longest = Math.max(Math.round(running * PAUSE_PART), LEAST_PAUSE_MS);
  const pieces: Piece[] = [];
  let [at, last] = [0, busy[0]!.from];
  for (const { from, to } of busy) {
    if (from > last) {
      const shown = Math.min(from - last, longest);
      pieces.push({ from: last, to: from, begin: at, end: at + shown });
      at += shown;
    }
    pieces.push({ from, to, begin: at, end: at + to - from });
    at += to - from;
    last = to;
  }
  return pieces;
}

/** In order, and without overlaps. */
function mergedOf(stretches: readonly Stretch[]): readonly Stretch[] {
  const merged: Stretch[] = [];
  for (const { from, to } of stretches.toSorted((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last !== undefined && from <= last.to) merged[merged.length - 1] = { from: last.from, to: Math.max(last.to, to) };
    else merged.push({ from, to });
  }
  return merged;
}
