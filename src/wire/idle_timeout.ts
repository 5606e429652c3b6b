/** Why a call was aborted. */
export const UPSTREAM_IDLE = "the upstream was silent for too long";

/**
 * Calls `onIdle` once if nothing is heard for `ms` while it listens. It sets the timer again only
 * when it fires: `listen` and `heard` cost one clock reading and no timer.
 */
export class IdleTimeout {
  readonly #ms: number;
  readonly #elapsed: () => number;
  readonly #onIdle: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When it last began to listen; null while it does not. */
  #since: number | null = null;

  constructor(options: { readonly ms: number; readonly elapsed: () => number; readonly onIdle: () => void }) {
    this.#ms = options.ms;
    this.#elapsed = options.elapsed;
    this.#onIdle = options.onIdle;
  }

  listen(): void {
    this.#since = this.#elapsed();
    this.#timer ??= setTimeout(() => this.#check(), this.#ms);
  }

  heard(): void {
    this.#since = null;
  }

  /** Clears the timer, which would keep the process alive; `listen` sets it again. */
  end(): void {
    this.#since = null;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #check(): void {
    this.#timer = undefined;
    if (this.#since === null) return;
    const left = this.#since + this.#ms - this.#elapsed();
    if (left <= 0) this.#onIdle();
    else this.#timer = setTimeout(() => this.#check(), left);
  }
}
