import type { Observe } from "../../domain/observe.ts";

const DOWN =
  "telemetry cannot be sent: spans and metrics are dropped until its receiver takes them; calls are served as before (logged " +
  "once an outage)";

export interface OutageOptions {
  readonly note: Observe["note"];
  /** Counts spans. */
  readonly spansLost: (count: number) => void;
}

/** Tells an operator once that telemetry cannot be sent, and once that it can again. */
export class Outage {
  readonly #options: OutageOptions;
  /** The signals that could not be sent at the last attempt. */
  readonly #failing = new Set<string>();
  #lostSpans = 0;

  constructor(options: OutageOptions) {
    this.#options = options;
  }

  failed(signal: string, fields: { readonly receiver: string; readonly error: unknown }): void {
    if (this.#failing.size === 0) this.#options.note("warn", DOWN, { signal, ...fields });
    this.#failing.add(signal);
  }

  sent(signal: string): void {
    if (!this.#failing.delete(signal) || this.#failing.size > 0) return;
    this.#options.note("info", "telemetry is sent again", { lostSpans: this.#lostSpans });
    this.#lostSpans = 0;
  }

  lost(spans: number): void {
    this.#lostSpans += spans;
    this.#options.spansLost(spans);
  }

  /** No attempt follows. */
  end(): void {
    if (this.#failing.size === 0) return;
    this.#options.note("warn", "the end comes while telemetry cannot be sent: it is lost", { lostSpans: this.#lostSpans });
  }
}
