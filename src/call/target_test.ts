import assert from "node:assert/strict";
import { Fault, type FaultCode } from "../domain/fault.ts";
import { anthropic } from "../../tests/anthropic.ts";
import { assertAllowed, assertPlainMethod, knownPaths, plainTarget, rawPath } from "./target.ts";

const PLAIN = { known: knownPaths([anthropic]), hasEncodedSlashes: false };

function received(rawTarget: string, host = "proxy:8081") {
  const url = rawTarget.startsWith("/") ? `http://${host}${rawTarget}` : rawTarget;
  return { url, headers: new Headers({ host }) };
}

Deno.test("plainTarget() returns path and query as they were received", () => {
  const plain = [
    "/",
    "/v1/messages",
    "/v1/messages?beta=true",
    "/v1/messages/count_tokens?beta=true&x=%2F..%2e",
    "/v1/models/claude-opus-5-5",
    "/v1/models?after_id=a%20b&limit=5",
    "/v1/files/file_01%20x/content",
    "/v1/messages/batches/msgbatch_01:cancel",
    "/v1/files/File_With_Capitals",
    "/v1/skills/a.b~c-d_e",
  ];
  for (const target of plain) assert.equal(plainTarget(received(target), PLAIN), target);
});

Deno.test("plainTarget() refuses every other spelling of a path", () => {
  const spellings = [
    "/v1/./messages",
    "/v1/../v1/messages",
    "/v1/x/../messages",
    "/v1/%2e/messages",
    "/v1/%2E%2e/messages",
    "/v1/.%2e/messages",
    "//v1/messages",
    "/v1//messages",
    "/v1/messages//",
    "/v1/messages/",
    "/v1/messages/?beta=true",
    "/v1/models/",
    "/v1\\messages",
    "/v1/..\\messages",
    "/v1%2fmessages",
    "/v1/messages%2Fbatches",
    "/v1/%6dessages",
    "/v1/%4Dessages",
    "/%761/messages",
    "/v1/messages%5f",
    "/v1/m%65ssages",
    "/v1/messages%00",
    "/v1/messages%0a",
    "/v1/messages%3fbeta=true",
    "/v1/messages%23",
    "/v1/messages%253f",
    "/v1/messages%5cx",
    "/v1/messages;x=1",
    "/v1;/messages",
    "/v1/messages#x",
    "/v1/messages?beta=true#x",
    "/v1/messages%",
    "/v1/messages%zz",
    "/v1/m\u00e9ssages",
    "/v1/mess ages",
    "/v1/messages\t",
    '/v1/"messages"',
    "/v1/{messages}",
    "/v1/Messages",
    "/V1/messages",
    "/v1/MESSAGES/batches",
    "/v1/messages/Count_Tokens",
    "/v1/messages/Batches",
    "/v1/Files/x",
    "/v1/Models",
    "http://elsewhere/v1/messages",
    "https://proxy:8081/v1/messages",
  ];
  for (const target of spellings) {
    assert.throws(
      () => plainTarget(received(target), PLAIN),
      (error) => error instanceof Fault && error.code === "path_unknown",
      target,
    );
  }
});

Deno.test("plainTarget() lets a route's segment hold encoded slashes, and nothing be hidden by them", () => {
  const plain = { ...PLAIN, hasEncodedSlashes: true };
  const arn = "/model/arn:aws:bedrock:us-east-1:111122223333:application-inference-profile%2Fabc/invoke";
  for (const target of [arn, arn.replaceAll(":", "%3A").replace("%2F", "%2f")]) {
    assert.equal(plainTarget(received(target), plain), target);
    assert.throws(() => plainTarget(received(target), PLAIN), Fault);
  }
  for (const hidden of ["..%2Fx", "%2F", "x%2F", "%2Fx", "x%2F%2Fy", "x%2F..", ".%2fx", "x%252Fy", "x%5Cy", "x%2F%2E%2E"]) {
    assert.throws(() => plainTarget(received(`/model/${hidden}/invoke`), plain), Fault, hidden);
  }
});

Deno.test("plainTarget() is not led by a Host header that holds a path", () => {
  for (const host of ["proxy/v1/x?", "proxy#", "proxy\\x", "user@proxy", "proxy/"]) {
    assert.throws(() => plainTarget(received("/v1/messages", host), PLAIN), Fault, host);
  }
});

Deno.test("assertPlainMethod() refuses methods that fetch would spell otherwise or not send", () => {
  for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"]) assertPlainMethod({ method });
  for (const method of ["post", "Post", "get", "head", "delete", "TRACE", "TRACK", "CONNECT", "", "PO-ST"]) {
    assert.throws(() => assertPlainMethod({ method }), Fault, method);
  }
});

Deno.test("rawPath() is the path without query, undecoded", () => {
  assert.equal(rawPath({ url: "http://h/v1/%6dessages?x=/y" }), "/v1/%6dessages");
  assert.equal(rawPath({ url: "http://h/a?b#c" }), "/a");
  assert.equal(rawPath({ url: "http://h" }), "/");
});

Deno.test("knownPaths() are the fixed beginnings of the routes, at every segment, with the prefix and without", () => {
  const known = ["/v1", "/v1/files", "/v1/messages", "/v1/messages/batches", "/v1/messages/count_tokens", "/v1/models"];
  const named = ["/anthropic", ...known.map((path) => `/anthropic${path}`)];
  assert.deepEqual([...PLAIN.known].sort(), [...named, ...known]);
});

Deno.test("assertAllowed() opens whole segments, and a path of a wrong base URL only to a prefix that names it", () => {
  const open: readonly (readonly [path: string, allowed: readonly string[]])[] = [
    ["/v1/sessions", ["/v1/sessions"]],
    ["/v1/sessions/x", ["/v1/x", "/v1/sessions/"]],
    ["/v1/whatever", ["*"]],
    ["/v1/v1/messages", ["/v1/v1"]],
    ["/v1/v1/messages", ["*", "/v1/v1/messages"]],
    ["/v1/messages/v1/x", ["/v1/messages/v1"]],
  ];
  for (const [path, allowed] of open) assertAllowed(path, allowed, anthropic);
  const closed: readonly (readonly [path: string, allowed: readonly string[], code: FaultCode])[] = [
    ["/v1/sessions", [], "path_not_allowed"],
    ["/v1/sessionsx", ["/v1/sessions"], "path_not_allowed"],
    ["/v1/v1/messages", [], "path_misdirected"],
    ["/v1/v1/messages", ["*"], "path_misdirected"],
    ["/v1/v1/messages", ["/v1/"], "path_misdirected"],
    ["/v1/messages/v1/messages", ["/v1/messages", "*"], "path_misdirected"],
  ];
  for (const [path, allowed, code] of closed) {
    assert.throws(() => assertAllowed(path, allowed, anthropic), (error) => error instanceof Fault && error.code === code, path);
  }
});
