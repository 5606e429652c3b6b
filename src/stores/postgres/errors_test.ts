import assert from "node:assert/strict";
import { isOwnFault } from "./errors.ts";

function serverError(code: string, more: Readonly<Record<string, string>> = {}): Error {
  return Object.assign(new Error("refused"), { name: "PostgresError", code, ...more });
}

Deno.test("isOwnFault() knows what is about the data: values, constraints, limits, a trigger's no", () => {
  for (const code of ["22P05", "22003", "23505", "23502", "54000", "P0001"]) {
    assert.equal(isOwnFault(serverError(code)), true, code);
  }
});

Deno.test("isOwnFault() tells a constraint that says no from a month's partition that is not there", () => {
  assert.equal(isOwnFault(serverError("23514", { constraint_name: "no_bad_rows" })), true);
  assert.equal(isOwnFault(serverError("23514")), false);
});

Deno.test("isOwnFault() takes no outage, lock, password, disk or schema for the data's fault", () => {
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
