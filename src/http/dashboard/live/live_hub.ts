import { delay } from "../../../async/deadline.ts";
import type { RunningCall, RunningCalls } from "../../../domain/running_call.ts";
import { AdminRefusal } from "../../admin_refusal.ts";
import { type LiveCells, liveCellsOf, sumText } from "./live_calls.tsx";
import type { Refusals } from "./refused.tsx";

/** Streams that are open at a time. */
export const MOST_WATCHERS = 20;
/** Rows that a page follows. */
export const MOST_ROWS = 200;
/** Ten looks a second. */
const LOOK_MS = 100;
/** A stream without news says so every 15 seconds, so that no server between takes it for dead. */
const HEARTBEAT_LOOKS = 150;
/** How often to ask what was refused: every second, as often as it is counted. */
const REFUSED_LOOKS = 10;
/** How often to ask whether a session still lasts: every two seconds. */
const SESSION_LOOKS = 20;

/** A page that takes nothing for a minute has to begin again. */
const STALLED_LOOKS = 600;

const HEARTBEAT = ": nothing has changed\n\n";

export interface HubOptions {
  readonly requests: Pick<RunningCalls, "list">;
  /** What was refused lately. */
  readonly refusals: () => Promise<Refusals>;
  readonly draining: AbortSignal;
  /** The calls cannot be listed: every stream ends. */
  readonly onTrouble: (error: unknown) => void;
}

export interface WatchOptions {
  /** The calls that the page is about. */
  readonly keeps: (call: RunningCall) => boolean;
  /** In the order in which the page shows them at first. */
  readonly ordered: (calls: readonly RunningCall[]) => readonly RunningCall[];
  /** The HTML of a row. */
  readonly rowOf: (call: RunningCall) => string;
  /** The HTML of all rows of refusals; they are the same until there is another array. */
  readonly refusedRowsOf: (refusals: Refusals) => string;
  readonly isSignedIn: () => Promise<boolean>;
}

/** Why a stream ends, as the page is told. */
type EndReason = "signed-out" | "draining" | "failed";

interface Known {
  readonly call: RunningCall;
  readonly cells: LiveCells;
  /** By cell, the number of the look that saw its latest change. */
  readonly changedAt: Readonly<Record<keyof LiveCells, number>>;
}

/** What a look has seen. */
interface Seen {
  readonly known: ReadonlyMap<string, Known>;
  /** Null: the store has not answered yet. */
  readonly refusals: Refusals | null;
}

/**
 * Looks at the calls in flight for all pages that watch them: one look for all, and none while no
 * page watches.
 */
export class LiveHub {
  readonly #options: HubOptions;
  readonly #watchers = new Set<Watcher>();
  #known = new Map<string, Known>();
  #refusals: Refusals | null = null;
  #isAsking = false;
  #looks = 0;
  #isLooking = false;

  constructor(options: HubOptions) {
    this.#options = options;
    options.draining.addEventListener("abort", () => this.#endAll("draining"), { once: true });
  }

  /** The number of looks since the start. */
  get looks(): number {
    return this.#looks;
  }

  /** A stream of server-sent events. It counts as open when it is read. Throws `AdminRefusal`. */
  watch(options: WatchOptions): ReadableStream<Uint8Array> {
    if (this.#options.draining.aborted) throw new AdminRefusal("unavailable_error", "The proxy is stopping");
    if (this.#watchers.size >= MOST_WATCHERS) {
      throw new AdminRefusal("overloaded_error", `Already ${MOST_WATCHERS} pages watch the calls: close one of them`);
    }
    const watcher = new Watcher(options, () => this.#watchers.delete(watcher));
    const encoder = new TextEncoder();
    return new ReadableStream({
      pull: async (controller) => {
        this.#join(watcher);
        const text = await watcher.next();
        if (text === null) controller.close();
        else controller.enqueue(encoder.encode(text));
      },
      cancel: () => watcher.leave(),
    }, { highWaterMark: 0 });
  }

  #join(watcher: Watcher): void {
    if (watcher.isOver) return;
    this.#watchers.add(watcher);
    if (!this.#isLooking) void this.#lookOn();
  }

  async #lookOn(): Promise<void> {
    this.#isLooking = true;
    void this.#askRefusals();
    try {
      while (this.#watchers.size > 0) {
        await this.#look();
        await delay(LOOK_MS, this.#options.draining);
      }
    } catch (error) {
      this.#options.onTrouble(error);
      this.#endAll("failed");
    }
    this.#known.clear();
    this.#refusals = null;
    this.#isLooking = false;
  }

  async #look(): Promise<void> {
    const calls = await this.#options.requests.list();
    const look = ++this.#looks;
    if (look % REFUSED_LOOKS === 0) void this.#askRefusals();
    const known = new Map<string, Known>();
    for (const call of calls) {
      const cells = liveCellsOf(call);
      const before = this.#known.get(call.id);
      const changedAt = mapped(cells, (text, key) => before?.cells[key] === text ? before.changedAt[key] : look);
      known.set(call.id, { call, cells, changedAt });
    }
    this.#known = known;
    for (const watcher of this.#watchers) watcher.seen({ known, refusals: this.#refusals }, look);
  }

  /** The calls do not wait for the store. While it does not answer, its last answer stays. */
  async #askRefusals(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      const refusals = await this.#options.refusals();
      if (JSON.stringify(refusals) !== JSON.stringify(this.#refusals)) this.#refusals = refusals;
    } catch {
      // The page itself says so when it is loaded.
    } finally {
      this.#isAsking = false;
    }
  }

  #endAll(why: EndReason): void {
    for (const watcher of this.#watchers) watcher.end(why);
  }
}

/** One stream: what its page has, and what it waits for. */
class Watcher {
  readonly #options: WatchOptions;
  readonly #onOver: () => void;
  /** The reader waits for this. */
  #wanted: PromiseWithResolvers<string | null> | null = null;
  /** Ids of the rows that the page has; null before the first message. */
  #rows: Set<string> | null = null;
  #sum = "";
  /** What the page shows. */
  #refusals: Refusals | null = null;
  #sentAt = 0;
  #askedAt = 0;
  #why: EndReason | "left" | null = null;
  #hasTold = false;

  constructor(options: WatchOptions, onOver: () => void) {
    this.#options = options;
    this.#onOver = onOver;
  }

  get isOver(): boolean {
    return this.#why !== null;
  }

  /** The next event; null: the stream is over. */
  next(): Promise<string | null> {
    if (this.#why !== null) return Promise.resolve(this.#lastWord(this.#why));
    this.#wanted = Promise.withResolvers();
    return this.#wanted.promise;
  }

  /** A page that takes no more gets all that changed meanwhile at once, later. */
  seen(seen: Seen, look: number): void {
    this.#askedAt ||= look;
    if (look - this.#askedAt >= SESSION_LOOKS) {
      this.#askedAt = look;
      void this.#options.isSignedIn().then((isSignedIn) => isSignedIn || this.end("signed-out"), () => this.end("failed"));
    }
    if (this.#wanted === null) return look - this.#sentAt > STALLED_LOOKS ? this.leave() : undefined;
    const news = this.#news(seen);
    if (news === null && look - this.#sentAt < HEARTBEAT_LOOKS) return;
    this.#sentAt = look;
    this.#send(news === null ? HEARTBEAT : `data: ${JSON.stringify(news)}\n\n`);
  }

  end(why: EndReason): void {
    if (this.#why !== null) return;
    this.#why = why;
    this.#onOver();
    if (this.#wanted !== null) this.#send(this.#lastWord(why));
  }

  leave(): void {
    this.#why ??= "left";
    this.#onOver();
  }

  #lastWord(why: EndReason | "left"): string | null {
    if (this.#hasTold || why === "left") return null;
    this.#hasTold = true;
    return `event: end\ndata: ${why}\n\n`;
  }

  #send(text: string | null): void {
    this.#wanted!.resolve(text);
    this.#wanted = null;
  }

  /** What the page lacks; null if it has everything. */
  #news({ known, refusals }: Seen): Readonly<Record<string, unknown>> | null {
    const kept = [...known.values()].filter(({ call }) => this.#options.keeps(call));
    const isFirst = this.#rows === null;
    const had = this.#rows ?? new Set();
    const still = kept.filter(({ call }) => had.has(call.id));
    const others = kept.map(({ call }) => call).filter(({ id }) => !had.has(id));
    const added = (isFirst ? this.#options.ordered(others) : others).slice(0, Math.max(0, MOST_ROWS - still.length));
    const changed = still.map((one) => [one.call.id, changesSince(this.#sentAt, one)] as const)
      .filter(([, cells]) => Object.keys(cells).length > 0);
    const rows = new Set([...still.map(({ call }) => call.id), ...added.map(({ id }) => id)]);
    const gone = [...had].filter((id) => !rows.has(id));
    this.#rows = rows;
    const sum = sumText(kept.map(({ call }) => call));
    const hasRefused = refusals !== this.#refusals;
    if (!isFirst && !hasRefused && added.length + changed.length + gone.length === 0 && sum === this.#sum) return null;
    this.#sum = sum;
    this.#refusals = refusals;
    return {
      sum,
      ...(isFirst ? { isFirst } : {}),
      ...(added.length === 0 ? {} : { added: added.map((call) => [call.id, this.#options.rowOf(call)]) }),
      ...(changed.length === 0 ? {} : { changed }),
      ...(gone.length === 0 ? {} : { gone }),
      ...(hasRefused && refusals !== null ? { refused: this.#options.refusedRowsOf(refusals) } : {}),
    };
  }
}

function changesSince(look: number, { cells, changedAt }: Known): Partial<LiveCells> {
  return Object.fromEntries(Object.entries(cells).filter(([key]) => changedAt[key as keyof LiveCells] > look));
}

function mapped<T>(cells: LiveCells, valueOf: (text: string, key: keyof LiveCells) => T): Record<keyof LiveCells, T> {
  return Object.fromEntries(
    Object.entries(cells).map(([key, text]) => [key, valueOf(text, key as keyof LiveCells)]),
  ) as Record<keyof LiveCells, T>;
}
