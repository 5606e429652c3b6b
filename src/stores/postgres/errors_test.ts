import assert from "node:assert/strict";
import { isOwnFault, TlsFailed, unavailableOf } from "./errors.ts";

function serverError(code: string, more: Readonly<Record<string, string>> = {}): Error {
  return Object.assign(new Error("refused"), { name: "PostgresError", code, ...more });
}

Deno.test("isOwnFault() knows what is about the data: values, constraints, limits, a trigger's refusal", () => {
  for (const code of ["22P05", "22003", "23505", "23502", "54000", "P0001"]) {
    assert.equal(isOwnFault(serverError(code)), true, code);
  }
});

Deno.test("isOwnFault() tells a violated constraint from a missing partition of a month", () => {
  assert.equal(isOwnFault(serverError("23514", { constraint_name: "no_bad_rows" })), true);
  assert.equal(isOwnFault(serverError("23514")), false);
});

Deno.test("isOwnFault() blames no outage, lock, password, disk or schema on the data", () => {
  const states = [
    "08006",
    "25006",
    "28P01",
    "3D000",
    "40001",
    "40P01",
    "42P01",
    "42501",
    "53100",
    "53300",
    "55P03",
    "57P01",
    "57014",
  ];
  for (const code of [...states, "58030", "XX000"]) assert.equal(isOwnFault(serverError(code)), false, code);
  for (const error of [new Error("away"), Object.assign(new Error(""), { code: "ECONNREFUSED" }), "22003", null]) {
    assert.equal(isOwnFault(error), false);
  }
});

Deno.test("unavailableOf() explains each state of the server, and leaves bugs alone", () => {
  const words: readonly (readonly [string, RegExp])[] = [
    ["08006", /has ended the connection$/],
    ["25006", /takes no writes: the server is a standby/],
    ["28P01", /refuses the login: check the user and the password/],
    ["28000", /refuses the login/],
    ["3D000", /has no database of the name/],
    ["3F000", /needs USAGE and CREATE on the schema$/],
    ["40P01", /is busy/],
    ["53100", /disk of PostgreSQL is full$/],
    ["53300", /takes no more connections: raise its max_connections/],
    ["55P03", /is busy/],
    ["57P01", /is shutting down/],
    ["57P03", /is starting up or recovering$/],
    ["58030", /cannot read or write its files$/],
    ["XX001", /its data is damaged$/],
  ];
  for (const [code, says] of words) assert.match(unavailableOf(serverError(code), "asking")?.message ?? code, says);
  const rights: readonly (readonly [string, RegExp])[] = [
    ["permission denied for schema public", /\(permission denied for schema public: USAGE and CREATE on the schema\)$/],
    ["must be owner of table usage", /\(must be owner of table usage: the role has to own llmproxy's tables\)$/],
    ["permission denied for table tokens", /hold SELECT, INSERT, UPDATE and DELETE on them\)$/],
    ["keine Berechtigung", /\(keine Berechtigung\)$/],
  ];
  for (const [message, says] of rights) {
    const error = Object.assign(new Error(message), { name: "PostgresError", code: "42501" });
    assert.match(unavailableOf(error, "asking")?.message ?? "", says);
  }
  for (const code of ["42601", "42P01", "42703", "22003", "23505", "P0001", "XX000"]) {
    assert.equal(unavailableOf(serverError(code), "asking"), null, code);
  }
  assert.equal(unavailableOf(new TypeError("undefined is not a function"), "asking"), null);
  // A pooler says much in the class of internal errors while a connection is made.
  assert.match(unavailableOf(serverError("XX000"), "connecting")?.message ?? "", /^PostgreSQL refuses the connection/);
});

Deno.test("unavailableOf() tells an unreachable server from a lost connection, and names no hosts", () => {
  const refused = Object.assign(new Error("connect ECONNREFUSED 10.0.0.7:5432"), { code: "ECONNREFUSED" });
  const away = unavailableOf(refused, "connecting");
  assert.match(away?.message ?? "", /^PostgreSQL cannot be reached \(ECONNREFUSED\): is it running/);
  assert.equal(away?.cause, refused);
  const unknown = unavailableOf(new Error("failed to lookup address of db.internal"), "connecting");
  assert.match(unknown?.message ?? "", /^PostgreSQL cannot be reached: is it running/);
  const lost = Object.assign(new Error("write CONNECTION_CLOSED 10.0.0.7:5432"), { code: "CONNECTION_CLOSED" });
  assert.equal(unavailableOf(lost, "asking")?.message, "The connection to PostgreSQL was lost (CONNECTION_CLOSED)");
  assert.match(unavailableOf(new TlsFailed("self-signed certificate"), "connecting")?.message ?? "", /by TLS: check sslmode/);
});
