import assert from "node:assert/strict";
import { messages } from "./messages.ts";

Deno.test("messages: a model id of Amazon's says where the call runs, and any other id nothing", () => {
  const rows = [["claude-opus-5-5", null], ["eu.anthropic.claude-opus-5-5", "eu"], [
    "anthropic.claude-opus-5-5",
    "regional",
  ]] as const;
  for (const [model, inferenceGeo] of rows) {
    const facts = messages.request.factsOf(new Map([["model", model]]), "/v1/messages");
    assert.equal(facts.inferenceGeo, inferenceGeo, model);
    const known = messages.answer.unsaid!(facts, new Headers());
    assert.deepEqual(known, inferenceGeo === null ? {} : { inferenceGeo }, model);
  }
  const named = new Map([["model", "eu.anthropic.claude-opus-5-5"], ["inference_geo", "us"]]);
  assert.equal(messages.request.factsOf(named, "/v1/messages").inferenceGeo, "us");
});
