import { EMPTY_READING, type Reading } from "../domain/reading.ts";
import { OWNED_ID } from "../domain/owned.ts";
import { accountOf, trustOf } from "../domain/account.ts";
import { type Closing, type Ending, type OpenCall } from "../domain/usage.ts";
import type { Admitted } from "./admit.ts";
import type { Asked } from "./read.ts";
import type { Arrival, World } from "./world.ts";

/** Writes how one billed call ended: exactly once, however many reasons come together. The first one counts. */
export class Recorder {
  readonly #call: OpenCall;
  readonly #isRecorded: boolean;
  readonly #world: World;
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

  constructor(admitted: Admitted, options: { readonly arrival: Arrival; readonly asked: Asked; readonly world: World }) {
    this.#call = admitted.call;
    this.#isRecorded = admitted.isRecorded;
    this.#world = options.world;
    this.#hidesModel = options.asked.hidesModel;
    this.#clientIp = options.arrival.clientIp;
    this.#openedAt = options.world.elapsed();
    this.#overheadMs = this.#openedAt - options.arrival.arrivedAt - options.asked.arrivalMs;
  }

  /** True as soon as an ending has been named, committed or not. */
  get hasEnded(): boolean {
    return this.#committed !== null;
  }

  /** Resolves when the ending's commit has succeeded or failed. */
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
   * Commits the ending. Where one was named before, that one's promise is returned and this one is dropped.
   * Rejects with `Fault` `ledger_unavailable`: then the client must not see a tidy end.
   */
  end(ending: Ending, reading: Reading): Promise<void> {
    this.#committed ??= this.#commit(ending, reading);
    return this.#committed;
  }

  /** Commits that the files are the caller's. Rejects like `end`. */
  claimFiles(ids: readonly string[]): Promise<void> {
    const { workspaceId, sandboxId } = this.#call;
    const { owners, now } = this.#world;
    const kept = ids.filter((id) => OWNED_ID.test(id));
    return owners.claim(
      kept.map((id) => ({ id, kind: "file", workspaceId, sandboxId, createdAt: now(), call: null, dueAt: null })),
    );
  }

  async #commit(ending: Ending, reading: Reading): Promise<void> {
    const { world, call } = { world: this.#world, call: this.#call };
    const isRefusal = this.#status !== null && (this.#status < 200 || this.#status > 299);
    const known = isRefusal ? { ...EMPTY_READING, errorType: reading.errorType } : reading;
    const trust = isRefusal ? "exact" : trustOf(known);
    const closing: Closing = {
      ending,
      status: this.#status,
      upstreamRequestId: this.#upstreamRequestId,
      duration: this.#sinceOpened(),
      ttft: this.#ttft,
      ...accountOf(this.#toKeep(known), { trust, call, world }),
    };
    const asked = world.elapsed();
    try {
      if (this.#isRecorded) await world.ledger.close(call, closing);
    } finally {
      this.#overheadMs += world.elapsed() - asked;
      const more = { overheadMs: this.#overheadMs, isRecorded: this.#isRecorded, clientIp: this.#clientIp };
      world.observe.callEnded(call, closing, more);
      this.#settled.resolve();
    }
  }

  #toKeep(reading: Reading): Reading {
    return this.#hidesModel ? { ...reading, servedModel: null, iterations: [] } : reading;
  }

  #sinceOpened(): number {
    return Math.round(this.#world.elapsed() - this.#openedAt);
  }
}
