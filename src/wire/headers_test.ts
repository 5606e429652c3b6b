import assert from "node:assert/strict";
import { forwardedHeaders, framingTrouble, returnedHeaders } from "./headers.ts";
import { STOPPED_HEADERS, stopsHere } from "./stopped_headers.ts";

const NOTHING = { drop: [], secrets: [] };

Deno.test("forwardedHeaders() passes end-to-end headers with their values", () => {
  const out = forwardedHeaders(new Headers({ "anthropic-beta": "a,b", "x-stainless-os": "Linux", origin: "null" }), NOTHING);
  assert.deepEqual([...out], [["accept-encoding", "identity"], ["anthropic-beta", "a,b"], ["origin", "null"], [
    "x-stainless-os",
    "Linux",
  ]]);
});

Deno.test("forwardedHeaders() strips hop-by-hop headers and those that Connection names", () => {
  const headers = new Headers({
    connection: "keep-alive, X-Hop",
    "x-hop": "1",
    "keep-alive": "5",
    te: "trailers",
    trailer: "x",
    "transfer-encoding": "chunked",
    upgrade: "h2c",
    "proxy-authorization": "Basic x",
    "proxy-connection": "close",
    host: "h",
    "content-length": "3",
    expect: "100-continue",
    "accept-encoding": "gzip",
  });
  assert.deepEqual([...forwardedHeaders(headers, NOTHING)], [["accept-encoding", "identity"]]);
});

Deno.test("forwardedHeaders() drops named headers and any that holds a secret", () => {
  const headers = new Headers({ "x-api-key": "tOk", "x-copy": "it is tOk!", "x-coded": "%74Ok", "x-tOk": "2", "x-keep": "1" });
  const out = forwardedHeaders(headers, { drop: ["x-api-key"], secrets: ["tOk"] });
  assert.deepEqual([...out], [["accept-encoding", "identity"], ["x-keep", "1"]]);
});

Deno.test("returnedHeaders() drops any header that holds a secret", () => {
  const headers = new Headers({ "x-echo": "x-api-key: key-1", "x-keep": "1" });
  assert.deepEqual([...returnedHeaders(headers, { secrets: ["key-1", ""] })], [["x-keep", "1"]]);
});

Deno.test("returnedHeaders() keeps repeated and framing headers, and strips the hop's own", () => {
  const headers = new Headers({
    "content-length": "3",
    "content-encoding": "gzip",
    connection: "close, content-length, x-a",
    "x-a": "1",
  });
  headers.append("vary", "a");
  headers.append("vary", "b");
  const out = returnedHeaders(headers, NOTHING).toSorted();
  assert.deepEqual(out, [["content-encoding", "gzip"], ["content-length", "3"], ["vary", "a, b"]]);
});

Deno.test("returnedHeaders() drops a content-length that a transfer coding overrides, and says a repeated one once", () => {
  const both = returnedHeaders(new Headers({ "content-length": "5", "transfer-encoding": "chunked" }), NOTHING);
  assert.deepEqual([...both], []);
  const twice = returnedHeaders(new Headers({ "content-length": "12, 12" }), NOTHING);
  assert.deepEqual([...twice], [["content-length", "12"]]);
});

Deno.test("framingTrouble() accepts only the transfer coding chunked, once", () => {
  for (const coding of [null, "chunked", "Chunked", "identity", ""]) {
    assert.equal(framingTrouble(new Headers(coding === null ? {} : { "transfer-encoding": coding })), null, String(coding));
  }
  for (const coding of ["gzip, chunked", "gzip", "chunked, chunked", "chunked, identity", "xchunked"]) {
    assert.match(framingTrouble(new Headers({ "transfer-encoding": coding })) ?? "", /transfer coding/, coding);
  }
});

/** One name of each that the table lists. */
function namesOf(direction: "request" | "answer"): readonly string[] {
  return STOPPED_HEADERS.filter((row) => row.direction === direction || row.direction === "both")
    .flatMap(({ names }) => names.map((name) => name.replace("*", "made-up")));
}

const EXCHANGED = ["host", "content-length", "expect", "accept-encoding", "transfer-encoding"];

Deno.test("forwardedHeaders() takes an underscore in a name for a hyphen", () => {
  const headers = new Headers({ x_forwarded_for: "203.0.113.7", "x-real_ip": "203.0.113.7", x_keep: "1" });
  assert.deepEqual(forwardedHeaders(headers, NOTHING).map(([name]) => name), ["accept-encoding", "x_keep"]);
});

Deno.test("forwardedHeaders() and returnedHeaders() stop what the table says, in any case, each in its own direction", () => {
  for (const direction of ["request", "answer"] as const) {
    const stopped = namesOf(direction);
    const headers = new Headers([...stopped, "x-keep"].map((name): [string, string] => [name.toUpperCase(), "1"]));
    const out = direction === "request" ? forwardedHeaders(headers, NOTHING) : returnedHeaders(headers, NOTHING);
    assert.deepEqual(out.filter(([name]) => name !== "accept-encoding"), [["x-keep", "1"]]);
  }
  for (const name of namesOf("answer").filter((name) => !namesOf("request").includes(name))) {
    assert.equal(stopsHere(name, "request"), false, name);
  }
  for (const name of namesOf("request").filter((name) => !namesOf("answer").includes(name) && !EXCHANGED.includes(name))) {
    assert.equal(new Map(returnedHeaders(new Headers({ [name]: "1" }), NOTHING)).get(name), "1", name);
  }
});

Deno.test("forwardedHeaders() and returnedHeaders() pass what agents, their users and support need", () => {
  const asked = [
    "anthropic-beta",
    "anthropic-version",
    "user-agent",
    "x-stainless-retry-count",
    "x-app",
    "x-claude-code-session-id",
    "x-session-id",
    "x-request-id",
    "traceparent",
    "tracestate",
    "baggage",
    "priority",
    "idempotency-key",
    "cache-control",
    "xcf-ray",
  ];
  const answered = [
    "request-id",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "anthropic-ratelimit-unified-status",
    "anthropic-organization-id",
    "cf-ray",
    "cf-cache-status",
    "server",
    "via",
    "x-accel-buffering",
    "access-control-allow-origin",
    "content-security-policy",
    "vary",
    "etag",
    "location",
  ];
  for (const name of asked) assert.equal(new Map(forwardedHeaders(new Headers({ [name]: "1" }), NOTHING)).get(name), "1", name);
  for (const name of answered) assert.equal(new Map(returnedHeaders(new Headers({ [name]: "1" }), NOTHING)).get(name), "1", name);
});

Deno.test("returnedHeaders() does not name the operator's organization and project at OpenAI", () => {
  const answered = new Headers({ "OpenAI-Organization": "org-1", "openai-project": "proj_1", "openai-version": "2020-10-01" });
  assert.deepEqual(returnedHeaders(answered, NOTHING), [["openai-version", "2020-10-01"]]);
});

Deno.test("STOPPED_HEADERS stands in docs/proxy-routes.md, name by name", async () => {
  const page = await Deno.readTextFile(new URL("../../docs/proxy-routes.md", import.meta.url));
  for (const { names, reason } of STOPPED_HEADERS) {
    for (const name of names) assert.ok(page.includes(`\`${name}\``), `${name} is not on the page`);
    assert.ok(page.includes(reason), `the page does not say: ${reason}`);
  }
});
