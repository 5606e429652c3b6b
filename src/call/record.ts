import { accountOf, accuracyOf } from "../domain/account.ts";
import type { CallSpan } from "../domain/observe.ts";
import { OWNED_ID } from "../domain/owned.ts";
import type { BodyFacts, CallDialect } from "../domain/provider.ts";
import { EMPTY_READING, type Made, type UsageReading } from "../domain/reading.ts";
import type { Closing, OpenCall, Outcome } from "../domain/usage.ts";
import type { Hold } from "./reservation.ts";
import type { Deps } from "./deps.ts";

export interface OpenRowOptions {
  readonly dialect: CallDialect;
  /** As the body has it: what the answer leaves out is taken from it. */
  readonly asked: BodyFacts;
  /** Null: the call has no limit. */
  readonly hold: Hold | null;
  /** False if the spool is full and the operator chose to serve on: there is only a log line. */
  readonly isRecorded: boolean;
  /** The requested model held the proxy token, so an answer that repeats the model does too. */
  readonly hidesModel: boolean;
  readonly clientIp: string | null;
  readonly upstreamUrl: string;
  /** Null: there are no spans. */
  readonly span: CallSpan | null;
  /** `elapsed()` when the request had arrived whole: from then on the proxy adds time. */
  readonly startedAt: number;
  readonly deps: Deps;
}

/** The open row of a billed call: what is noted while the call runs, and how the row is closed. */
export class OpenRow {
  readonly call: OpenCall;
  readonly #options: OpenRowOptions;
  readonly #openedAt: number;
  #status: number | null = null;
  #upstreamRequestId: string | null = null;
  #ttft: number | null = null;
  #made: readonly Made[] = [];
  /** By id of what the answer made, from the moment at which it is being claimed. */
  readonly #claims = new Map<string, Promise<void>>();

  constructor(call: OpenCall, options: OpenRowOptions) {
    this.call = call;
    this.#options = options;
    this.#openedAt = options.deps.elapsed();
  }

  get dialect(): CallDialect {
    return this.#options.dialect;
  }

  get asked(): BodyFacts {
    return this.#options.asked;
  }

  get span(): CallSpan | null {
    return this.#options.span;
  }

  /** The head of the upstream's answer is there. */
  answered(status: number, upstreamRequestId: string | null): void {
    this.#status = status;
    this.#upstreamRequestId = upstreamRequestId;
  }

  /** The first content has come; later calls change nothing. */
  contentCame(): void {
    this.#ttft ??= this.#sinceOpened();
  }

  /**
   * What the answer has made so far. Clients name it while a stream still runs, such as to cancel
   * it; of an item only later calls know.
   */
  noteMade(made: readonly Made[]): void {
    if (made === this.#made) return;
    this.#made = made;
    // `close` tries again.
    this.#claim(made.filter(({ kind }) => kind !== "item")).catch(() => {});
  }

  /** What the row would keep if the call ended now with this reading. */
  soFar(reading: UsageReading): { readonly status: number | null; readonly kept: UsageReading } {
    return { status: this.#status, kept: this.#isRefusal ? EMPTY_READING : this.#toKeep(reading) };
  }

  /**
   * Commits the outcome, and that what the answer made belongs to the caller. Call it once.
   * Rejects with `Fault` `ledger_unavailable`: the client must not see a clean end then.
   */
  async close(outcome: Outcome, reading: UsageReading): Promise<void> {
    const committed = this.#commit(outcome, reading);
    const hasMade = this.#made.length + reading.made.length > 0;
    if (!hasMade) return await committed;
    const early = Promise.allSettled(this.#claims.values());
    const work = [committed, early.then(() => this.#claim([...this.#made, ...reading.made], reading))];
    try {
      await Promise.all(work);
    } finally {
      await Promise.allSettled(work);
    }
  }

  async #commit(outcome: Outcome, reading: UsageReading): Promise<void> {
    const { dialect, hold, isRecorded, clientIp, upstreamUrl, span, startedAt, deps } = this.#options;
    const call = this.call;
    const isRefusal = this.#isRefusal;
    const known = isRefusal ? { ...EMPTY_READING, errorType: reading.errorType } : reading;
    const accuracy = isRefusal ? "exact" : accuracyOf(known);
    const closing: Closing = {
      outcome,
      status: this.#status,
      upstreamRequestId: this.#upstreamRequestId,
      duration: this.#sinceOpened(),
      ttft: this.#ttft,
      ...accountOf(this.#toKeep(known), { accuracy, call, answer: dialect.answer, deps }),
    };
    const closedAt = deps.elapsed();
    try {
      if (isRecorded) await deps.ledger.close(call, closing);
    } finally {
      hold?.settle(closing);
      deps.estimates.learn(call, closing);
      const overheadMs = this.#openedAt - startedAt + deps.elapsed() - closedAt;
      deps.observe.callEnded(call, closing, { overheadMs, isRecorded, clientIp, upstreamUrl, span });
    }
  }

  /** Each once, unless that failed. What is made in the background is asked for later. */
  async #claim(made: readonly Made[], { isPending }: Pick<UsageReading, "isPending"> = EMPTY_READING): Promise<void> {
    const all = new Map(made.map((one) => [one.id, one]));
    const fresh = [...all.values()].filter(({ id }) => OWNED_ID.test(id) && !this.#claims.has(id));
    if (fresh.length === 0) return;
    const { workspaceId, sandboxId } = this.call;
    const { owners, batches, now } = this.#options.deps;
    // A stream tells what it used at its end, in the background too.
    const dueAt = isPending && !this.call.streaming ? now() + batches.firstLookMs : null;
    const place = { workspaceId, sandboxId, createdAt: now(), call: this.call };
    const claim = owners.claim(fresh.map(({ id, kind }) => ({ id, kind, ...place, dueAt: kind === "response" ? dueAt : null })));
    for (const { id } of fresh) this.#claims.set(id, claim);
    try {
      await claim;
    } catch (error) {
      for (const { id } of fresh) this.#claims.delete(id);
      throw error;
    }
  }

  get #isRefusal(): boolean {
    return this.#status !== null && (this.#status < 200 || this.#status > 299);
  }

  #toKeep(reading: UsageReading): UsageReading {
    return this.#options.hidesModel ? { ...reading, servedModel: null, iterations: [] } : reading;
  }

  #sinceOpened(): number {
    return Math.round(this.#options.deps.elapsed() - this.#openedAt);
  }
}
