/**
 * The parameters of libpq (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS), and those that other
 * drivers and providers put into a database's URL: what is done, what is right with one value only, and what to do about the rest.
 */

/** What `parsePostgresUrl` reads. */
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

interface Fixed {
  /** The values that say what is done in any case. */
  readonly values: readonly string[];
  /** What to do instead. */
  readonly advice: string;
}

const CERTIFICATES = "client certificates are not sent; log in by password";
const GSSAPI = "GSSAPI is not done; log in by password";
const REVOCATION = "revoked certificates are not looked for";
const DEADLINES = "every question has a deadline of its own, after which a silent connection is cut; leave it away";
const ELSEWHERE = "write host, user, password and database into the URL; LLMPROXY_DATABASE_URL_FILE keeps it in a file";
const OAUTH = "OAuth is not done; log in by password";
const ITS_OWN_POOL = "llmproxy has its own bounds; leave it away";
const SCHEMA = "write options=-c%20search_path%3D<schema> instead";

/** A new parameter is one row. */
const FIXED: Readonly<Record<string, Fixed>> = {
  channel_binding: { values: ["prefer", "disable"], advice: "channel binding is not done; use sslmode=verify-full instead" },
  client_encoding: { values: ["UTF8", "utf8", "UTF-8", "utf-8", "auto"], advice: "all text is UTF-8" },
  gssdelegation: { values: ["0"], advice: GSSAPI },
  gssencmode: { values: ["disable", "prefer"], advice: GSSAPI },
  gsslib: { values: [], advice: GSSAPI },
  keepalives_count: { values: [], advice: DEADLINES },
  keepalives_interval: { values: [], advice: DEADLINES },
  krbsrvname: { values: [], advice: GSSAPI },
  load_balance_hosts: { values: ["disable"], advice: "hosts are tried in their order" },
  max_protocol_version: { values: ["3.0", "latest"], advice: "version 3.0 of the protocol is spoken" },
  min_protocol_version: { values: ["3.0"], advice: "version 3.0 of the protocol is spoken" },
  oauth_client_id: { values: [], advice: OAUTH },
  oauth_client_secret: { values: [], advice: OAUTH },
  oauth_issuer: { values: [], advice: OAUTH },
  oauth_scope: { values: [], advice: OAUTH },
  passfile: { values: [], advice: ELSEWHERE },
  replication: { values: ["false", "off", "no", "0"], advice: "llmproxy needs ordinary connections" },
  require_auth: { values: [], advice: "the way to log in is the server's choice; use sslmode=verify-full to know the server" },
  requirepeer: { values: [], advice: "the owner of a socket is not checked; keep its folder to yourself" },
  requiressl: { values: ["0"], advice: "write sslmode=require instead" },
  scram_client_key: { values: [], advice: "log in by password" },
  scram_server_key: { values: [], advice: "log in by password" },
  service: { values: [], advice: ELSEWHERE },
  servicefile: { values: [], advice: ELSEWHERE },
  ssl_max_protocol_version: { values: ["TLSv1.3"], advice: "TLS 1.2 and 1.3 are spoken" },
  ssl_min_protocol_version: { values: ["TLSv1", "TLSv1.1", "TLSv1.2"], advice: "TLS 1.2 and 1.3 are spoken" },
  sslcert: { values: [], advice: CERTIFICATES },
  sslcertmode: { values: ["disable", "allow"], advice: CERTIFICATES },
  sslcompression: { values: ["0"], advice: "TLS is not compressed" },
  sslcrl: { values: [], advice: REVOCATION },
  sslcrldir: { values: [], advice: REVOCATION },
  sslkey: { values: [], advice: CERTIFICATES },
  sslkeylogfile: { values: [], advice: "no keys are written" },
  sslnegotiation: { values: ["postgres"], advice: "TLS is asked for as servers before version 17 know it; leave it away" },
  sslpassword: { values: [], advice: CERTIFICATES },
  sslsni: { values: ["1"], advice: "the server's name is always sent" },
  tcp_user_timeout: { values: ["0"], advice: DEADLINES },
  // Of other drivers and of providers.
  connection_limit: { values: [], advice: ITS_OWN_POOL },
  currentSchema: { values: [], advice: SCHEMA },
  pgbouncer: { values: [], advice: "PgBouncer needs no mark; leave it away" },
  pool_timeout: { values: [], advice: ITS_OWN_POOL },
  schema: { values: [], advice: SCHEMA },
  search_path: { values: [], advice: SCHEMA },
  sslaccept: { values: [], advice: "write sslmode instead" },
  statement_timeout: { values: [], advice: ITS_OWN_POOL },
  uselibpqcompat: { values: ["true"], advice: "sslmode has libpq's meaning" },
};

/** Why the parameter cannot be taken; null if it can. An empty value stands for the default, as in libpq. */
export function whyNotParameter(name: string, value: string): string | null {
  if (READ_PARAMETERS.some((known) => known === name)) return null;
  if (!Object.hasOwn(FIXED, name)) {
    // It may be a part of a password that was not encoded.
    const shown = /^[A-Za-z_]{1,40}$/.test(name) ? `the parameter "${name}"` : "a parameter";
    return `${shown} is unknown; known are ${READ_PARAMETERS.join(", ")}`;
  }
  const { values, advice } = FIXED[name]!;
  if (value === "" || values.includes(value)) return null;
  const only = values.length === 0 ? "is not supported" : `can only be ${values.join(" or ")} here`;
  return `the parameter "${name}" ${only}: ${advice}`;
}
