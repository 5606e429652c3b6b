import assert from "node:assert/strict";
import type { FaultCode } from "../../domain/fault.ts";
import type { Route } from "../../domain/provider.ts";
import { openai } from "./openai.ts";
import { baseUrlFault, ROUTES } from "./routes.ts";

function routeOf(method: string, path: string): Route | undefined {
  return ROUTES.find((route) => route.method === method && route.path === path);
}

/** Of a route that shows what it does with a call; null: none. */
function kindOf(method: string, path: string): string | null {
  const route = routeOf(method, path);
  return route === undefined ? null : route.kind;
}

Deno.test("the routes bill what makes tokens, own what is kept, and close what nothing meters", () => {
  for (const path of ["/v1/responses", "/v1/responses/compact", "/v1/chat/completions"]) {
    assert.equal(kindOf("POST", path), "billed", path);
  }
  for (
    const [method, path] of [["POST", "/v1/responses/input_tokens"], ["GET", "/v1/models"], ["GET", "/v1/models/:id"]] as const
  ) {
    const route = routeOf(method, path);
    assert.ok(route?.kind === "passthrough" && route.isClosed !== true, path);
  }
  const owned = ROUTES.flatMap((route) =>
    route.kind === "owning" ? [[route.path, route.owns, route.isClosed === true] as const] : []
  );
  assert.deepEqual(owned, [
    ["/v1/responses", "response", false],
    ["/v1/files", "file", false],
    ["/v1/conversations", "conversation", false],
    ["/v1/vector_stores", "vector_store", true],
    ["/v1/containers", "container", true],
    ["/v1/batches", "batch", true],
  ]);
  const last = ROUTES.at(-1)!;
  assert.ok(last.kind === "passthrough" && last.path === "/v1/*" && last.isClosed === true);
});

Deno.test("a WebSocket is refused by 426 in words that say what works, and a bare GET is not (trap 2)", () => {
  const route = routeOf("GET", "/v1/responses");
  assert.ok(route?.kind === "refused");
  const codeOf = (headers: Record<string, string>) => route.fault(new Headers(headers)).code;
  for (const upgrade of ["websocket", "WebSocket", "h2c, websocket"]) assert.equal(codeOf({ upgrade }), "upgrade_refused");
  for (const headers of [{}, { upgrade: "h2c" }, { upgrade: "websockets" }]) assert.equal(codeOf(headers), "path_not_allowed");
  assert.match(route.fault(new Headers({ upgrade: "websocket" })).message, /works over HTTP/);
});

Deno.test("headers that choose the payer go no further, with the credential (trap 44)", () => {
  for (const name of ["authorization", "openai-organization", "openai-project"]) {
    assert.ok(openai.credentialHeaders.includes(name), name);
  }
});

Deno.test("credentialShape knows OpenAI's keys, and takes no other token for one", () => {
  const legacy = `sk-${"a1".repeat(10)}T3BlbkFJ${"b2".repeat(10)}`;
  const keys = [`sk-proj-${"Ab_-".repeat(20)}`, `sk-svcacct-${"A1".repeat(40)}`, `sk-admin-${"A1".repeat(40)}`, legacy];
  for (const key of keys) {
    const text = `Bearer ${key}, and more`;
    assert.deepEqual(text.match(openai.credentialShape), [key]);
  }
  const others = [
    `sk-ant-api03-${"a1".repeat(40)}`,
    "sk-1234",
    `llmp_${"a1".repeat(20)}`,
    `sk-litellm-${"a1".repeat(20)}`,
    "sk-proj-short",
  ];
  for (const other of [...others, `sk-${"a1".repeat(24)}`]) assert.equal(other.match(openai.credentialShape), null, other);
});

Deno.test("owned ids begin as OpenAI's do: a file by a dash, which Anthropic's does not (trap 23)", () => {
  const { keys, prefixes } = openai.owned;
  for (const id of ["file-abc", "resp_1", "conv_1", "vs_1", "cntr_1", "batch_1", "pmpt_1"]) {
    assert.ok(prefixes.some((prefix) => id.startsWith(prefix)), id);
  }
  assert.ok(!prefixes.some((prefix) => "file_1".startsWith(prefix)));
  assert.ok(
    ["previous_response_id", "conversation", "file_id", "vector_store_ids", "container"].every((key) => keys.includes(key)),
  );
});

const SAID: readonly (readonly [path: string, code: FaultCode, says: RegExp])[] = [
  ["/v1/v1/responses", "path_misdirected", /one \/v1 too many/],
  ["/v1/v1", "path_misdirected", /one \/v1 too many/],
  ["/v1/responses/responses", "path_misdirected", /ends in the path of an endpoint/],
  ["/v1/responses/v1/responses", "path_misdirected", /ends in the path of an endpoint/],
  ["/v1/chat/completions/chat/completions", "path_misdirected", /ends in the path of an endpoint/],
  ["/api/v1/responses", "path_misdirected", /has a path/],
  ["/openai/v1/chat/completions", "path_misdirected", /has a path/],
  ["/responses", "path_unknown", /\/v1 is missing/],
  ["/responses/compact", "path_unknown", /\/v1 is missing/],
  ["/chat/completions", "path_unknown", /\/v1 is missing/],
  ["/models", "path_unknown", /\/v1 is missing/],
];

Deno.test("baseUrlFault() says what is wrong with the base URL, and names no setting of the operator's", () => {
  for (const [path, code, says] of SAID) {
    const fault = baseUrlFault(path);
    assert.equal(fault?.code, code, path);
    assert.match(fault.message, says, path);
    assert.doesNotMatch(fault.message, /LLMPROXY/);
  }
});

Deno.test("baseUrlFault() has nothing to say of the API's own paths and of others", () => {
  const own = [
    "/v1",
    "/v1/responses",
    "/v1/responses/resp_1/input_items",
    "/v1/chat/completions",
    "/v1/models/v1",
    "/v1/files/v1",
  ];
  const others = ["/", "/v10/x", "/v1/organization/v1", "/favicon.ico", "/responsesx", "/internal/usage"];
  for (const path of [...own, ...others]) assert.equal(baseUrlFault(path), null, path);
});
