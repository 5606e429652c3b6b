import { DatabaseUnavailable } from "../../domain/unavailable.ts";
import { Connection, type Login } from "./connection.ts";
import { encryptionOf } from "./encryption.ts";
import { stateOf, unavailableOf } from "./errors.ts";
import { limitOf } from "./deadline.ts";
import type { SocketTarget } from "./socket.ts";
import { type PostgresHost, type PostgresTarget, type Session } from "./url.ts";

/** Classes of SQLSTATE after which libpq asks no further host: the login is wrong, or there is no such database. */
const FINAL_CLASSES = ["28", "3D"];

/** Whether a session is what `target_session_attrs` asks for, as libpq finds it out. */
const FITS: Readonly<Record<Session, string | null>> = {
  "any": null,
  "read-write": "SELECT NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off' AS fits",
  "primary": "SELECT NOT pg_is_in_recovery() AS fits",
};

/** The hosts of one URL, of which a connection is asked for. */
export class Hosts {
  readonly #target: PostgresTarget;
  readonly #tls: SocketTarget["tls"];
  readonly #login: Login;
  readonly #seconds: number;
  /** Where the last connection was made: a host that is away must not cost each further one its time. */
  #first = 0;

  /** `connectSeconds`: for all hosts together, if the URL has no `connect_timeout`. Throws if the root certificate cannot be read. */
  constructor(target: PostgresTarget, { connectSeconds }: { readonly connectSeconds: number }) {
    const { user, password, database, startup, keepAliveSeconds } = target;
    this.#target = target;
    this.#tls = encryptionOf(target.tls);
    this.#login = { user, password, database, startup, keepAliveSeconds };
    this.#seconds = target.connectSeconds ?? connectSeconds / target.hosts.length;
  }

  /** The first of them that can be used. Rejects with `DatabaseUnavailable` if none can, or with the signal's reason. */
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

  /** The host that was used last is no better than the others: it takes no writes any more. */
  forget(): void {
    this.#first = 0;
  }

  async #openAt({ host, address, port }: PostgresHost, signal: AbortSignal): Promise<Connection> {
    const isSocket = host.startsWith("/");
    const place = isSocket ? { path: `${host}/.s.PGSQL.${port}` } : { host: address ?? host, port };
    // As in libpq: nothing is encrypted that does not leave the machine.
    const target = { place, name: host, tls: isSocket ? null : this.#tls };
    const seconds = this.#seconds;
    if (seconds === Infinity) return await this.#openFit(target, signal);
    using limit = limitOf(seconds, new DatabaseUnavailable(`The database took no connection within ${seconds} s`));
    return await this.#openFit(target, AbortSignal.any([signal, limit.signal]));
  }

  async #openFit(target: SocketTarget, signal: AbortSignal): Promise<Connection> {
    const { session } = this.#target;
    const { connection, rows } = await Connection.open({
      ...target,
      ...this.#login,
      first: FITS[session] ?? "SELECT true AS fits",
    }, signal);
    if (rows[0]?.fits === true) return connection;
    connection.cut();
    throw new DatabaseUnavailable(
      `PostgreSQL is not what target_session_attrs=${session} in its URL asks for: it is a standby, or was made read-only`,
    );
  }
}

/** One of them as it is; several, each by the place of its host in the URL. */
function together(failures: readonly { readonly index: number; readonly error: DatabaseUnavailable }[]): DatabaseUnavailable {
  const [first, ...others] = failures;
  if (others.length === 0) return first!.error;
  const inOrder = failures.toSorted((a, b) => a.index - b.index);
  const words = inOrder.map(({ index, error }) => `${index + 1}. ${error.message}`).join("; ");
  const causes = inOrder.map(({ error: { cause } }) => cause instanceof Error ? cause.message : "no more is known").join("; ");
  return new DatabaseUnavailable(`None of the hosts in PostgreSQL's URL can be used: ${words}`, { cause: new Error(causes) });
}
