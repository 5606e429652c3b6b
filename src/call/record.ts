import { EMPTY_READING, type UsageReading } from "../domain/reading.ts";
import { OWNED_ID } from "../domain/owned.ts";
import { accountOf, accuracyOf } from "../domain/account.ts";
import { type Closing, type OpenCall, type Outcome } from "../domain/usage.ts";
import type { Admitted } from "./admit.ts";
import type { RequestFacts } from "./read.ts";
import type { Deps, IncomingCall } from "./deps.ts";

/** Writes how one billed call ended: exactly once, however many reasons come together. The first one counts. */
export class Recorder {
  readonly #call: OpenCall;
  readonly #isRecorded: boolean;
  readonly #deps: Deps;
  readonly #hidesModel: boolean;
  readonly #clientIp: string | null;
  readonly #openedAt: number;
  /** What the proxy itself has added so far, milliseconds. */
  #overheadMs: number;
  #status: number | null = null;
  #upstreamRequestId: string | null = null;
  #ttft: number | null = null;
  #committed: Promise<void> | null = null;
  readonly #settled = Promise.withResolvers<void>();

  constructor(
    admitted: Admitted,
    options: { readonly arrival: IncomingCall; readonly asked: RequestFacts; readonly deps: Deps },
  ) {
    this.#call = admitted.call;
    this.#isRecorded = admitted.isRecorded;
    this.#deps = options.deps;
    this.#hidesModel = options.asked.hidesModel;
    this.#clientIp = options.arrival.clientIp;
    this.#openedAt = options.deps.elapsed();
    this.#overheadMs = this.#openedAt - options.arrival.arrivedAt - options.asked.arrivalMs;
  }

  /** True as soon as an outcome has been named, committed or not. */
  get hasEnded(): boolean {
    return this.#committed !== null;
  }

  /** Resolves when the outcome's commit has succeeded or failed. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  /** The upstream's answer has begun. */
  answered(status: number, upstreamRequestId: string | null): void {
    this.#status = status;
    this.#upstreamRequestId = upstreamRequestId;
  }

  /** The first content has come; later calls change nothing. */
  contentCame(): void {
    this.#ttft ??= this.#sinceOpened();
  }

  /**
   * Commits the outcome. Where one was named before, that one's promise is returned and this one is dropped.
   * Rejects with `Fault` `ledger_unavailable`: then the client must not see a tidy end.
   */
  end(outcome: Outcome, reading: UsageReading): Promise<void> {
    this.#committed ??= this.#commit(outcome, reading);
    return this.#committed;
  }

  /** Commits that the files are the caller's. Rejects like `end`. */
  claimFiles(ids: readonly string[]): Promise<void> {
    const { workspaceId, sandboxId } = this.#call;
    const { owners, now } = this.#deps;
    const kept = ids.filter((id) => OWNED_ID.test(id));
    return owners.claim(
      kept.map((id) => ({ id, kind: "file", workspaceId, sandboxId, createdAt: now(), call: null, dueAt: null })),
    );
  }

  async #commit(outcome: Outcome, reading: UsageReading): Promise<void> {
    const { deps, call } = { deps: this.#deps, call: this.#call };
    const isRefusal = this.#status !== null && (this.#status < 200 || this.#status > 299);
    const known = isRefusal ? { ...EMPTY_READING, errorType: reading.errorType } : reading;
    const accuracy = isRefusal ? "exact" : accuracyOf(known);
    const closing: Closing = {
      outcome,
      status: this.#status,
      upstreamRequestId: this.#upstreamRequestId,
      duration: this.#sinceOpened(),
      ttft: this.#ttft,
      ...accountOf(this.#toKeep(known), { accuracy, call, deps }),
    };
    const asked = deps.elapsed();
    try {
      if (this.#isRecorded) await deps.ledger.close(call, closing);
    } finally {
      this.#overheadMs += deps.elapsed() - asked;
      const more = { overheadMs: this.#overheadMs, isRecorded: this.#isRecorded, clientIp: this.#clientIp };
      deps.observe.callEnded(call, closing, more);
      this.#settled.resolve();
    }
  }

  #toKeep(reading: UsageReading): UsageReading {
    return this.#hidesModel ? { ...reading, servedModel: null, iterations: [] } : reading;
  }

  #sinceOpened(): number {
    return Math.round(this.#deps.elapsed() - this.#openedAt);
  }
}
