/** How the connection is encrypted, with libpq's meaning (https://www.postgresql.org/docs/current/libpq-ssl.html). */
export type Tls =
  /** Not at all. */
  | { readonly mode: "disable" }
  /** Where the server can; nobody is verified. */
  | { readonly mode: "prefer" }
  /** Always; nobody is verified. */
  | { readonly mode: "require" }
  /** Always; the certificate leads to the root, whatever name it bears. */
  | { readonly mode: "verify-ca"; readonly rootCertPath: string }
  /** Always; the certificate leads to the root (null: to one that the system trusts) and bears the host's name. */
  | { readonly mode: "verify-full"; readonly rootCertPath: string | null };

/** Where a PostgreSQL server is and who we are there. */
export interface PostgresTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly tls: Tls;
}

const DEFAULT_PORT = 5_432;
const PARAMETERS = ["sslmode", "sslrootcert"];
const MODES = ["disable", "prefer", "require", "verify-ca", "verify-full"];

/**
 * Reads `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`, each part percent-encoded where need be. As in
 * libpq, the port is 5432 where none is named, the database has the user's name, and sslmode is `prefer`, where there is none.
 * Throws where anything is missing or unknown; no message holds the URL or its password.
 */
export function parsePostgresUrl(url: string): PostgresTarget {
  const parsed = URL.parse(url);
  if (parsed === null || !/^postgres(ql)?:\/\//.test(url)) {
    throw new Error("Cannot read the database's URL: it is not of the form postgres://user:password@host:port/database");
  }
  const user = decoded(parsed.username, "user");
  if (user === "") throw new Error("Cannot read the database's URL: it names no user");
  const host = decoded(parsed.hostname, "host").replace(/^\[(.*)\]$/, "$1");
  if (host === "" || host.includes(",")) throw new Error("Cannot read the database's URL: it must name one host");
  return {
    host,
    port: parsed.port === "" ? DEFAULT_PORT : Number(parsed.port),
    user,
    password: decoded(parsed.password, "password"),
    database: decoded(parsed.pathname.slice(1), "database") || user,
    tls: tlsOf(parsed.searchParams),
  };
}

function tlsOf(parameters: URLSearchParams): Tls {
  const unknown = [...parameters.keys()].find((name) => !PARAMETERS.includes(name));
  if (unknown !== undefined) {
    throw new Error(`Cannot read the database's URL: the parameter "${unknown}" is unknown; known are ${PARAMETERS.join(", ")}`);
  }
  const root = parameters.get("sslrootcert") || null;
  // libpq: the system's roots are for verify-full only, and it is the default with them.
  const mode = parameters.get("sslmode") ?? (root === "system" ? "verify-full" : "prefer");
  if (root === "system" && mode !== "verify-full") {
    throw new Error("Cannot read the database's URL: sslrootcert=system is for sslmode=verify-full only");
  }
  switch (mode) {
    case "disable":
    case "prefer":
      return { mode };
    case "require":
      // libpq: with a root at hand, require verifies it.
      return root === null ? { mode } : { mode: "verify-ca", rootCertPath: root };
    case "verify-ca":
      if (root === null) throw new Error("Cannot read the database's URL: sslmode=verify-ca needs sslrootcert=<path>");
      return { mode, rootCertPath: root };
    case "verify-full":
      return { mode, rootCertPath: root === "system" ? null : root };
  }
  throw new Error(`Cannot read the database's URL: sslmode is "${mode}"; known are ${MODES.join(", ")}`);
}

function decoded(part: string, name: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Error(`Cannot read the database's URL: its ${name} is not percent-encoded as it should be`);
  }
}
