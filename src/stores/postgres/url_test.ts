import assert from "node:assert/strict";
import { parsePostgresUrl } from "./url.ts";

const PLACE = { host: "db.example", port: 5432, user: "llm", password: "", database: "llm" };

Deno.test("parsePostgresUrl() reads every part, percent-encoded where need be", () => {
  assert.deepEqual(parsePostgresUrl("postgres://llm:p%40ss%2Fw%3Ard@db.example:6432/usage%20db?sslmode=disable"), {
    host: "db.example",
    port: 6432,
    user: "llm",
    password: "p@ss/w:rd",
    database: "usage db",
    tls: { mode: "disable" },
  });
  assert.equal(parsePostgresUrl("postgresql://llm@[::1]/db").host, "::1");
});

Deno.test("parsePostgresUrl() goes by libpq's defaults where a part is not there", () => {
  for (const url of ["postgres://llm@db.example", "postgresql://llm@db.example/"]) {
    assert.deepEqual(parsePostgresUrl(url), { ...PLACE, tls: { mode: "prefer" } });
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
    assert.deepEqual(parsePostgresUrl(`postgres://llm@db.example?${query}`), { ...PLACE, tls }, query);
  }
});

Deno.test("parsePostgresUrl() names what it does not know or misses, and never the URL or its password", () => {
  const SECRET = "s3cr3t";
  const faults: readonly (readonly [string, RegExp])[] = [
    [`postgres://llm:${SECRET}@db.example?sslmode=allow`, /sslmode is "allow"; known are disable, prefer/],
    [`postgres://llm:${SECRET}@db.example?sslmode=verify-ca`, /verify-ca needs sslrootcert/],
    [`postgres://llm:${SECRET}@db.example?sslmode=require&sslrootcert=system`, /system is for sslmode=verify-full only/],
    [`postgres://llm:${SECRET}@db.example?sslMode=disable`, /the parameter "sslMode" is unknown; known are sslmode, sslrootcert/],
    [`postgres://llm:${SECRET}@db.example?options=-c%20a`, /the parameter "options" is unknown/],
    [`postgres://llm:${SECRET}@db.example:port/db`, /not of the form/],
    [`postgres://llm:${SECRET}@h1:5432,h2:5432/db`, /not of the form/],
    [`postgres://llm:${SECRET}@h1,h2/db`, /must name one host/],
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
