import assert from "node:assert/strict";
import { Fault } from "../domain/fault.ts";
import { tokenOf, withoutOwnCredentials } from "./authenticate.ts";

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
    assert.throws(() => tokenOf(new Headers(headers)), (error) => {
      assert.ok(error instanceof Fault && error.code === "unauthenticated");
      assert.doesNotMatch(error.message, /x-api-key/i, "Claude Code would not show this text");
      return true;
    });
  }
});

const SHAPES = { credentialHeaders: ["x-api-key", "authorization"], credentialShape: /sk-ant-[\w-]+/g };
const OWN = "sk-ant-oat01-Abc_9-x";

function received(headers: Readonly<Record<string, string>>) {
  const { body, ...request } = { method: "POST", url: "/v1/messages", body: "{}" };
  const sent = new Request("http://proxy", { ...request, body, headers });
  return { ...request, headers: sent.headers, body: sent.body };
}

Deno.test("withoutOwnCredentials() leaves the proxy token, whichever header the user's own key stands in", () => {
  const cases: readonly Readonly<Record<string, string>>[] = [
    { "x-api-key": "llmp_t1", authorization: `Bearer ${OWN}` },
    { "x-api-key": "llmp_t1", authorization: `bearer  ${OWN}` },
    { "x-api-key": "llmp_t1", authorization: OWN },
    { "x-api-key": OWN, authorization: "Bearer llmp_t1" },
  ];
  for (const headers of cases) {
    const { request, ownCredentials } = withoutOwnCredentials(received(headers), SHAPES);
    assert.deepEqual(ownCredentials, [OWN]);
    assert.equal(tokenOf(request.headers), "llmp_t1");
  }
});

Deno.test("withoutOwnCredentials() leaves out every header that holds the key once more, and nothing else of the request", async () => {
  const original = received({
    "x-api-key": OWN,
    authorization: "Bearer llmp_t1",
    cookie: `a=b; key=${OWN}`,
    "x-coded": encodeURIComponent(OWN).replace("o", "%6f"),
    [`x-${OWN}`]: "1",
    "x-trace-id": "run-1",
  });
  const { request } = withoutOwnCredentials(original, SHAPES);
  assert.deepEqual([...request.headers].map(([name]) => name), ["authorization", "content-type", "x-trace-id"]);
  assert.equal(request.method, "POST");
  assert.deepEqual([request.url, await new Response(request.body).text()], ["/v1/messages", "{}"]);
});

Deno.test("withoutOwnCredentials() finds the key in a header of any name, with other words around it", () => {
  const headers = { "x-api-key": "llmp_t1", "anthropic-api-key": OWN, "x-trace-id": `run-${OWN}`, "x-other": "1" };
  const { request, ownCredentials } = withoutOwnCredentials(received(headers), SHAPES);
  assert.deepEqual(ownCredentials, [OWN]);
  assert.deepEqual([...request.headers].map(([name]) => name), ["content-type", "x-api-key", "x-other"]);
});

Deno.test("withoutOwnCredentials() touches no request without such a key", () => {
  const others: readonly Readonly<Record<string, string>>[] = [
    {},
    { "x-api-key": "llmp_t1" },
    { "x-api-key": "xsk-ant-api03-x", authorization: "Bearer t2" },
    { "x-api-key": "sk-ant-" },
    { "x-api-key": `${OWN}, llmp_t1` },
    { "x-copy": "sk-ant" },
  ];
  for (const headers of others) {
    const original = received(headers);
    const { request, ownCredentials } = withoutOwnCredentials(original, SHAPES);
    assert.equal(request, original);
    assert.deepEqual(ownCredentials, []);
  }
});
