import { FairQueue } from "../async/fair_queue.ts";
import { Fault } from "../domain/fault.ts";
import type { CallToSend } from "../domain/upstream.ts";

/** Calls that one sandbox may have waiting. */
export const MAX_WAITING_PER_SANDBOX = 64;
/** Holds at a time. Models are clients' words, so their number must be bounded. */
const MAX_HOLDS = 1_000;
/** After a hold, one call goes, and after each such pause twice as many as before. */
const STEP_MS = 250;
/** What an agent does beside its conversation waits until conversations have had their turn. */
const AUXILIARY: readonly (string | null)[] = ["auxiliary", "side_reply"];

/** `look`: something has changed, so choose the credential again. */
type Word = "go" | "look";

interface Waiting {
  readonly tell: (word: Word) => void;
}

interface Hold {
  readonly credentialId: string;
  readonly queue: FairQueue<Waiting>;
  /** In `elapsed` time; later only the queue is left. */
  until: number;
  /** How many calls go at the next step. */
  next: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export interface HoldsOptions {
  /** How long a call may wait, milliseconds. */
  readonly patienceMs: number;
  /** Milliseconds of a clock that never goes back. */
  readonly elapsed: () => number;
}

/**
 * The waits that the upstream asked for, each for one credential and one model, as its limits are.
 * Calls wait in a queue that is fair over workspaces, conversations first. After the wait they go
 * out slowly at first: the upstream's limit has room again only little by little.
 */
export class Holds {
  readonly #options: HoldsOptions;
  readonly #holds = new Map<string, Hold>();
  readonly #waitingOf = new Map<string, number>();

  constructor(options: HoldsOptions) {
    this.#options = options;
  }

  /** The upstream asks for no wait, as far as is known. */
  get isEmpty(): boolean {
    return this.#holds.size === 0;
  }

  /** Calls that wait now. */
  get waiting(): number {
    return [...this.#holds.values()].reduce((sum, { queue }) => sum + queue.size, 0);
  }

  /** Waits that the upstream asked for and that are not over. */
  get inForce(): number {
    const now = this.#options.elapsed();
    return [...this.#holds.values()].filter(({ until }) => until > now).length;
  }

  /** The upstream asked for a wait. A shorter one changes nothing. */
  add(credentialId: string, model: string, ms: number): void {
    const { elapsed, patienceMs } = this.#options;
    const key = keyOf(credentialId, model);
    const hold = this.#holds.get(key) ??
      { credentialId, queue: new FairQueue<Waiting>(), until: 0, next: 1, timer: undefined };
    hold.next = 1;
    if (elapsed() + ms <= hold.until) return;
    hold.until = elapsed() + ms;
    if (!this.#holds.has(key)) this.#makeRoom();
    this.#holds.set(key, hold);
    if (hold.queue.size === 0) return;
    if (ms > patienceMs) tellAll(hold, "look");
    else this.#schedule(hold);
  }

  /** How long the upstream still asks to wait, milliseconds; 0: not at all. */
  remainingMs(credentialId: string, model: string): number {
    if (this.isEmpty) return 0;
    const hold = this.#holdOf(credentialId, model);
    return hold === null ? 0 : Math.max(hold.until - this.#options.elapsed(), 0);
  }

  /** Whether a call has to wait for its turn. */
  holds(credentialId: string, model: string): boolean {
    return !this.isEmpty && this.#holdOf(credentialId, model) !== null;
  }

  /** Lets all that wait for that credential choose again. */
  release(credentialId: string): void {
    for (const hold of this.#holds.values()) if (hold.credentialId === credentialId) tellAll(hold, "look");
  }

  /**
   * Waits for a turn, until `giveUpAt` at most. Call it while `holds` is true. Rejects with `Fault`
   * `upstream_busy`, or with the signal's reason.
   */
  async turn(
    { id, giveUpAt }: { readonly id: string; readonly giveUpAt: number },
    call: CallToSend,
    signal: AbortSignal,
  ): Promise<Word> {
    const hold = this.#holdOf(id, call.requestedModel)!;
    const { workspaceId, sandboxId, requestClass } = call;
    const sandbox = JSON.stringify([workspaceId, sandboxId]);
    const count = this.#waitingOf.get(sandbox) ?? 0;
    const busy = () => busyFault(hold.until - this.#options.elapsed());
    if (hold.until > giveUpAt || count >= MAX_WAITING_PER_SANDBOX) throw busy();
    const { promise, resolve: tell, reject } = Promise.withResolvers<Word>();
    const waiting: Waiting = { tell };
    const leave = (fault: unknown) => {
      hold.queue.delete(waiting);
      reject(fault);
    };
    const abort = () => leave(signal.reason);
    const patience = setTimeout(() => leave(busy()), giveUpAt - this.#options.elapsed());
    hold.queue.add(waiting, { rank: AUXILIARY.includes(requestClass) ? 1 : 0, holder: workspaceId });
    this.#waitingOf.set(sandbox, count + 1);
    if (hold.timer === undefined) this.#schedule(hold);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    try {
      return await promise;
    } finally {
      clearTimeout(patience);
      signal.removeEventListener("abort", abort);
      const left = this.#waitingOf.get(sandbox)! - 1;
      if (left > 0) this.#waitingOf.set(sandbox, left);
      else this.#waitingOf.delete(sandbox);
      if (hold.queue.size === 0) stop(hold);
    }
  }

  /** Null if it is over: the wait has passed and the queue is empty. */
  #holdOf(credentialId: string, model: string): Hold | null {
    const hold = this.#holds.get(keyOf(credentialId, model));
    if (hold === undefined) return null;
    if (hold.queue.size > 0 || hold.until > this.#options.elapsed()) return hold;
    this.#holds.delete(keyOf(credentialId, model));
    return null;
  }

  #schedule(hold: Hold): void {
    stop(hold);
    const stepMs = Math.max(hold.until - this.#options.elapsed(), hold.next === 1 ? 0 : STEP_MS);
    hold.timer = setTimeout(() => this.#step(hold), stepMs);
  }

  #step(hold: Hold): void {
    hold.timer = undefined;
    for (let n = 0; n < hold.next; n++) hold.queue.take()?.tell("go");
    hold.next *= 2;
    if (hold.queue.size > 0) this.#schedule(hold);
  }

  #makeRoom(): void {
    const now = this.#options.elapsed();
    for (const [key, { until, queue }] of this.#holds) {
      if (queue.size === 0 && (until <= now || this.#holds.size >= MAX_HOLDS)) this.#holds.delete(key);
    }
  }
}

function keyOf(credentialId: string, model: string): string {
  return `${credentialId}\0${model}`;
}

function stop(hold: Hold): void {
  clearTimeout(hold.timer);
  hold.timer = undefined;
}

function tellAll({ queue }: Hold, word: Word): void {
  for (let waiting = queue.take(); waiting !== undefined; waiting = queue.take()) waiting.tell(word);
}

/**
 * With the upstream's own wait, so that clients come again when it is over. opencode and pi ask
 * again at once if they read "rate limit".
 */
function busyFault(ms: number): Fault {
  return new Fault("upstream_busy", "The model provider is at its limit: it takes no calls of this model for now.", {
    retryAfterSeconds: Math.max(Math.ceil(ms / 1000), 1),
  });
}
