import { type Budget, type BudgetBytes, ByteBudget } from "../../wire/budget.ts";

export interface SharedBudgetOptions extends BudgetBytes {
  /** How many workers share it. */
  readonly of: number;
  /** Takes from the part that all workers share. */
  readonly takeRoom: (holder: string, bytes: number) => Promise<boolean>;
  readonly giveRoom: (holder: string, bytes: number) => void;
}

/** The largest body of a call that any dialect takes: it must fit, as it does with one process. */
export const WHOLE_BODY_BYTES = 100 * 1024 * 1024;

/** The part of a budget that workers share. The parent keeps it. */
export function sharedPartOf({ totalBytes, perHolderBytes }: BudgetBytes): BudgetBytes {
  const part = (bytes: number) => Math.max(Math.ceil(bytes / 2), Math.min(bytes, WHOLE_BODY_BYTES));
  return { totalBytes: part(totalBytes), perHolderBytes: part(perHolderBytes) };
}

/**
 * A worker's budget. Of the machine's, a half is shared, or room for one whole body if that is
 * more. The rest is divided among the workers, so that most calls ask no other process. Together
 * they never exceed the machine's.
 */
export class SharedBudget implements Budget {
  readonly #options: SharedBudgetOptions;
  readonly #own: ByteBudget;
  /** What each holder has of the shared part. */
  readonly #shared = new Map<string, number>();
  #sharedBytes = 0;

  constructor(options: SharedBudgetOptions) {
    const { totalBytes, perHolderBytes, of } = options;
    const shared = sharedPartOf(options);
    this.#options = options;
    this.#own = new ByteBudget({
      totalBytes: Math.floor((totalBytes - shared.totalBytes) / of),
      perHolderBytes: Math.floor((perHolderBytes - shared.perHolderBytes) / of),
    });
  }

  get heldBytes(): number {
    return this.#own.heldBytes + this.#sharedBytes;
  }

  take(holder: string, bytes: number): boolean | Promise<boolean> {
    return this.#own.take(holder, bytes) || this.#takeShared(holder, bytes);
  }

  /** What came from the shared part goes back first. */
  give(holder: string, bytes: number): void {
    const held = this.#shared.get(holder) ?? 0;
    const shared = Math.min(held, bytes);
    if (shared > 0) {
      this.#sharedBytes -= shared;
      if (shared === held) this.#shared.delete(holder);
      else this.#shared.set(holder, held - shared);
      this.#options.giveRoom(holder, shared);
    }
    if (bytes > shared) this.#own.give(holder, bytes - shared);
  }

  async #takeShared(holder: string, bytes: number): Promise<boolean> {
    if (!await this.#options.takeRoom(holder, bytes).catch(() => false)) return false;
    this.#sharedBytes += bytes;
    this.#shared.set(holder, (this.#shared.get(holder) ?? 0) + bytes);
    return true;
  }
}
