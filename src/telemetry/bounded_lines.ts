/** Lines of one kind that are written within one window. */
export const MAX_LINES = 10;
export const WINDOW_MS = 1_000;

interface Window {
  readonly startedAt: number;
  lines: number;
  suppressed: number;
}

/**
 * Bounds how many lines of one kind are written, so that nobody can flood the log: `MAX_LINES` in each `WINDOW_MS`.
 * `tellSuppressed` says afterwards how many were left out; it is called from `settle` and `admit` alone, so a window's
 * count is told with the next thing that happens.
 */
export class BoundedLines {
  readonly #windows = new Map<string, Window>();
  readonly #elapsed: () => number;
  readonly #tellSuppressed: (kind: string, count: number) => void;
  #isOwing = false;

  /** `elapsed`: milliseconds of a clock that never goes back. Kinds must come from a closed set. */
  constructor(elapsed: () => number, tellSuppressed: (kind: string, count: number) => void) {
    this.#elapsed = elapsed;
    this.#tellSuppressed = tellSuppressed;
  }

  /** Whether a line of that kind may be written now. */
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
    this.#isOwing = true;
    return false;
  }

  /** Tells of the windows that are over. */
  settle(): void {
    if (!this.#isOwing) return;
    const at = this.#elapsed();
    this.#isOwing = false;
    for (const [kind, window] of this.#windows) {
      if (window.suppressed === 0) continue;
      if (at - window.startedAt < WINDOW_MS) {
        this.#isOwing = true;
        continue;
      }
      this.#tellSuppressed(kind, window.suppressed);
      window.suppressed = 0;
    }
  }
}
