/**
 * Bounds the bytes that are buffered: in all, and by holder (a sandbox), so that none exhausts the process or the others.
 * A refusal is immediate: nobody queues for room.
 */
export class ByteBudget {
  readonly #totalBytes: number;
  readonly #perHolderBytes: number;
  readonly #held = new Map<string, number>();
  #heldBytes = 0;

  constructor(options: { readonly totalBytes: number; readonly perHolderBytes: number }) {
    this.#totalBytes = options.totalBytes;
    this.#perHolderBytes = options.perHolderBytes;
  }

  /** Bytes that are held now. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** True where the bytes are now the holder's, false where there is no room and nothing changed. */
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
