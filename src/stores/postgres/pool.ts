import { DatabaseUnavailable } from "../../domain/unavailable.ts";
import type { Ask, Connection } from "./connection.ts";
import { QUERY_CANCELED, READ_ONLY, stateOf, unavailableOf } from "./errors.ts";
import { Hosts } from "./hosts.ts";
import { limitOf, unlessAborted } from "./deadline.ts";
import { parsePostgresUrl } from "./url.ts";

export interface PoolOptions {
  /** Connections at a time. */
  readonly max: number;
  /** For one connection to be made and accepted, if the URL has no `connect_timeout`. */
  readonly connectSeconds: number;
  /** A connection that nobody has used so long is ended. */
  readonly idleSeconds: number;
}

/** What a transaction may do. `read`: one state of the database for all of its statements, and no writes. */
export type Access = "read" | "read latest" | "write";

export interface Question<T> {
  readonly access: Access;
  /** From asking to the answer, the wait for a connection included. The server gives each statement as long. */
  readonly seconds: number;
  readonly ask: (ask: Ask) => Promise<T>;
}

const BEGIN: Readonly<Record<Access, string>> = {
  "read": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
  "read latest": "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
  // Where an operator has made the database read-only, that holds for us too.
  "write": "BEGIN ISOLATION LEVEL READ COMMITTED",
};

/** Throws where the URL, or the root certificate that it names, cannot be read. Connects when it is first asked. */
export function openPool(url: string, options: PoolOptions): Pool {
  return new Pool(new Hosts(parsePostgresUrl(url), options), options);
}

/** A bounded number of connections; every question is a transaction on one of them, and has a deadline of its own. */
export class Pool {
  readonly #hosts: Hosts;
  readonly #options: PoolOptions;
  /** The one that was used last comes last. */
  readonly #idle: { readonly connection: Connection; readonly timer: ReturnType<typeof setTimeout> }[] = [];
  readonly #waiting = new Set<() => void>();
  #used = 0;

  constructor(hosts: Hosts, options: PoolOptions) {
    this.#hosts = hosts;
    this.#options = options;
  }

  /**
   * Rejects with `DatabaseUnavailable` if the server cannot be used, or nothing has come in time; with its own error if it
   * refuses what it was asked.
   */
  async run<T>(question: Question<T>): Promise<T> {
    const late = new DatabaseUnavailable(`The database did not answer within ${question.seconds} s`);
    using limit = limitOf(question.seconds, late);
    await this.#turn(limit.signal);
    try {
      const connection = await this.#connect(limit.signal);
      try {
        return await unlessAborted(limit.signal, inTransaction(connection, question));
      } catch (error) {
        if (limit.signal.aborted) this.#distrust(connection);
        // The next one may lead to a server that has been promoted meanwhile, or may write again.
        if (stateOf(error) === READ_ONLY) {
          connection.cut();
          this.#hosts.forget();
        }
        if (stateOf(error) === QUERY_CANCELED) throw new DatabaseUnavailable(late.message, { cause: error });
        throw unavailableOf(error, "asking") ?? error;
      } finally {
        if (!connection.isOver) this.#keep(connection);
      }
    } finally {
      this.#giveTurn();
    }
  }

  /** Ends the connections; nothing may be running. */
  async close(): Promise<void> {
    await Promise.all(this.#takeIdle().map((connection) => connection.end()));
  }

  #giveTurn(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#used--;
    } else {
      this.#waiting.delete(next);
      next();
    }
  }

  /** Resolves when fewer than `max` others are at work; whoever waits longest comes first. */
  async #turn(signal: AbortSignal): Promise<void> {
    if (this.#used < this.#options.max) {
      this.#used++;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    signal.addEventListener("abort", () => {
      // At once: a turn that is given to somebody who has gone is lost.
      this.#waiting.delete(resolve);
      reject(signal.reason);
    }, { once: true });
    await promise;
  }

  async #connect(signal: AbortSignal): Promise<Connection> {
    for (let kept = this.#idle.pop(); kept !== undefined; kept = this.#idle.pop()) {
      clearTimeout(kept.timer);
      if (!kept.connection.isOver) return kept.connection;
    }
    return await this.#hosts.open(signal);
  }

  /** Where one connection is silent, so may be those that nobody uses: each would cost a question its time. */
  #distrust(silent: Connection): void {
    silent.cut();
    for (const connection of this.#takeIdle()) connection.cut();
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
    }, this.#options.idleSeconds * 1_000);
    this.#idle.push({ connection, timer });
  }
}

/** After a failure of ours or the server's the transaction is rolled back; where even that fails, the connection is over. */
async function inTransaction<T>(connection: Connection, { access, seconds, ask }: Question<T>): Promise<T> {
  try {
    // A process that is stopped within a transaction must not hold its locks for ever.
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
