import assert from "node:assert/strict";
import { anthropic, messages } from "../../tests/anthropic.ts";
import { Fault } from "../domain/fault.ts";
import type { Provider, Route } from "../domain/provider.ts";
import { Roads } from "./roads.ts";

const OTHER = { ...{ maxBodyBytes: 1, joinsTrace: false, namesOwned: false, answersJson: true }, name: "other" };
const THINGS: Route = { method: "GET", path: "/v1/models", kind: "passthrough", passthrough: OTHER };
const REST: Route = { method: "*", path: "/v1/*", kind: "passthrough", passthrough: OTHER, isClosed: true };

const { markHeader: _, ...unmarked } = anthropic;
/** It shares paths with Anthropic's, and needs no mark. */
const plain: Provider = {
  ...unmarked,
  ...{ name: "plain", prefix: "/plain" },
  routes: [{ method: "POST", path: "/v1/answers", kind: "billed", call: messages }, THINGS, REST],
};
/** It has paths of its own, with a method behind a colon. */
const colon: Provider = {
  ...unmarked,
  ...{ name: "colon", prefix: "/colon" },
  routes: [{ method: "POST", path: "/v1/models/:call{[^/]+:say}", kind: "billed", call: messages }],
};

const roads = new Roads([anthropic, plain, colon]);
const marked = { "anthropic-version": "2023-06-01" };

function roadOf(method: string, path: string, { headers = {}, spoken = [anthropic, plain, colon] }: {
  readonly headers?: Readonly<Record<string, string>>;
  readonly spoken?: readonly Provider[];
} = {}) {
  const { provider, route, path: behind, prefix } = roads.of({ method, url: path, headers: new Headers(headers) }, spoken);
  return [provider.name, route === null ? null : route.path, prefix, behind];
}

Deno.test("Roads take a path of one dialect to that dialect, with its mark or without", () => {
  for (const headers of [{}, marked]) {
    assert.deepEqual(roadOf("POST", "/v1/messages", { headers }), ["anthropic", "/v1/messages", "", "/v1/messages"]);
    assert.deepEqual(roadOf("POST", "/v1/answers?x", { headers }), ["plain", "/v1/answers", "", "/v1/answers"]);
    const say = ["colon", "/v1/models/:call{[^/]+:say}", "", "/v1/models/m-1:say"];
    assert.deepEqual(roadOf("POST", "/v1/models/m-1:say", { headers }), say);
  }
});

Deno.test("Roads take a shared path by the mark header, and without it to the dialect that needs none", () => {
  assert.equal(roadOf("GET", "/v1/models", { headers: marked })[0], "anthropic");
  assert.equal(roadOf("GET", "/v1/models")[0], "plain");
  assert.equal(roadOf("HEAD", "/v1/models")[0], "plain");
  assert.equal(roadOf("GET", "/v1/models", { spoken: [anthropic] })[0], "anthropic");
  assert.deepEqual(roadOf("POST", "/v1/unknown", { headers: marked }).slice(0, 2), ["anthropic", "/v1/*"]);
  assert.deepEqual(roadOf("POST", "/v1/unknown").slice(0, 2), ["plain", "/v1/*"]);
});

Deno.test("Roads take a path behind a dialect's prefix to that dialect alone, if an upstream speaks it", () => {
  assert.deepEqual(roadOf("GET", "/anthropic/v1/models"), ["anthropic", "/v1/models", "/anthropic", "/v1/models"]);
  assert.deepEqual(roadOf("GET", "/plain/v1/models", { headers: marked }), ["plain", "/v1/models", "/plain", "/v1/models"]);
  assert.deepEqual(roadOf("POST", "/colon/v1/messages"), ["colon", null, "/colon", "/v1/messages"]);
  assert.deepEqual(roadOf("POST", "/plain/v1/answers", { spoken: [anthropic] }), ["anthropic", null, "", "/plain/v1/answers"]);
});

Deno.test("Roads hear of no dialect that no upstream speaks; the first answers for what none has", () => {
  assert.deepEqual(roadOf("POST", "/v1/answers", { spoken: [anthropic] }).slice(0, 2), ["anthropic", "/v1/*"]);
  assert.deepEqual(roadOf("POST", "/nothing", { spoken: [colon, anthropic] }), ["colon", null, "", "/nothing"]);
});

Deno.test("Roads take a path that two dialects close to the one whose rest says more about it", () => {
  const closer: Provider = { ...colon, routes: [{ ...REST, path: "/v1/projects/*" }] };
  const spoken = [anthropic, plain, closer];
  assert.deepEqual(
    new Roads(spoken).of({ method: "POST", url: "/v1/projects/p/x", headers: new Headers() }, spoken).provider,
    closer,
  );
});

Deno.test("Roads take a closed path to the dialect that knows it from clients with a wrong base URL", () => {
  const fault = new Fault("path_misdirected", "Take /v1 off.");
  const slipped: Provider = { ...colon, baseUrlFault: (path) => path.startsWith("/v1/model/") ? fault : null };
  const spoken = [anthropic, plain, slipped];
  const road = new Roads(spoken).of({ method: "POST", url: "/v1/model/m/invoke", headers: new Headers() }, spoken);
  assert.deepEqual([road.provider.name, road.route], ["colon", null]);
  // What a dialect answers stays with it.
  assert.deepEqual(roadOf("POST", "/v1/v1/answers").slice(0, 2), ["plain", "/v1/*"]);
});
