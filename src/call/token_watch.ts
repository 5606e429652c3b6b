import { Fault } from "../domain/fault.ts";
import type { SandboxOf } from "../domain/sandbox.ts";
import type { Stops } from "./stops.ts";
import type { Traffic } from "./traffic.ts";

export interface TokenWatchOptions {
  readonly traffic: Traffic;
  readonly stops: Stops;
  readonly sandboxOf: SandboxOf;
  /** Milliseconds of a clock that never goes back. */
  readonly elapsed: () => number;
  /** How old an answer about a running call's token may be. */
  readonly maxAgeMs: number;
  /** The most questions in one round: those tokens are next that have waited longest. */
  readonly most: number;
}

/**
 * Watches the control plane for calls in flight: it asks again about their tokens, and stops the
 * calls of a token that is unknown or of a sandbox that is not active any more. If the control
 * plane does not answer, nothing is stopped.
 */
export class TokenWatch {
  readonly #options: TokenWatchOptions;
  /** When each running token was last known to be good. */
  #knownAt = new Map<string, number>();
  #isAsking = false;

  constructor(options: TokenWatchOptions) {
    this.#options = options;
  }

  /** Asks about the tokens that are due, unless the round before is not over. Never rejects. */
  async round(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    await Promise.all(this.#due().map((token) => this.#ask(token)));
    this.#isAsking = false;
  }

  #due(): readonly string[] {
    const { traffic, elapsed, maxAgeMs, most } = this.#options;
    const now = elapsed();
    const running = traffic.calls().filter(({ caller }) => caller.sandbox.tokenId === null).map(({ caller }) => caller.token);
    this.#knownAt = new Map(running.map((token) => [token, this.#knownAt.get(token) ?? now]));
    const due = [...this.#knownAt].filter(([, at]) => now - at >= maxAgeMs);
    return due.sort(([, a], [, b]) => a - b).slice(0, most).map(([token]) => token);
  }

  async #ask(token: string): Promise<void> {
    const { stops, sandboxOf, elapsed, maxAgeMs } = this.#options;
    try {
      await sandboxOf(token, { maxAgeMs });
    } catch (error) {
      const code = error instanceof Fault ? error.code : null;
      if (code === "unauthenticated" || code === "sandbox_inactive") stops.stop(code, (caller) => caller.token === token);
    }
    if (this.#knownAt.has(token)) this.#knownAt.set(token, elapsed());
  }
}
