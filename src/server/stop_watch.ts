import { delay, settlesWithin, unlessAborted } from "../async/deadline.ts";
import { type Actor, stampOf } from "../domain/audit.ts";
import type { NewId } from "../domain/ids.ts";
import type { Observe } from "../domain/observe.ts";
import type { Suspension, SuspensionAdmin, SuspensionRecords, SuspensionScope } from "../domain/suspensions.ts";
import type { Revocations, TokenAdmin } from "../domain/tokens.ts";
import type { StopButtons } from "./stop_buttons.ts";
import type { SuspensionCopy } from "./suspension_copy.ts";

export interface StopWatchOptions {
  readonly records: SuspensionRecords & Revocations;
  readonly buttons: StopButtons;
  /** Null: the store is on this machine and needs none. */
  readonly copy: SuspensionCopy | null;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly newId: NewId;
  readonly observe: Pick<Observe, "note">;
}

/** How often to look what other replicas have changed. */
const LOOK_MS = 500;
/** How long a start waits for the first look. */
const FIRST_LOOK_MS = 2_000;

/**
 * Holds the calls of this machine to the suspensions and revocations in the store, also those that
 * another replica made. While the store cannot be read, the last known ones hold.
 */
export class StopWatch implements SuspensionAdmin {
  readonly #options: StopWatchOptions;
  readonly #ending = new AbortController();
  #change = -1;
  #suspensions: readonly Suspension[] = [];
  #looking: Promise<void> = Promise.resolve();
  #running: Promise<void> = Promise.resolve();
  #isBlind = false;

  constructor(options: StopWatchOptions) {
    this.#options = options;
  }

  /** Looks from now on, until `end`. Resolves when the first look is over, or is late. */
  async begin(): Promise<void> {
    const { copy, buttons } = this.#options;
    if (copy !== null) await buttons.suspend(copy.read());
    const first = this.look();
    this.#running = this.#run(first);
    await settlesWithin(first, FIRST_LOOK_MS);
  }

  async end(): Promise<void> {
    this.#ending.abort();
    await this.#running;
  }

  /** Resolves when what was committed before holds on this machine. Rejects as the store does. */
  look(): Promise<void> {
    const look = this.#looking.then(() => this.#look());
    this.#looking = look.catch(() => {});
    return look;
  }

  async list(): Promise<readonly Suspension[]> {
    await this.look();
    return this.#suspensions;
  }

  async suspend(wanted: Omit<Suspension, "createdAt">, by: Actor): Promise<Suspension> {
    const { records } = this.#options;
    const stamp = stampOf(by, this.#options);
    const suspension = await records.suspend({ ...wanted, createdAt: stamp.at }, stamp);
    this.#note("suspended: new calls are refused, and those in flight are cut", wanted);
    await this.#lookOrLater();
    return suspension;
  }

  async resume(scope: SuspensionScope, by: Actor): Promise<Suspension | null> {
    const ended = await this.#options.records.resume(scope, stampOf(by, this.#options));
    if (ended !== null) this.#note("resumed: calls are served again", scope);
    await this.#lookOrLater();
    return ended;
  }

  /** The change is committed: what cannot be read now, the next look reads. */
  async #lookOrLater(): Promise<void> {
    await this.look().catch(() => {});
  }

  async #run(first: Promise<void>): Promise<void> {
    const { signal } = this.#ending;
    // A database that is frozen must not hold up the end.
    for (let look = first; !signal.aborted; look = this.look()) {
      await unlessAborted(signal, look).then(() => this.#noteSight(true), (error) => this.#noteSight(false, error));
      await delay(LOOK_MS, signal);
    }
  }

  async #look(): Promise<void> {
    const { records, buttons } = this.#options;
    const changed = await records.suspensionsAfter(this.#change);
    if (changed !== null) {
      await buttons.suspend(changed.suspensions);
      this.#change = changed.change;
      this.#suspensions = changed.suspensions;
      this.#keep(changed.suspensions);
    }
    const running = await buttons.tokenIds();
    const revoked = running.length === 0 ? [] : await records.findRevoked(running);
    if (revoked.length > 0) await buttons.revoke(revoked);
  }

  #keep(all: readonly SuspensionScope[]): void {
    try {
      this.#options.copy?.write(all);
    } catch (error) {
      this.#options.observe.note("warn", "no copy of the suspensions can be kept for a start without the database", { error });
    }
  }

  #noteSight(sees: boolean, error?: unknown): void {
    if (sees !== this.#isBlind || this.#ending.signal.aborted) return;
    this.#isBlind = !sees;
    const { observe } = this.#options;
    if (sees) observe.note("info", "suspensions and revocations can be read again");
    else observe.note("warn", "suspensions and revocations cannot be read: the last known ones hold", { error });
  }

  #note(message: string, { workspaceId, sandboxId }: SuspensionScope): void {
    this.#options.observe.note("info", message, { workspaceId, sandboxId: sandboxId ?? undefined });
  }
}

/** A token that is revoked here works nowhere on this machine, and its calls are cut. */
export function revokingRunning(tokens: TokenAdmin, buttons: StopButtons): TokenAdmin {
  return {
    ...tokens,
    async revoke(id, by) {
      try {
        return await tokens.revoke(id, by);
      } finally {
        await buttons.revoke([id]);
      }
    },
  };
}
