const DAY_MS = 86_400_000;
/** Kinds that are told apart; from then on a further kind has no line, only its metric. */
const MAX_KINDS = 1_000;

/** One line a kind and day, however often it happens. */
export class DailyLines {
  readonly #elapsed: () => number;
  readonly #saidAt = new Map<string, number>();

  /** `elapsed`: milliseconds of a clock that never goes back. */
  constructor(elapsed: () => number) {
    this.#elapsed = elapsed;
  }

  /** Whether a line of that kind may be written now. */
  admit(kind: string): boolean {
    const at = this.#elapsed();
    const saidAt = this.#saidAt.get(kind);
    if (saidAt === undefined ? this.#saidAt.size >= MAX_KINDS : at - saidAt < DAY_MS) return false;
    this.#saidAt.set(kind, at);
    return true;
  }
}
