import { LRUCache } from "lru-cache";
import type { SessionRecords } from "../domain/sessions.ts";
import { SingleFlight } from "../async/single_flight.ts";
import { settlesWithin } from "../async/deadline.ts";
import { hashedDigits } from "../wire/hashed_digits.ts";

export interface SessionsOptions {
  readonly records: SessionRecords;
  /** How long after its first call an inferred session takes in calls, ms; 0: none is inferred. */
  readonly windowMs: number;
  /** Milliseconds of a clock that never goes back. */
  readonly elapsed: () => number;
  /** For one question to the records. */
  readonly deadlineMs: number;
  /** Of each of three memories. */
  readonly maxEntries: number;
}

/** How long a call waits for the records; an entry takes about 200 bytes. */
export const SESSIONS_DEFAULTS = { deadlineMs: 250, maxEntries: 20_000 } as const;

/** After so long all replicas know what one recorded. Before that, "not found" is asked again. */
const SETTLED_MS = 60_000;
const AGENT_SEARCH_MS = 24 * 3_600_000;

/** The session of a sub-agent, and the one that it says has started it. */
export interface Child {
  readonly workspaceId: string;
  readonly sandboxId: string;
  readonly session: string;
  readonly parent: string;
}

export interface Root {
  /** The trace of the session at the top. */
  readonly traceId: string;
  /** The parent is that session's main agent, not another sub-agent. */
  readonly isParentMain: boolean;
}

/** An answer, and until when it stands. */
interface Remembered<T> {
  readonly answer: T | null;
  readonly until: number;
}

/**
 * Places a call in its session by earlier calls: those in bounded memory, otherwise those in the
 * records. If the records do not answer in time, memory alone decides. Only calls without a named
 * session, and those of sub-agents, need it.
 */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #questions: Questions;
  /** When this process first placed a call in an inferred trace, by the trace's id. */
  readonly #placedAt: LRUCache<string, number>;
  /** When an inferred trace was made by the records, by its id; null: they have no such trace. */
  readonly #madeAt: LRUCache<string, Remembered<number>>;
  /** The trace of a sub-agent's session; null: it is not a sub-agent's. */
  readonly #roots: LRUCache<string, Remembered<string>>;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#questions = new Questions(options);
    const max = options.maxEntries;
    this.#placedAt = new LRUCache({ max });
    this.#madeAt = new LRUCache({ max });
    this.#roots = new LRUCache({ max });
  }

  get infers(): boolean {
    return this.#options.windowMs > 0;
  }

  /** Entries that are held. */
  get size(): number {
    return this.#placedAt.size + this.#madeAt.size + this.#roots.size;
  }

  /**
   * The id of the run's trace. Time is cut into slots as long as the window, and each slot has its
   * own trace; but the last slot's trace goes on while its window is open. So no run shorter than
   * the window is cut, and replicas that see the same records agree.
   */
  async inferred(run: Run, now: number): Promise<string> {
    const { windowMs } = this.#options;
    const slot = Math.floor(now / windowMs);
    const before = inferredIdOf(run, slot - 1);
    const onRecord = await this.#remembered(this.#madeAt, {
      key: before,
      now,
      settledAt: slot * windowMs + SETTLED_MS,
      ask: async (records) => (await records.findTrace(run.workspaceId, before))?.createdAt ?? null,
    });
    const madeAt = onRecord ?? this.#placedAt.get(before) ?? null;
    const goesOn = madeAt !== null && now - madeAt < windowMs;
    const id = goesOn ? before : inferredIdOf(run, slot);
    if (!this.#placedAt.has(id)) this.#placedAt.set(id, goesOn ? madeAt : now);
    return id;
  }

  /** Where a sub-agent's session belongs. An unknown parent counts as a main agent. */
  async rootOf({ workspaceId, sandboxId, session, parent }: Child, now: number): Promise<Root> {
    const keyOf = (id: string) => JSON.stringify([workspaceId, sandboxId, id]);
    const above = await this.#remembered(this.#roots, {
      key: keyOf(parent),
      now,
      settledAt: now + SETTLED_MS,
      ask: (records) => records.findAgent({ workspaceId, sandboxId, agentId: parent, since: now - AGENT_SEARCH_MS }),
    });
    // A call that names no session may name an agent; its trace takes in no named session.
    const root = above === null || isInferredId(above) ? null : above;
    const traceId = root ?? traceIdOf(parent);
    this.#roots.set(keyOf(session), { answer: traceId, until: Infinity });
    return { traceId, isParentMain: root === null };
  }

  /** The answer in memory, otherwise the records'; null, and not remembered, if they fail. */
  async #remembered<T>(
    memory: LRUCache<string, Remembered<T>>,
    { key, now, settledAt, ask }: {
      readonly key: string;
      readonly now: number;
      /** From when on "none" is final. */
      readonly settledAt: number;
      readonly ask: (records: SessionRecords) => Promise<T | null>;
    },
  ): Promise<T | null> {
    const known = memory.get(key);
    if (known !== undefined && now < known.until) return known.answer;
    const answer = await this.#questions.ask(key, () => ask(this.#options.records));
    const meanwhile = memory.get(key)?.answer ?? null;
    if (answer === UNANSWERED || meanwhile !== null) return meanwhile;
    // A second null is final: the first was asked before the answer had had time to arrive.
    const isFinal = answer !== null || known !== undefined || now >= settledAt;
    memory.set(key, { answer, until: isFinal ? Infinity : settledAt });
    return answer;
  }
}

const UNANSWERED = Symbol("unanswered");
/**
 * Questions that are open at once. One that missed its deadline counts until the records answer.
 */
const MOST_AT_ONCE = 256;
/** After a failure no question is asked for so long. */
const PAUSE_MS = 5_000;

/**
 * Asks the records: equal questions once, few at once, each with a deadline, none while they fail.
 */
class Questions {
  readonly #options: Pick<SessionsOptions, "elapsed" | "deadlineMs">;
  readonly #open = new SingleFlight<string, unknown>();
  #pausedUntil = -Infinity;

  constructor(options: Pick<SessionsOptions, "elapsed" | "deadlineMs">) {
    this.#options = options;
  }

  async ask<T>(key: string, question: () => Promise<T>): Promise<T | typeof UNANSWERED> {
    const { elapsed, deadlineMs } = this.#options;
    const mayAsk = this.#open.size < MOST_AT_ONCE && elapsed() >= this.#pausedUntil;
    if (!this.#open.has(key) && !mayAsk) return UNANSWERED;
    const answer = this.#open.run(key, question) as Promise<T>;
    try {
      if (await settlesWithin(answer, deadlineMs)) return await answer;
    } catch {
      // Counts as a question that was not answered in time.
    }
    this.#pausedUntil = elapsed() + PAUSE_MS;
    return UNANSWERED;
  }
}

/** The trace of a session that a client names. */
export function traceIdOf(session: string): string {
  return `at-${session}`;
}

/** What the calls of a run that names no session have in common. */
export interface Run {
  readonly workspaceId: string;
  readonly sandboxId: string;
  readonly client: string | null;
  /** SHA-256 of the first message. */
  readonly firstMessage: string;
}

/** Changes with the way in which ids are made, so that old and new ones never meet. */
const LABEL = "llmproxy inferred session 1";
/** No ULID begins so before the year 10889, and so no id of a new trace. */
const PREFIX = "at-ZZ";
const HASHED_DIGITS = 24;

/**
 * The trace of a run that starts in that slot of time: `at-ZZ` and 24 base32 digits, a hash of all
 * that tells the run from others. Every replica makes the same one without asking another.
 */
export function inferredIdOf({ workspaceId, sandboxId, client, firstMessage }: Run, slot: number): string {
  return PREFIX + hashedDigits([LABEL, workspaceId, sandboxId, client, firstMessage, slot], HASHED_DIGITS);
}

/**
 * Whether `inferredIdOf` can make the id. A client that names one is ignored, so it joins no such
 * run.
 */
export function isInferredId(id: string): boolean {
  return INFERRED.test(id);
}

const INFERRED = /^at-ZZ[0-9A-HJKMNP-TV-Z]{24}$/;
