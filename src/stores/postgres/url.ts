import { type ReadParameter, whyNotParameter } from "./url_parameters.ts";

/** Encryption as in libpq (https://www.postgresql.org/docs/current/libpq-ssl.html). */
export type Tls =
  /** `prefer`: only if the server can. `require`: always. Neither verifies the server. */
  | { readonly mode: "disable" | "prefer" | "require" }
  /** The certificate must lead to the root, and may bear any name. */
  | { readonly mode: "verify-ca"; readonly rootCertPath: string }
  /** It must also bear the host's name. Null: it must lead to a root that the system trusts. */
  | { readonly mode: "verify-full"; readonly rootCertPath: string | null };

export interface PostgresHost {
  /** A name or address, for the certificate too; or the folder of a Unix socket, from `/` on. */
  readonly host: string;
  /** The address to connect to instead; null: the host's own. */
  readonly address: string | null;
  readonly port: number;
}

/** The required server: any, one whose sessions may write, or one that is no standby. */
export const SESSIONS = ["any", "read-write", "primary"] as const;
export type Session = (typeof SESSIONS)[number];

/** What a PostgreSQL URL says. */
export interface PostgresTarget {
  /** At least one. They are tried in this order. */
  readonly hosts: readonly PostgresHost[];
  readonly session: Session;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly tls: Tls;
  /** For each host; null: the URL does not say; infinite: only the question's own limit. */
  readonly connectSeconds: number | null;
  /** Idle time after which TCP probes the other side; 0: never. */
  readonly keepAliveSeconds: number;
  /** Parameters for the server when a connection starts. Empty ones are omitted. */
  readonly startup: { readonly application_name: string; readonly options: string };
}

const DEFAULT_PORT = "5432";
const APPLICATION_NAME = "llmproxy";
const KEEP_ALIVE_SECONDS = 60;
const MODES = ["disable", "prefer", "require", "verify-ca", "verify-full"];

type Parameters = Readonly<Partial<Record<ReadParameter, string>>>;

/**
 * Reads `postgres://user:password@host:port/database?parameter=value&…` as libpq does, with
 * percent-encoding, lists of hosts, folders of Unix sockets and the parameters in
 * `url_parameters.ts`. Defaults: port 5432, the user's name for the database, sslmode `prefer`.
 * Throws if something is missing, unknown or unsupported. No message holds the URL or its password.
 */
export function parsePostgresUrl(url: string): PostgresTarget {
  const { user, password, hosts, database, parameters } = partsOf(url);
  const name = parameters.user || user;
  if (name === "") throw unreadable("it names no user");
  const idle = wholeOf("keepalives_idle", parameters) ?? 0;
  const keepsAlive = (wholeOf("keepalives", parameters) ?? 1) !== 0;
  const connectSeconds = wholeOf("connect_timeout", parameters);
  return {
    hosts: hostsOf(hosts, parameters),
    session: sessionOf(parameters),
    user: name,
    password: parameters.password || password,
    database: parameters.dbname || database || name,
    tls: tlsOf(parameters),
    connectSeconds: connectSeconds !== null && connectSeconds <= 0 ? Infinity : connectSeconds,
    keepAliveSeconds: keepsAlive ? (idle > 0 ? idle : KEEP_ALIVE_SECONDS) : 0,
    startup: {
      application_name: parameters.application_name || parameters.fallback_application_name || APPLICATION_NAME,
      options: parameters.options ?? "",
    },
  };
}

interface Place {
  readonly host: string;
  /** As written; may be empty. */
  readonly port: string;
}

function partsOf(url: string) {
  const rest = /^postgres(?:ql)?:\/\/(.*)$/s.exec(url)?.[1];
  if (rest === undefined) throw notOfTheForm();
  // As in libpq: a `?` before the first `@` is password, and the last `@` before the host ends it.
  const begin = Math.max(rest.split("/", 1)[0]!.indexOf("@"), 0);
  const end = begin + rest.slice(begin).search(/[/?]|$/);
  const at = rest.slice(0, end).lastIndexOf("@");
  const [user = "", ...password] = rest.slice(0, Math.max(at, 0)).split(":");
  const [path = "", ...query] = rest.slice(end).split("?");
  return {
    user: decoded(user, "user"),
    password: decoded(password.join(":"), "password"),
    hosts: rest.slice(at + 1, end).split(",").map(placeOf),
    database: decoded(path.slice(1), "database"),
    parameters: parametersOf(query.join("?")),
  };
}

function placeOf(text: string): Place {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:.%a-z]+)\]|([^:[\]]*))(?::(.*))?$/.exec(text) ?? [];
  if (bracketed === undefined && plain === undefined) throw notOfTheForm();
  if (port !== undefined && port !== "") portOf(port);
  return { host: decoded(bracketed ?? plain ?? "", "host"), port: port ?? "" };
}

function parametersOf(query: string): Parameters {
  const pairs = query.split("&").filter((pair) => pair !== "").map((pair) => {
    const [name = "", ...value] = pair.split("=");
    return [decoded(name, "list of parameters"), decoded(value.join("="), "list of parameters")] as const;
  });
  for (const [name, value] of pairs) {
    const why = whyNotParameter(name, value);
    if (why !== null) throw unreadable(why);
  }
  return Object.fromEntries(pairs);
}

/** The parameters override the authority. Each list has one entry for each host, or one port. */
function hostsOf(places: readonly Place[], parameters: Parameters): readonly PostgresHost[] {
  const listOf = (name: "host" | "hostaddr" | "port") => parameters[name] ? parameters[name].split(",") : null;
  const addresses = listOf("hostaddr");
  const own = places.every(({ host }) => host === "") ? null : places.map(({ host }) => host);
  const names = listOf("host") ?? own ?? addresses;
  if (names === null || names.includes("")) {
    throw unreadable("it must name a host, or the folder of a Unix socket: postgres://user@/database?host=/run/postgresql");
  }
  const ports = listOf("port") ?? places.map(({ port }) => port);
  if ((ports.length !== 1 && ports.length !== names.length) || (addresses !== null && addresses.length !== names.length)) {
    throw unreadable("its lists of hosts, addresses and ports are not of one length");
  }
  if (names.some((name) => name.startsWith("@"))) throw unreadable("sockets of the abstract namespace are not supported");
  return names.map((host, index) => ({
    host,
    address: addresses?.[index] || null,
    port: portOf(ports[ports.length === 1 ? 0 : index] || DEFAULT_PORT),
  }));
}

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) {
    throw unreadable("a port is not a whole number from 1 to 65535, or a / in the password is not written as %2F");
  }
  return port;
}

function sessionOf({ target_session_attrs }: Parameters): Session {
  const session = SESSIONS.find((known) => known === (target_session_attrs || "any"));
  if (session !== undefined) return session;
  throw unreadable(`the parameter "target_session_attrs" can only be ${SESSIONS.join(" or ")} here: llmproxy has to write`);
}

/** Null if it is not there. */
function wholeOf(name: ReadParameter, parameters: Parameters): number | null {
  const text = parameters[name] || null;
  if (text === null) return null;
  if (!/^-?\d{1,9}$/.test(text)) throw unreadable(`the parameter "${name}" is not a whole number`);
  return Number(text);
}

function tlsOf({ sslmode, sslrootcert, ssl }: Parameters): Tls {
  const root = sslrootcert || null;
  if (ssl && ssl !== "true") throw unreadable('the parameter "ssl" can only be true: write sslmode instead');
  // libpq: the system's roots are only for verify-full, which is then the default.
  const mode = sslmode || (ssl ? "require" : root === "system" ? "verify-full" : "prefer");
  if (root === "system" && mode !== "verify-full") {
    throw unreadable("sslrootcert=system is for sslmode=verify-full only");
  }
  switch (mode) {
    case "disable":
    case "prefer":
      return { mode };
    case "require":
      // libpq: with a root certificate, require means verify-ca.
      return root === null ? { mode } : { mode: "verify-ca", rootCertPath: root };
    case "verify-ca":
      if (root === null) throw unreadable("sslmode=verify-ca needs sslrootcert=<path>");
      return { mode, rootCertPath: root };
    case "verify-full":
      return { mode, rootCertPath: root === "system" ? null : root };
  }
  throw unreadable(`the parameter "sslmode" can only be ${MODES.join(" or ")} here`);
}

function decoded(part: string, name: string): string {
  try {
    const text = decodeURIComponent(part);
    // NUL ends a startup parameter: another one could be injected.
    if (!text.includes("\0")) return text;
    throw new Error("NUL");
  } catch {
    throw unreadable(`its ${name} is not percent-encoded as it should be`);
  }
}

function notOfTheForm(): Error {
  return unreadable("it is not of the form postgres://user:password@host:port/database");
}

function unreadable(why: string): Error {
  return new Error(`Cannot read the database's URL: ${why}`);
}
