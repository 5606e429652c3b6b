import postgres from "postgres";
import type { Socket } from "node:net";
import { DatabaseUnavailable } from "../../domain/unavailable.ts";
import type { Row } from "../row_decoders.ts";
import { unlessAborted } from "./deadline.ts";
import { openSocket, type SocketTarget } from "./socket.ts";

/** Who we are at the server. */
export interface Login {
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** What the server is told when the connection begins; what is empty is left out. */
  readonly startup: { readonly application_name: string; readonly options: string };
  /** Silence after which TCP asks whether the other side is there; 0: never. */
  readonly keepAliveSeconds: number;
}

/** One statement; `values` are its `$1`, `$2`, …: an array is sent as JSON. Several statements where there are no values. */
export type Ask = (sql: string, values?: readonly Value[]) => Promise<readonly Row[]>;

export type Value = string | number | boolean | null | readonly object[];

/** How long the end of a connection may take before it is cut. */
const PARTING_SECONDS = 1;

const INTEGERS = { to: 20, from: [20, 1700], parse: BigInt, serialize: String };

/**
 * One connection, one life long: postgres.js would silently connect again, in the middle of a transaction too, and keeps a
 * connection on which nothing comes back for ever. One question after the other. Whatever PgBouncer refuses in transaction
 * mode is left out: named statements, and parameters at the start that the URL does not ask for.
 */
export class Connection {
  readonly #socket: Socket;
  readonly #sql: postgres.Sql;
  #isOver = false;

  private constructor(socket: Socket, { user, password, database, startup, keepAliveSeconds }: Login) {
    this.#socket = socket;
    let sockets = [socket];
    const options = {
      user,
      password,
      database,
      // Already open and encrypted; the second one that is asked for is not there.
      socket: () => {
        const [first] = sockets;
        sockets = [];
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
   * A connection, and what `first`, a question, is answered on it. Rejects with the server's or the system's error, or with the
   * signal's reason; then nothing is open.
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

  /** Nothing more can be asked. */
  get isOver(): boolean {
    return this.#isOver;
  }

  readonly ask: Ask = async (sql, values = []) => {
    if (this.#isOver) throw new DatabaseUnavailable("The connection to PostgreSQL has ended");
    try {
      return await this.#sql.unsafe(sql, values as postgres.ParameterOrJSON<never>[]);
    } catch (error) {
      // At once, not when the socket says so: what postgres.js is asked in between is never answered.
      if (!isRefusal(error)) this.cut();
      throw error;
    }
  };

  /** Ends in order where the server answers. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#sql.end({ timeout: PARTING_SECONDS });
    this.#socket.destroy();
  }

  /** Ends at once: what is being asked rejects. */
  cut(): void {
    this.#isOver = true;
    this.#socket.destroy(new DatabaseUnavailable("The connection to PostgreSQL was cut"));
  }
}

/** The server has said no to a statement, and goes on. */
function isRefusal(error: unknown): boolean {
  return error instanceof postgres.PostgresError && error.severity === "ERROR";
}
