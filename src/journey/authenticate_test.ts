import assert from "node:assert/strict";
import { Fault } from "../domain/fault.ts";
import { tokenOf } from "./authenticate.ts";

Deno.test("tokenOf() takes the token from x-api-key or from Authorization: Bearer", () => {
  assert.equal(tokenOf(new Headers({ "x-api-key": "t1" })), "t1");
  assert.equal(tokenOf(new Headers({ authorization: "Bearer t1" })), "t1");
  assert.equal(tokenOf(new Headers({ authorization: "bearer  t1" })), "t1");
  assert.equal(tokenOf(new Headers({ authorization: "Bearer t1", "x-api-key": "t1" })), "t1");
  assert.equal(tokenOf(new Headers({ authorization: "", "x-api-key": "t1" })), "t1");
});

Deno.test("tokenOf() refuses no token, two that differ, and other schemes", () => {
  const refused: Record<string, string>[] = [
    {},
    { "x-api-key": "" },
    { "x-api-key": "t1", authorization: "Bearer t2" },
    { authorization: "Basic dDE6" },
    { authorization: "Bearer" },
    { authorization: "Bearer a b" },
    { "x-api-key": "t1", authorization: "Basic dDE6" },
  ];
  for (const headers of refused) {
    assert.throws(() => tokenOf(new Headers(headers)), (error) => error instanceof Fault && error.code === "unauthenticated");
  }
});
