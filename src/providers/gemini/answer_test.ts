import assert from "node:assert/strict";
import { EMPTY_READING, type UsageReading } from "../../domain/reading.ts";
import { estimate, parseNonStreamingResponse, parseStreamEvent } from "./answer.ts";

function read(...chunks: readonly unknown[]): UsageReading {
  return chunks.reduce<UsageReading>(
    (reading, chunk) => parseStreamEvent(reading, { event: "", data: JSON.stringify(chunk) }),
    EMPTY_READING,
  );
}

Deno.test("parseStreamEvent() counts thoughts beside the candidates, and cached tokens within the prompt (trap 13)", () => {
  const reading = read({
    usageMetadata: { promptTokenCount: 100, cachedContentTokenCount: 80, candidatesTokenCount: 7, thoughtsTokenCount: 50 },
  });
  const { inputTokens, cacheReadInputTokens, outputTokens, thinkingTokens } = reading;
  assert.deepEqual([inputTokens, cacheReadInputTokens, outputTokens, thinkingTokens], [20, 80, 57, 50]);
});

Deno.test("parseStreamEvent() adds nothing up: the same chunk twice is read as once (trap 40)", () => {
  const chunk = {
    candidates: [{ groundingMetadata: { webSearchQueries: ["a", "b"] } }],
    usageMetadata: {
      promptTokenCount: 100,
      cachedContentTokenCount: 80,
      toolUsePromptTokenCount: 9,
      candidatesTokenCount: 7,
      thoughtsTokenCount: 50,
      promptTokensDetails: [{ modality: "AUDIO", tokenCount: 60 }],
      cacheTokensDetails: [{ modality: "AUDIO", tokenCount: 40 }],
    },
  };
  assert.deepEqual(read(chunk, chunk), read(chunk));
  assert.deepEqual(read(chunk).tokenParts, { toolUseInput: 9, audioInput: 20, cachedAudio: 40 });
});

Deno.test("parseStreamEvent() makes no more cached tokens than the prompt has, and no more audio", () => {
  const reading = read({
    usageMetadata: {
      promptTokenCount: 10,
      cachedContentTokenCount: 80,
      promptTokensDetails: [{ modality: "AUDIO", tokenCount: 5 }],
      cacheTokensDetails: [{ modality: "AUDIO", tokenCount: 9 }],
    },
  });
  assert.deepEqual([reading.inputTokens, reading.cacheReadInputTokens, reading.tokenParts], [0, 10, { cachedAudio: 5 }]);
});

Deno.test("parseStreamEvent() is whole only while all candidates that came last have ended", () => {
  const text = { content: { parts: [{ text: "a" }] } };
  const signature = { content: { parts: [{ text: "", thoughtSignature: "x" }] } };
  const end = { finishReason: "STOP" };
  assert.equal(read({ candidates: [text] }).isWhole, false);
  assert.equal(read({ candidates: [end] }, { usageMetadata: { promptTokenCount: 1 } }).isWhole, true);
  assert.equal(read({ candidates: [end] }, { candidates: [signature] }).isWhole, true);
  assert.equal(read({ candidates: [end] }, { candidates: [text] }).isWhole, false);
  assert.equal(read({ candidates: [text, end] }).isWhole, false);
  assert.equal(read({ candidates: [{ finishReason: "FINISH_REASON_UNSPECIFIED" }] }).isWhole, false);
  assert.equal(read({ promptFeedback: { blockReason: "SAFETY" } }).isWhole, true);
  assert.equal(read({ promptFeedback: {} }).isWhole, false);
});

Deno.test("parseStreamEvent() takes an account without credit from the API's own words alone", () => {
  const error = (message: string, details?: unknown) => read({ error: { code: 429, message, details } }).isOutOfCredit;
  assert.equal(error("Your prepayment credits are depleted. Please go to AI Studio."), true);
  assert.equal(error("Your project has exceeded its monthly spending cap."), true);
  assert.equal(error("Invalid value: Your prepayment credits are depleted"), false);
  assert.equal(error("Resource has been exhausted (e.g. check quota)."), false);
  assert.equal(error("Off.", [{ reason: "BILLING_DISABLED" }]), true);
  assert.equal(error("Off.", "BILLING_DISABLED"), false);
});

Deno.test("parseStreamEvent() names an error by its status, otherwise by its code", () => {
  assert.equal(read({ error: { code: 503, status: "UNAVAILABLE" } }).errorType, "UNAVAILABLE");
  assert.equal(read({ error: { code: 429 } }).errorType, "RESOURCE_EXHAUSTED");
  assert.equal(read({ error: {} }).errorType, "error");
  assert.equal(read({ error: "no" }).errorType, null);
});

Deno.test("estimate() makes one token of 4 characters, never fewer than named, and leaves the upstream's last word alone", () => {
  const estimated = (reading: Partial<UsageReading>) => estimate({ ...EMPTY_READING, ...reading }).outputTokens;
  assert.deepEqual([0, 8, 9].map((contentCharacters) => estimated({ contentCharacters })), [0, 2, 3]);
  const named = [{ outputTokens: 40 }, { outputTokens: 1, hasFinalOutput: true }];
  assert.deepEqual(named.map((reading) => estimated({ contentCharacters: 8, ...reading })), [40, 1]);
});

Deno.test("parseNonStreamingResponse() survives arguments that are nested 1,000,000 deep", () => {
  const depth = 1_000_000;
  const args = `{"a":${"[".repeat(depth)}${"]".repeat(depth)}}`;
  const body = `{"candidates":[{"content":{"parts":[{"functionCall":{"args":${args}}}]},"finishReason":"STOP"}],` +
    `"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4}}`;
  const { outputTokens, isWhole } = parseNonStreamingResponse(body);
  assert.deepEqual([outputTokens, isWhole], [4, true]);
});

Deno.test("parseStreamEvent() throws on nothing and makes no impossible count, on 30,000 seeded mutations", () => {
  let state = 11;
  const below = (n: number) => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return Math.floor((state >>> 0) / 2 ** 32 * n);
  };
  const odd = [null, -1, 1.5, 1e300, "5", "", [], {}, true, "__proto__", [null], { tokenCount: -3 }, Number.MAX_SAFE_INTEGER, 0];
  const keys = [
    ...["candidates", "content", "parts", "text", "functionCall", "args", "partialArgs", "finishReason", "promptFeedback"],
    ...["blockReason", "usageMetadata", "promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount"],
    ...["thoughtsTokenCount", "toolUsePromptTokenCount", "totalTokenCount", "promptTokensDetails", "modality", "tokenCount"],
    ...["groundingMetadata", "webSearchQueries", "groundingChunks", "maps", "error", "status", "code", "details", "modelVersion"],
  ];
  const value = (depth: number): unknown => {
    if (depth === 0 || below(3) === 0) return below(2) === 0 ? below(100) : odd[below(odd.length)];
    if (below(3) === 0) return Array.from({ length: below(3) }, () => value(depth - 1));
    return Object.fromEntries(Array.from({ length: 1 + below(5) }, () => [keys[below(keys.length)]!, value(depth - 1)]));
  };
  let reading: UsageReading = EMPTY_READING;
  for (let round = 0; round < 30_000; round++) {
    if (round % 20 === 0) reading = EMPTY_READING;
    reading = parseStreamEvent(reading, { event: "", data: JSON.stringify(value(5)) });
    const counts = [...Object.values(reading), ...Object.values(reading.tokenParts), ...Object.values(reading.serverToolUse)];
    for (const count of counts) assert.ok(typeof count !== "number" || (Number.isSafeInteger(count) && count >= 0));
    assert.ok(reading.thinkingTokens <= reading.outputTokens);
  }
});
