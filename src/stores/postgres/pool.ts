import { timeLimit, unlessAborted } from "../../async/deadline.ts";
import { Semaphore } from "../../async/semaphore.ts";
import { DatabaseUnavailable } from "../../domain/unavailable.ts";
import type { Row } from "../row_decoders.ts";
import type { Ask, Connection } from "./connection.ts";
import { QUERY_CANCELED, READ_ONLY, stateOf, unavailableOf } from "./errors.ts";
import { Hosts } from "./hosts.ts";
import { parsePostgresUrl } from "./url.ts";

export interface PoolOptions {
  /** The most connections. */
  readonly max: number;
  /** For opening one connection, if the URL has no `connect_timeout`. */
  readonly connectSeconds: number;
  /** A connection is closed after it was unused for this long. */
  readonly idleSeconds: number;
}

/** `read`: all statements see one state of the database, and none writes. */
export type Access = "read" | "read latest" | "write";

export interface Question<T> {
  readonly access: Access;
  /** Limit for all, with the wait for a connection, and on the server for each statement. */
  readonly seconds: number;
  readonly ask: (ask: Ask) => Promise<T>;
}

const BEGIN: Readonly<Record<Access, string>> = {
  "read": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
  "read latest": "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
  // Does not override a database that an operator made read-only.
  "write": "BEGIN ISOLATION LEVEL READ COMMITTED",
};

/** Throws if the URL or its root certificate cannot be read. Connects at the first question. */
export function openPool(url: string, options: PoolOptions): Pool {
  return new Pool(new Hosts(parsePostgresUrl(url), options), options);
}

/** A bounded number of connections. Each question is a transaction with its own time limit. */
export class Pool {
  readonly #hosts: Hosts;
  readonly #idleMs: number;
  readonly #turns: Semaphore;
  /** The one that was used last comes last. */
  readonly #idle: { readonly connection: Connection; readonly timer: ReturnType<typeof setTimeout> }[] = [];

  constructor(hosts: Hosts, { max, idleSeconds }: PoolOptions) {
    this.#hosts = hosts;
    this.#idleMs = idleSeconds * 1_000;
    this.#turns = new Semaphore({ max });
  }

  /**
   * Rejects with `DatabaseUnavailable` if the server cannot be used or is too slow, and with the
   * server's error if it refuses a statement.
   */
  async run<T>(question: Question<T>): Promise<T> {
    using limit = timeLimit(question.seconds * 1_000, () => late(question));
    const work = (connection: Connection) => inTransaction(connection, question);
    return await this.#turns.run(() => this.#on(limit.signal, { ...question, work }), limit.signal);
  }

  /**
   * Runs statements without values as one transaction: one message, one answer. Resolves to the
   * rows of the last statement. Rejects as `run` does.
   */
  async send(sql: string, seconds: number): Promise<readonly Row[]> {
    using limit = timeLimit(seconds * 1_000, () => late({ seconds }));
    const message = `
      SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
      SET LOCAL statement_timeout = '${seconds}s';
      ${sql}`;
    const work = async (connection: Connection) => (await connection.ask(message)).at(-1) as unknown as readonly Row[];
    return await this.#turns.run(() => this.#on(limit.signal, { seconds, work }), limit.signal);
  }

  /** Closes the connections. Nothing may be running. */
  async close(): Promise<void> {
    await Promise.all(this.#takeIdle().map((connection) => connection.end()));
  }

  async #on<T>(
    signal: AbortSignal,
    { seconds, work }: { readonly seconds: number; readonly work: (connection: Connection) => Promise<T> },
  ): Promise<T> {
    const connection = await this.#connect(signal);
    try {
      return await unlessAborted(signal, work(connection));
    } catch (error) {
      if (signal.aborted) {
        // If this connection is frozen, idle ones may be too, and each would cost a question its
        // time.
        connection.cut();
        for (const idle of this.#takeIdle()) idle.cut();
      }
      if (stateOf(error) === READ_ONLY) {
        // The next connection may reach a server that was promoted, or that accepts writes again.
        connection.cut();
        this.#hosts.forget();
      }
      if (stateOf(error) === QUERY_CANCELED) throw late({ seconds }, error);
      throw unavailableOf(error, "asking") ?? error;
    } finally {
      if (!connection.isOver) this.#keep(connection);
    }
  }

  async #connect(signal: AbortSignal): Promise<Connection> {
    for (let kept = this.#idle.pop(); kept !== undefined; kept = this.#idle.pop()) {
      clearTimeout(kept.timer);
      if (!kept.connection.isOver) return kept.connection;
    }
    return await this.#hosts.open(signal);
  }

  #takeIdle(): readonly Connection[] {
    return this.#idle.splice(0).map(({ connection, timer }) => {
      clearTimeout(timer);
      return connection;
    });
  }

  #keep(connection: Connection): void {
    const timer = setTimeout(() => {
      this.#idle.splice(this.#idle.findIndex((kept) => kept.connection === connection), 1);
      void connection.end();
    }, this.#idleMs);
    this.#idle.push({ connection, timer });
  }
}

function late({ seconds }: { readonly seconds: number }, cause?: unknown): DatabaseUnavailable {
  return new DatabaseUnavailable(`The database did not answer within ${seconds} s`, { cause });
}

/** Rolls back after a failure. If even that fails, cuts the connection. */
async function inTransaction<T>(connection: Connection, { access, seconds, ask }: Question<T>): Promise<T> {
  try {
    // A process that is stopped in a transaction must not hold its locks forever.
    await connection.ask(
      `${BEGIN[access]};
       SET LOCAL statement_timeout = '${seconds}s';
       SET LOCAL idle_in_transaction_session_timeout = '${seconds}s'`,
    );
    const answer = await ask(connection.ask);
    await connection.ask("COMMIT");
    return answer;
  } catch (error) {
    if (!connection.isOver) await connection.ask("ROLLBACK").catch(() => connection.cut());
    throw error;
  }
}
