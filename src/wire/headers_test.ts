import assert from "node:assert/strict";
import { forwardedHeaders, returnedHeaders } from "./headers.ts";

const NOTHING = { drop: [], secrets: [] };

Deno.test("forwardedHeaders() passes end-to-end headers with their values", () => {
  const out = forwardedHeaders(new Headers({ "anthropic-beta": "a,b", "x-stainless-os": "Linux", cookie: "a=b" }), NOTHING);
  assert.deepEqual([...out], [["accept-encoding", "identity"], ["anthropic-beta", "a,b"], ["cookie", "a=b"], [
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

Deno.test("forwardedHeaders() drops what is named and whatever holds a secret", () => {
  const headers = new Headers({ "x-api-key": "tOk", "x-copy": "it is tOk!", "x-coded": "%74Ok", "x-tOk": "2", "x-keep": "1" });
  const out = forwardedHeaders(headers, { drop: ["x-api-key"], secrets: ["tOk"] });
  assert.deepEqual([...out], [["accept-encoding", "identity"], ["x-keep", "1"]]);
});

Deno.test("returnedHeaders() drops whatever holds a secret", () => {
  const headers = new Headers({ "x-echo": "x-api-key: key-1", "x-keep": "1" });
  assert.deepEqual([...returnedHeaders(headers, { secrets: ["key-1"] })], [["x-keep", "1"]]);
});

Deno.test("returnedHeaders() keeps repeated and framing headers, and strips the hop's own", () => {
  const headers = new Headers({
    "content-length": "3",
    "content-encoding": "gzip",
    connection: "close, content-length, x-a",
    "x-a": "1",
  });
  headers.append("set-cookie", "a=1");
  headers.append("set-cookie", "b=2");
  const out = [...returnedHeaders(headers, NOTHING)];
  assert.deepEqual(out, [["content-encoding", "gzip"], ["content-length", "3"], ["set-cookie", "a=1"], ["set-cookie", "b=2"]]);
});
