import assert from "node:assert/strict";
import { Fault } from "../../domain/fault.ts";
import { gemini } from "./gemini.ts";
import { REQUEST } from "./request.ts";

function factsOf(target: string, body: Readonly<Record<string, unknown>> = {}) {
  return REQUEST.factsOf(new Map(REQUEST.keys.map((key) => [key, body[key]])), target);
}

Deno.test("factsOf() takes model and stream from the path, whatever the user agent and the body say (trap 41)", () => {
  const targets: readonly (readonly [target: string, model: string, isStreamed: boolean])[] = [
    ["/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse", "gemini-3.8-flash", true],
    ["/v1beta/models/gemini-3.8-flash:streamGenerateContent", "gemini-3.8-flash", true],
    ["/v1beta/models/gemini-3.5-flash-lite:generateContent", "gemini-3.5-flash-lite", false],
    ["/v1/models/gemini-2.5-flash-preview-09-2025:generateContent?prettyPrint=false", "gemini-2.5-flash-preview-09-2025", false],
    ["/v1beta/models/a%40b:generateContent", "a@b", false],
    ["/v1beta/models/x", "", false],
  ];
  for (const [target, model, isStreamed] of targets) {
    const facts = factsOf(target, { model: "models/other", stream: !isStreamed });
    assert.deepEqual([facts.model, facts.isStreamed], [model, isStreamed], target);
  }
});

Deno.test("factsOf() reads the limit of the output in both spellings that Google takes", () => {
  const target = "/v1beta/models/m:generateContent";
  const limitOf = (body: Readonly<Record<string, unknown>>) => factsOf(target, body).maxTokens;
  assert.equal(limitOf({ generationConfig: { maxOutputTokens: 64 } }), 64);
  assert.equal(limitOf({ generation_config: { max_output_tokens: 65 } }), 65);
  for (const config of [undefined, null, [], { maxOutputTokens: "64" }, { maxOutputTokens: -1 }, { maxOutputTokens: 1.5 }]) {
    assert.equal(limitOf({ generationConfig: config }), null);
  }
});

Deno.test("gemini.placed() sends the path as it is, and refuses a key in the query in words", () => {
  const target = "/v1beta/models/m:streamGenerateContent?alt=sse";
  assert.deepEqual(gemini.placed(target), { target, location: "" });
  const fault = gemini.placed("/v1beta/models/m:generateContent?key=AIzaSyA");
  assert.ok(fault instanceof Fault);
  assert.match(fault.message, /a key belongs in a header/);
});

Deno.test("gemini.baseUrlFault() says what is wrong with a base URL, and nothing of the API's own paths", () => {
  const said: readonly (readonly [path: string, says: RegExp])[] = [
    ["/v1beta/v1beta/models/m:generateContent", /one version too many/],
    ["/v1/v1beta/models/m:generateContent", /one version too many/],
    ["/models/m:generateContent", /\/v1beta is missing/],
    ["/v1internal:streamGenerateContent", /signed in with a Google account/],
  ];
  for (const [path, says] of said) assert.match(gemini.baseUrlFault(path)?.message ?? "", says, path);
  for (
    const path of ["/", "/v1beta/models", "/v1beta/models/m:generateContent", "/v1/models/v1beta", "/models", "/v1/messages"]
  ) {
    assert.equal(gemini.baseUrlFault(path), null, path);
  }
});

Deno.test("gemini.credentialShape is the shape of Google's keys and tokens, and of no proxy token", () => {
  const shapes = ["AIza" + "x".repeat(35), "AQ." + "Ab8".repeat(15), "ya29.a0" + "x".repeat(40)];
  for (const shape of shapes) assert.deepEqual(shape.match(gemini.credentialShape), [shape]);
  for (const other of ["llmp_abcdefghijklmnopqrstuvwxyz012345", "AIza", "xAIza" + "x".repeat(35), "gemini-3.8-flash"]) {
    assert.equal(other.match(gemini.credentialShape), null, other);
  }
});

Deno.test("gemini.owned names what a key keeps for all its callers, and leaves public videos alone", () => {
  const isOwned = (id: string) => gemini.owned.prefixes.some((prefix) => id.startsWith(prefix));
  const ids = ["files/a", "https://generativelanguage.googleapis.com/v1beta/files/a", "cachedContents/a", "fileSearchStores/a"];
  for (const id of [...ids, "gs://bucket/a", "generativelanguage.mtls.googleapis.com/v1beta/files/a"]) assert.ok(isOwned(id), id);
  assert.ok(!isOwned("https://www.youtube.com/watch?v=1"));
});
