import { timeLimit } from "../../async/deadline.ts";
import { DatabaseUnavailable } from "../../domain/unavailable.ts";
import { Connection } from "./connection.ts";
import { stateOf, unavailableOf } from "./errors.ts";
import { encryptionOf, type SocketTarget } from "./socket.ts";
import type { PostgresHost, PostgresTarget, Session } from "./url.ts";

/** SQLSTATE classes after which libpq tries no further host: wrong login, or no such database. */
const FINAL_CLASSES = ["28", "3D"];

/** How libpq finds out whether a session is what `target_session_attrs` asks for. */
const FITS: Readonly<Record<Session, string>> = {
  "any": "SELECT true AS fits",
  "read-write": "SELECT NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off' AS fits",
  "primary": "SELECT NOT pg_is_in_recovery() AS fits",
};

/** Opens connections to the hosts of one URL. */
export class Hosts {
  readonly #target: PostgresTarget;
  readonly #tls: SocketTarget["tls"];
  readonly #seconds: number;
  /** The host of the last connection, so that a dead host does not delay each connection. */
  #first = 0;

  /**
   * `connectSeconds` is for all hosts together, if the URL has no `connect_timeout`. Throws if the
   * root certificate cannot be read.
   */
  constructor(target: PostgresTarget, { connectSeconds }: { readonly connectSeconds: number }) {
    this.#target = target;
    this.#tls = encryptionOf(target.tls);
    this.#seconds = target.connectSeconds ?? connectSeconds / target.hosts.length;
  }

  /**
   * Connects to the first usable host. Rejects with `DatabaseUnavailable` or the signal's reason.
   */
  async open(signal: AbortSignal): Promise<Connection> {
    const { hosts } = this.#target;
    const failures: { readonly index: number; readonly error: DatabaseUnavailable }[] = [];
    for (let tried = 0; tried < hosts.length; tried++) {
      const index = (this.#first + tried) % hosts.length;
      try {
        const connection = await this.#openAt(hosts[index]!, signal);
        this.#first = index;
        return connection;
      } catch (error) {
        signal.throwIfAborted();
        const unavailable = unavailableOf(error, "connecting")!;
        failures.push({ index, error: unavailable });
        if (FINAL_CLASSES.includes(stateOf(unavailable.cause)?.slice(0, 2) ?? "")) break;
      }
    }
    throw together(failures);
  }

  /** The host that was used last does not accept writes any more. */
  forget(): void {
    this.#first = 0;
  }

  async #openAt({ host, address, port }: PostgresHost, signal: AbortSignal): Promise<Connection> {
    const isSocket = host.startsWith("/");
    const place = isSocket ? { path: `${host}/.s.PGSQL.${port}` } : { host: address ?? host, port };
    // As in libpq, a connection that does not leave the machine is not encrypted.
    const target = { place, name: host, tls: isSocket ? null : this.#tls };
    const seconds = this.#seconds;
    if (seconds === Infinity) return await this.#openFit(target, signal);
    const late = () => new DatabaseUnavailable(`The database took no connection within ${seconds} s`);
    using limit = timeLimit(seconds * 1_000, late);
    return await this.#openFit(target, AbortSignal.any([signal, limit.signal]));
  }

  async #openFit(target: SocketTarget, signal: AbortSignal): Promise<Connection> {
    const { session } = this.#target;
    const { connection, rows } = await Connection.open({ ...this.#target, ...target, first: FITS[session] }, signal);
    if (rows[0]?.fits === true) return connection;
    connection.cut();
    throw new DatabaseUnavailable(
      `PostgreSQL is not what target_session_attrs=${session} in its URL asks for: it is a standby, or was made read-only`,
    );
  }
}

/** A single failure as it is; several in the order of their hosts in the URL. */
function together(failures: readonly { readonly index: number; readonly error: DatabaseUnavailable }[]): DatabaseUnavailable {
  const [first, ...others] = failures;
  if (others.length === 0) return first!.error;
  const inOrder = failures.toSorted((a, b) => a.index - b.index);
  const words = inOrder.map(({ index, error }) => `${index + 1}. ${error.message}`).join("; ");
  const causes = inOrder.map(({ error: { cause } }) => cause instanceof Error ? cause.message : "no more is known").join("; ");
  return new DatabaseUnavailable(`None of the hosts in PostgreSQL's URL can be used: ${words}`, { cause: new Error(causes) });
}
