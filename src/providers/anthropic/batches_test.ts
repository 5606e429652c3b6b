import assert from "node:assert/strict";
import { anthropic } from "./anthropic.ts";

const { parseStatus, parseLine } = anthropic.batches;

Deno.test("parseStatus() knows a batch that runs, one that has ended and how many lines it has", () => {
  const counts = { processing: 1, succeeded: 2, errored: 3, canceled: 4, expired: 5 };
  const running = { processing_status: "in_progress", request_counts: counts, results_url: null };
  assert.deepEqual(parseStatus(JSON.stringify(running)), { hasEnded: false, hasResults: false, lines: 15 });
  const ended = { processing_status: "ended", request_counts: { ...counts, processing: 0 }, results_url: "https://x/y" };
  assert.deepEqual(parseStatus(JSON.stringify(ended)), { hasEnded: true, hasResults: true, lines: 14 });
  assert.equal(parseStatus(JSON.stringify({ ...ended, request_counts: { succeeded: "2" } }))?.lines, null);
  for (const nothing of ["", "{}", "null", "[]", "no JSON", '{"type":"error"}']) assert.equal(parseStatus(nothing), null);
});

Deno.test("parseLine() reads the message of a line that succeeded, and of the others why they did not", () => {
  const usage = { input_tokens: 3, output_tokens: 5, service_tier: "batch" };
  const message = { id: "msg_1", type: "message", model: "claude-haiku-4-5", stop_reason: "end_turn", usage };
  const line = parseLine(JSON.stringify({ custom_id: "a", result: { type: "succeeded", message } }));
  const { messageId, servedModel, inputTokens, outputTokens, serviceTier, hasInput, hasFinalOutput } = line!.reading;
  assert.deepEqual(
    [
      line!.customId,
      line!.hasSucceeded,
      messageId,
      servedModel,
      inputTokens,
      outputTokens,
      serviceTier,
      hasInput,
      hasFinalOutput,
    ],
    ["a", true, "msg_1", "claude-haiku-4-5", 3, 5, "batch", true, true],
  );
  const why = (result: unknown) => parseLine(JSON.stringify({ custom_id: "a", result }))?.reading.errorType;
  assert.equal(why({ type: "errored", error: { type: "error", error: { type: "overloaded_error" } } }), "overloaded_error");
  assert.equal(why({ type: "errored", error: { type: "api_error" } }), "api_error");
  assert.deepEqual([why({ type: "canceled" }), why({ type: "expired" }), why({})], ["canceled", "expired", "error"]);
  for (const nothing of ["", "{}", '{"custom_id":"a"}', '{"custom_id":1,"result":{}}', "no JSON"]) {
    assert.equal(parseLine(nothing), null);
  }
});
