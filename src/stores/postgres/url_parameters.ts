/**
 * libpq's parameters
 * (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS) and those that
 * other drivers and providers put into a URL.
 */

/** The parameters that `parsePostgresUrl` reads. */
export const READ_PARAMETERS = [
  "host",
  "hostaddr",
  "port",
  "user",
  "password",
  "dbname",
  "sslmode",
  "sslrootcert",
  "ssl",
  "application_name",
  "fallback_application_name",
  "connect_timeout",
  "target_session_attrs",
  "options",
  "keepalives",
  "keepalives_idle",
] as const;
export type ReadParameter = (typeof READ_PARAMETERS)[number];

const TLS_VERSIONS = "TLS 1.2 and 1.3 are spoken";
const PROTOCOL_VERSION = "version 3.0 of the protocol is spoken";
const GSSAPI = "GSSAPI is not supported; log in by password";

/** Parameters with the only values that are accepted, and what to do instead of others. */
const FIXED: Readonly<Record<string, readonly [values: readonly string[], advice: string]>> = {
  channel_binding: [["prefer", "disable"], "channel binding is not supported; use sslmode=verify-full instead"],
  client_encoding: [["UTF8", "utf8", "UTF-8", "utf-8", "auto"], "all text is UTF-8"],
  gssdelegation: [["0"], GSSAPI],
  gssencmode: [["disable", "prefer"], GSSAPI],
  load_balance_hosts: [["disable"], "hosts are tried in their order"],
  max_protocol_version: [["3.0", "latest"], PROTOCOL_VERSION],
  min_protocol_version: [["3.0"], PROTOCOL_VERSION],
  replication: [["false", "off", "no", "0"], "llmproxy needs ordinary connections"],
  requiressl: [["0"], "write sslmode=require instead"],
  ssl_max_protocol_version: [["TLSv1.3"], TLS_VERSIONS],
  ssl_min_protocol_version: [["TLSv1", "TLSv1.1", "TLSv1.2"], TLS_VERSIONS],
  sslcertmode: [["disable", "allow"], "client certificates are not sent; log in by password"],
  sslcompression: [["0"], "TLS is not compressed"],
  sslnegotiation: [["postgres"], "TLS is requested in the way that servers before version 17 know; omit it"],
  sslsni: [["1"], "the server's name is always sent"],
  tcp_user_timeout: [["0"], "every question has its own time limit; omit it"],
  uselibpqcompat: [["true"], "sslmode has libpq's meaning"],
};

/** Parameters that are not supported with any value, by what to do instead. */
const UNSUPPORTED: Readonly<Record<string, readonly string[]>> = {
  [GSSAPI]: ["gsslib", "krbsrvname"],
  "OAuth is not supported; log in by password": ["oauth_client_id", "oauth_client_secret", "oauth_issuer", "oauth_scope"],
  "client certificates are not sent; log in by password": ["sslcert", "sslkey", "sslpassword"],
  "log in by password": ["scram_client_key", "scram_server_key"],
  "the server chooses how to log in; use sslmode=verify-full to verify the server": ["require_auth"],
  "revoked certificates are not checked": ["sslcrl", "sslcrldir"],
  "no keys are written": ["sslkeylogfile"],
  "the owner of a socket is not checked; protect its folder": ["requirepeer"],
  "write host, user, password and database into the URL; LLMPROXY_DATABASE_URL_FILE keeps it in a file": [
    "passfile",
    "service",
    "servicefile",
  ],
  "every question has its own time limit; omit it": ["keepalives_count", "keepalives_interval"],
  // Of other drivers and of providers.
  "llmproxy has its own limits; omit it": ["connection_limit", "pool_timeout", "statement_timeout"],
  "write options=-c%20search_path%3D<schema> instead": ["currentSchema", "schema", "search_path"],
  "PgBouncer needs no mark; omit it": ["pgbouncer"],
  "write sslmode instead": ["sslaccept"],
};

/** Why the parameter is refused; null if it is not. An empty value means libpq's default. */
export function whyNotParameter(name: string, value: string): string | null {
  if (READ_PARAMETERS.some((known) => known === name)) return null;
  const [values, advice] = Object.hasOwn(FIXED, name) ? FIXED[name]! : [[] as string[], adviceInstead(name)];
  if (advice === null) {
    // An unknown name may be part of a password that was not encoded.
    const shown = /^[A-Za-z_]{1,40}$/.test(name) ? `the parameter "${name}"` : "a parameter";
    return `${shown} is unknown; known are ${READ_PARAMETERS.join(", ")}`;
  }
  if (value === "" || values.includes(value)) return null;
  const only = values.length === 0 ? "is not supported" : `can only be ${values.join(" or ")} here`;
  return `the parameter "${name}" ${only}: ${advice}`;
}

function adviceInstead(name: string): string | null {
  return Object.entries(UNSUPPORTED).find(([, names]) => names.includes(name))?.[0] ?? null;
}
