import assert from "node:assert/strict";
import { EMPTY_READING } from "../../domain/reading.ts";
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

Deno.test("messages: an answer tells the container in which its code ran, streamed and not", () => {
  const made = [{ id: "container_011CQ", kind: "container" }];
  const container = { id: "container_011CQ", expires_at: "2026-12-01T00:00:00Z" };
  const whole = { type: "message", id: "msg_1", usage: { input_tokens: 1, output_tokens: 1 }, content: [] };
  assert.deepEqual(messages.answer.readAnswer({ ...whole, container }).made, made);
  const delta = { type: "message_delta", delta: { stop_reason: "end_turn", container }, usage: { output_tokens: 1 } };
  assert.deepEqual(messages.answer.parseStreamEvent(EMPTY_READING, { event: "", data: JSON.stringify(delta) }).made, made);
  for (const other of [null, "container_011CQ", { id: 7 }]) {
    assert.deepEqual(messages.answer.readAnswer({ ...whole, container: other }).made, []);
  }
});
