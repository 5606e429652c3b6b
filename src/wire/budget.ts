export interface BudgetBytes {
  readonly totalBytes: number;
  readonly perHolderBytes: number;
}

/** Room for bytes, in all and by holder. */
export interface Budget {
  readonly heldBytes: number;
  /** True if the bytes are now the holder's; false, and nothing changed, if there is no room. */
  readonly take: (holder: string, bytes: number) => boolean | Promise<boolean>;
  readonly give: (holder: string, bytes: number) => void;
}

/**
 * Bounds the buffered bytes, in all and by holder (a sandbox): no sandbox exhausts the process or
 * the others. There is no queue: a refusal is immediate.
 */
export class ByteBudget implements Budget {
  readonly #totalBytes: number;
  readonly #perHolderBytes: number;
  readonly #held = new Map<string, number>();
  #heldBytes = 0;

  constructor(options: BudgetBytes) {
    this.#totalBytes = options.totalBytes;
    this.#perHolderBytes = options.perHolderBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  take(holder: string, bytes: number): boolean {
    const own = (this.#held.get(holder) ?? 0) + bytes;
    if (own > this.#perHolderBytes || this.#heldBytes + bytes > this.#totalBytes) return false;
    this.#held.set(holder, own);
    this.#heldBytes += bytes;
    return true;
  }

  give(holder: string, bytes: number): void {
    const own = (this.#held.get(holder) ?? 0) - bytes;
    if (own > 0) this.#held.set(holder, own);
    else this.#held.delete(holder);
    this.#heldBytes -= bytes;
  }
}
