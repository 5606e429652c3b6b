/** Lines of one kind in one window. */
export const MAX_LINES = 10;
export const WINDOW_MS = 1_000;

interface Window {
  readonly startedAt: number;
  lines: number;
  suppressed: number;
}

/**
 * Bounds the lines of each kind, so that no client can flood the log: `MAX_LINES` in each
 * `WINDOW_MS`. Afterwards `tellSuppressed` gets the number of lines that were left out. Only
 * `settle` and `admit` call it, so the count comes with the next event.
 */
export class BoundedLines {
  readonly #windows = new Map<string, Window>();
  readonly #elapsed: () => number;
  readonly #tellSuppressed: (kind: string, count: number) => void;

  /** `elapsed`: milliseconds of a clock that never goes back. Kinds must come from a closed set. */
  constructor(elapsed: () => number, tellSuppressed: (kind: string, count: number) => void) {
    this.#elapsed = elapsed;
    this.#tellSuppressed = tellSuppressed;
  }

  /** Whether the log may have a line of that kind now. */
  admit(kind: string): boolean {
    this.settle();
    const at = this.#elapsed();
    let window = this.#windows.get(kind);
    if (window === undefined || at - window.startedAt >= WINDOW_MS) {
      window = { startedAt: at, lines: 0, suppressed: 0 };
      this.#windows.set(kind, window);
    }
    if (window.lines < MAX_LINES) {
      window.lines++;
      return true;
    }
    window.suppressed++;
    return false;
  }

  /** Tells the counts of the windows that are over. */
  settle(): void {
    const at = this.#elapsed();
    for (const [kind, window] of this.#windows) {
      if (window.suppressed === 0 || at - window.startedAt < WINDOW_MS) continue;
      this.#tellSuppressed(kind, window.suppressed);
      window.suppressed = 0;
    }
  }
}

const DAY_MS = 86_400_000;
/** A further kind gets no line, only its metric. */
const MAX_KINDS = 1_000;

/** One line a kind and day, however often it happens. */
export class DailyLines {
  readonly #elapsed: () => number;
  readonly #saidAt = new Map<string, number>();

  constructor(elapsed: () => number) {
    this.#elapsed = elapsed;
  }

  admit(kind: string): boolean {
    const at = this.#elapsed();
    const saidAt = this.#saidAt.get(kind);
    if (saidAt === undefined ? this.#saidAt.size >= MAX_KINDS : at - saidAt < DAY_MS) return false;
    this.#saidAt.set(kind, at);
    return true;
  }
}
