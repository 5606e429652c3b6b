import { EMPTY_READING, type Reading } from "../domain/reading.ts";
import { OWNED_ID } from "../domain/owned.ts";
import { priceIn } from "../domain/price.ts";
import { ABSURD_USAGE, type Closing, type Ending, NO_COST, type OpenCall, type Trust } from "../domain/usage.ts";
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

/** Of a closing, what an answer was read as, how far that holds, and what it cost. */
type Account = Pick<Closing, "reading" | "trust" | "cost" | "priceVersion" | "unpricedUses">;

/** What nothing is known of has no cost; it is not free. `trust`: what `read` deserves as it was read. */
export function accountOf(
  read: Reading,
  { trust, call, world }: {
    readonly trust: Trust;
    readonly call: OpenCall;
    readonly world: Pick<World, "priceOf" | "observe" | "provider">;
  },
): Account {
  if (read.hasAbsurdCount) {
    world.observe.absurdUsage(call.id, read.servedModel);
    return { reading: withoutCounts(read), trust: "unknown", ...NO_COST };
  }
  if (trust === "unknown") return { reading: read, trust, ...NO_COST };
  const reading = trust === "estimated" ? world.provider.estimate(read) : read;
  const cost = world.priceOf({ ...reading, kind: call.kind }, call.createdAt);
  if (!cost.isPriced) world.observe.unpriced(call.id, cost);
  else if (Object.keys(cost.unpricedUses).length > 0) {
    world.observe.partlyPriced(call.id, { model: reading.servedModel, uses: cost.unpricedUses });
  }
  return { reading, ...priceIn(cost, { trust, reading }) };
}

/** If one count cannot be believed, neither can the others; and no total may ever hold it. */
function withoutCounts(read: Reading): Reading {
  const { messageId, servedModel, stopReason, refusalCategory, serviceTier, inferenceGeo, speed } = read;
  return {
    ...EMPTY_READING,
    ...{ messageId, servedModel, stopReason, refusalCategory, serviceTier, inferenceGeo, speed },
    errorType: ABSURD_USAGE,
  };
}

/** Exact where the upstream named input and final output, estimated where at least the input, else unknown. */
export function trustOf(reading: Reading): Trust {
  if (!reading.hasInput) return "unknown";
  return reading.hasFinalOutput ? "exact" : "estimated";
}
