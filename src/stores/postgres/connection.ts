import postgres from "postgres";
import type { Socket } from "node:net";
import { unlessAborted } from "../../async/deadline.ts";
import { DatabaseUnavailable } from "../../domain/unavailable.ts";
import type { Row } from "../row_decoders.ts";
import { openSocket, type SocketTarget } from "./socket.ts";
import type { PostgresTarget } from "./url.ts";

export type Login = Pick<PostgresTarget, "user" | "password" | "database" | "startup" | "keepAliveSeconds">;

/** Runs one statement with `$1`, `$2`, …, or several without. An array is sent as JSON. */
export type Ask = (sql: string, values?: readonly Value[]) => Promise<readonly Row[]>;

export type Value = string | number | boolean | null | readonly object[];

/** How long closing may take before the connection is cut. */
const PARTING_SECONDS = 1;

const INTEGERS = { to: 20, from: [20, 1700], parse: BigInt, serialize: String };

/**
 * One connection, never reopened. postgres.js would silently reconnect, even in a transaction, and
 * would keep a frozen connection forever. One statement at a time. It avoids what PgBouncer refuses
 * in transaction mode: named statements, and startup parameters that the URL does not contain.
 */
export class Connection {
  readonly #socket: Socket;
  readonly #sql: postgres.Sql;
  #isOver = false;

  private constructor(socket: Socket, { user, password, database, startup, keepAliveSeconds }: Login) {
    this.#socket = socket;
    const sockets = [socket];
    // A variable, because the types of postgres.js do not know `socket`.
    const options = {
      user,
      password,
      database,
      // Already open and encrypted. There is no second one to reconnect with.
      socket: () => {
        const first = sockets.pop();
        if (first === undefined) throw new DatabaseUnavailable("The connection to PostgreSQL has ended");
        return first;
      },
      ssl: false,
      max: 1,
      prepare: false,
      fetch_types: false,
      connect_timeout: 0,
      idle_timeout: 0,
      max_lifetime: 0,
      keep_alive: keepAliveSeconds,
      connection: startup,
      types: { integer: INTEGERS },
      onnotice: () => {},
      onclose: () => this.#isOver = true,
    };
    this.#sql = postgres(options);
  }

  /**
   * Connects, and runs the statement `first`. Rejects with the server's or the system's error, or
   * with the signal's reason; then nothing is open.
   */
  static async open(
    target: SocketTarget & Login & { readonly first: string },
    signal: AbortSignal,
  ): Promise<{ readonly connection: Connection; readonly rows: readonly Row[] }> {
    const socket = await openSocket(target, signal);
    const connection = new Connection(socket, target);
    try {
      return { connection, rows: await unlessAborted(signal, connection.ask(target.first)) };
    } catch (error) {
      connection.cut();
      throw error;
    }
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  readonly ask: Ask = async (sql, values = []) => {
    if (this.#isOver) throw new DatabaseUnavailable("The connection to PostgreSQL has ended");
    try {
      return await this.#sql.unsafe(sql, values as postgres.ParameterOrJSON<never>[]);
    } catch (error) {
      // At once: postgres.js never answers what it is asked before the socket has closed.
      if (!isRefusal(error)) this.cut();
      throw error;
    }
  };

  /** Closes in order, if the server answers. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#sql.end({ timeout: PARTING_SECONDS });
    this.#socket.destroy();
  }

  /** Closes at once. A running statement rejects. */
  cut(): void {
    this.#isOver = true;
    this.#socket.destroy(new DatabaseUnavailable("The connection to PostgreSQL was cut"));
  }
}

/** The server refused one statement; the connection is still usable. */
function isRefusal(error: unknown): boolean {
  return error instanceof postgres.PostgresError && error.severity === "ERROR";
}
