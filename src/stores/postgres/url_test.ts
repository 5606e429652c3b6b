import assert from "node:assert/strict";
import { parsePostgresUrl, type PostgresTarget } from "./url.ts";
import { READ_PARAMETERS, whyNotParameter } from "./url_parameters.ts";

const HOST = { host: "db.example", address: null, port: 5432 };
const TARGET: PostgresTarget = {
  hosts: [HOST],
  session: "any",
  user: "llm",
  password: "",
  database: "llm",
  tls: { mode: "prefer" },
  connectSeconds: null,
  keepAliveSeconds: 60,
  startup: { application_name: "llmproxy", options: "" },
};

Deno.test("parsePostgresUrl() reads every part, percent-encoded or not", () => {
  assert.deepEqual(parsePostgresUrl("postgres://llm:p%40ss%2Fw%3Ard@db.example:6432/usage%20db?sslmode=disable"), {
    ...TARGET,
    hosts: [{ ...HOST, port: 6432 }],
    password: "p@ss/w:rd",
    database: "usage db",
    tls: { mode: "disable" },
  });
  assert.equal(parsePostgresUrl("postgresql://llm@[::1]/db").hosts[0]?.host, "::1");
});

Deno.test("parsePostgresUrl() uses libpq's defaults for missing parts", () => {
  for (const url of ["postgres://llm@db.example", "postgresql://llm@db.example/", "postgres://llm@db.example:/?sslmode="]) {
    assert.deepEqual(parsePostgresUrl(url), TARGET);
  }
});

Deno.test("parsePostgresUrl() accepts passwords as providers write them", () => {
  for (
    const [written, password] of [["a?b", "a?b"], ["a#b", "a#b"], ["a@b", "a@b"], ["a:b", "a:b"], ["a%2Fb", "a/b"], [
      "a+b",
      "a+b",
    ]]
  ) {
    const { user, hosts, database, ...target } = parsePostgresUrl(`postgres://u:${written}@db.example/db?options=x@y`);
    assert.deepEqual([user, target.password, hosts, database], ["u", password, [HOST], "db"], written);
  }
});

Deno.test("parsePostgresUrl() reads several hosts, and the folders of Unix sockets", () => {
  const places: readonly (readonly [string, readonly unknown[]])[] = [
    ["llm:p@h1:5432,h2:5433/db", [["h1", null, 5432], ["h2", null, 5433]]],
    ["llm@h1,h2:6000,[::1]:7000/db", [["h1", null, 5432], ["h2", null, 6000], ["::1", null, 7000]]],
    ["llm@/db?host=h1,h2&port=6000", [["h1", null, 6000], ["h2", null, 6000]]],
    ["llm@/db?host=h1,h2&port=6000,6001", [["h1", null, 6000], ["h2", null, 6001]]],
    ["llm@h1:9999/db?host=h2&port=6000", [["h2", null, 6000]]],
    ["llm@/db?host=/run/postgresql", [["/run/postgresql", null, 5432]]],
    ["llm@%2Frun%2Fpostgresql:6000/db", [["/run/postgresql", null, 6000]]],
    ["/db?user=llm&host=%2Frun%2Fpostgresql&port=6000", [["/run/postgresql", null, 6000]]],
    ["llm@db.example/db?hostaddr=10.0.0.7", [["db.example", "10.0.0.7", 5432]]],
    ["llm@/db?hostaddr=10.0.0.7,10.0.0.8", [["10.0.0.7", "10.0.0.7", 5432], ["10.0.0.8", "10.0.0.8", 5432]]],
  ];
  for (const [url, hosts] of places) {
    const target = parsePostgresUrl(`postgres://${url}`);
    assert.deepEqual(target.hosts.map(({ host, address, port }) => [host, address, port]), hosts, url);
    assert.deepEqual([target.user, target.database], ["llm", "db"], url);
  }
});

Deno.test("parsePostgresUrl() reads libpq's parameters", () => {
  const read: readonly (readonly [string, Partial<PostgresTarget>])[] = [
    ["application_name=billing", { startup: { application_name: "billing", options: "" } }],
    ["fallback_application_name=f", { startup: { application_name: "f", options: "" } }],
    ["fallback_application_name=f&application_name=a", { startup: { application_name: "a", options: "" } }],
    ["options=-c%20search_path%3Dx", { startup: { application_name: "llmproxy", options: "-c search_path=x" } }],
    ["connect_timeout=10", { connectSeconds: 10 }],
    ["connect_timeout=0", { connectSeconds: Infinity }],
    ["target_session_attrs=read-write", { session: "read-write" }],
    ["target_session_attrs=primary", { session: "primary" }],
    ["keepalives=0", { keepAliveSeconds: 0 }],
    ["keepalives=1&keepalives_idle=30", { keepAliveSeconds: 30 }],
    ["user=u2&password=p2&dbname=d2", { user: "u2", password: "p2", database: "d2" }],
    ["ssl=true", { tls: { mode: "require" } }],
    ["channel_binding=prefer&gssencmode=disable&sslsni=1&client_encoding=UTF8&load_balance_hosts=disable", {}],
  ];
  for (const [query, part] of read) {
    assert.deepEqual(parsePostgresUrl(`postgres://llm@db.example?${query}`), { ...TARGET, ...part }, query);
  }
});

Deno.test("parsePostgresUrl() gives each sslmode libpq's meaning", () => {
  const meanings = {
    "sslmode=disable": { mode: "disable" },
    "sslmode=prefer": { mode: "prefer" },
    "sslmode=prefer&sslrootcert=/ca.pem": { mode: "prefer" },
    "sslmode=require": { mode: "require" },
    "sslmode=require&sslrootcert=/ca.pem": { mode: "verify-ca", rootCertPath: "/ca.pem" },
    "sslmode=verify-ca&sslrootcert=/etc/my%20ca.pem": { mode: "verify-ca", rootCertPath: "/etc/my ca.pem" },
    "sslmode=verify-full&sslrootcert=/ca.pem": { mode: "verify-full", rootCertPath: "/ca.pem" },
    "sslmode=verify-full&sslrootcert=system": { mode: "verify-full", rootCertPath: null },
    "sslmode=verify-full": { mode: "verify-full", rootCertPath: null },
    "sslrootcert=system": { mode: "verify-full", rootCertPath: null },
  };
  for (const [query, tls] of Object.entries(meanings)) {
    assert.deepEqual(parsePostgresUrl(`postgres://llm@db.example?${query}`), { ...TARGET, tls }, query);
  }
});

Deno.test("parsePostgresUrl() names what is unknown, unsupported or missing, and never the URL or its password", () => {
  const SECRET = "s3cr3t";
  const faults: readonly (readonly [string, RegExp])[] = [
    [`postgres://llm:${SECRET}@db.example?sslmode=allow`, /"sslmode" can only be disable or prefer/],
    [`postgres://llm:${SECRET}@db.example?sslmode=verify-ca`, /verify-ca needs sslrootcert/],
    [`postgres://llm:${SECRET}@db.example?sslmode=require&sslrootcert=system`, /system is for sslmode=verify-full only/],
    [`postgres://llm:${SECRET}@db.example?sslMode=disable`, /the parameter "sslMode" is unknown; known are host, /],
    [`postgres://llm:${SECRET}@db.example?channel_binding=require`, /"channel_binding" can only be prefer or disable here/],
    [`postgres://llm:${SECRET}@db.example?target_session_attrs=standby`, /"target_session_attrs" can only be any or read-write/],
    [`postgres://llm:${SECRET}@db.example?sslcert=/c.pem`, /"sslcert" is not supported: client certificates/],
    [`postgres://llm:${SECRET}@db.example?tcp_user_timeout=5000`, /"tcp_user_timeout" can only be 0 here/],
    [`postgres://llm:${SECRET}@db.example?service=${SECRET}`, /"service" is not supported: write host/],
    [`postgres://llm:${SECRET}@db.example?passfile=${SECRET}`, /"passfile" is not supported/],
    [`postgres://llm:${SECRET}@db.example?connect_timeout=${SECRET}`, /"connect_timeout" is not a whole number/],
    [`postgres://llm:${SECRET}@db.example?pgbouncer=true`, /"pgbouncer" is not supported: PgBouncer needs no mark/],
    [`postgres://llm:${SECRET}@db.example:port/db`, /a port is not a whole number/],
    [`postgres://llm:${SECRET}@db.example:0/db`, /a port is not a whole number/],
    [`postgres://llm:a/${SECRET}@db.example/db`, /a \/ in the password is not written as %2F/],
    [`postgres://llm:1/a?${SECRET}@db.example/db`, /a parameter is unknown/],
    [`postgres://llm:${SECRET}@h1,h2,h3/db?port=1,2`, /are not of one length/],
    [`postgres://llm:${SECRET}@h1,h2/db?hostaddr=10.0.0.1`, /are not of one length/],
    [`postgres://llm:${SECRET}@h1,/db`, /must name a host/],
    [`postgres://llm:${SECRET}@/db`, /must name a host, or the folder of a Unix socket/],
    [`postgres://llm:${SECRET}@%40abstract/db`, /abstract namespace/],
    [`postgres://llm:${SECRET}@[::1/db`, /not of the form/],
    [`postgres://llm:${SECRET}%@db.example`, /its password is not percent-encoded/],
    [`mysql://llm:${SECRET}@db.example/db`, /not of the form/],
    [`llm:${SECRET}@db.example/db`, /not of the form/],
    [`postgres://:${SECRET}@db.example/db`, /names no user/],
    [`postgres:///${SECRET}`, /names no user/],
    ["", /not of the form/],
  ];
  for (const [url, says] of faults) {
    assert.throws(() => parsePostgresUrl(url), (error: Error) => {
      assert.match(error.message, says, url);
      assert.equal(`${error.message}${error.stack}${error.cause}`.includes(SECRET), false, url);
      return true;
    });
  }
});

Deno.test("docs/scaling.md names every parameter that a database's URL may hold", () => {
  const page = Deno.readTextFileSync(new URL("../../../docs/scaling.md", import.meta.url));
  const listed = page.slice(page.indexOf("- the parameters ")).split("\n\n")[0]!;
  for (const name of READ_PARAMETERS) assert.match(listed, new RegExp(`\`${name}(=true)?\``), name);
});

/** libpq of PostgreSQL 18, except what only libpq itself uses. */
const LIBPQ =
  `service servicefile user password passfile channel_binding connect_timeout dbname host hostaddr port client_encoding options
  application_name fallback_application_name keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout
  sslmode sslnegotiation sslcompression sslcert sslkey sslcertmode sslpassword sslrootcert sslcrl sslcrldir sslsni requirepeer
  require_auth min_protocol_version max_protocol_version ssl_min_protocol_version ssl_max_protocol_version gssencmode krbsrvname
  gsslib gssdelegation scram_client_key scram_server_key replication target_session_attrs load_balance_hosts oauth_issuer
  oauth_client_id oauth_client_secret oauth_scope sslkeylogfile`.split(/\s+/);

Deno.test("whyNotParameter() knows every parameter of libpq, and says what to do instead of each unsupported one", () => {
  for (const name of LIBPQ) {
    const why = whyNotParameter(name, "no-such-value");
    assert.equal(whyNotParameter(name, ""), null, name);
    assert.equal(why === null, READ_PARAMETERS.some((known) => known === name), name);
    if (why !== null) {
      assert.match(why, new RegExp(`^the parameter "${name}" (is not supported|can only be [\\w. -]+ here): \\w`), name);
    }
  }
});
