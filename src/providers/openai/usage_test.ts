import assert from "node:assert/strict";
import { EMPTY_READING, type UsageReading } from "../../domain/reading.ts";
import { estimate, foldToolUsage, foldUsage, type UsageNames } from "./usage.ts";

const NAMES: UsageNames = {
  input: "input_tokens",
  inputDetails: "input_tokens_details",
  output: "output_tokens",
  outputDetails: "output_tokens_details",
};

function countsOf(usage: unknown, known: UsageReading = EMPTY_READING) {
  const { inputTokens, cacheReadInputTokens, cacheCreationInputTokens, outputTokens, tokenParts } = foldUsage(
    known,
    usage,
    NAMES,
  );
  return {
    input: inputTokens,
    read: cacheReadInputTokens,
    written: cacheCreationInputTokens,
    output: outputTokens,
    parts: tokenParts,
  };
}

function inputOf(input_tokens: unknown, input_tokens_details: unknown) {
  return countsOf({ input_tokens, input_tokens_details, output_tokens: 1 });
}

Deno.test("foldUsage() counts cache writes, which OpenAI bills since GPT-5.6 (trap 9)", () => {
  assert.equal(inputOf(5_000, { cached_tokens: 0, cache_write_tokens: 4_096 }).written, 4_096);
});

Deno.test("foldUsage() takes each input token once: a write is paid instead of the input, not on top of it (trap 10)", () => {
  const { input, read, written } = inputOf(18_014, { cached_tokens: 0, cache_write_tokens: 18_011 });
  assert.deepEqual([input, read, written], [3, 0, 18_011]);
  assert.equal(input + read + written, 18_014);
});

Deno.test("foldUsage() takes reads and writes out of the input, which includes them on the wire (trap 11)", () => {
  const rows: readonly (readonly [number, unknown, readonly [input: number, read: number, written: number]])[] = [
    [1_000, { cached_tokens: 600, cache_write_tokens: 300 }, [100, 600, 300]],
    [1_000, { cached_tokens: 1_000, cache_write_tokens: 0 }, [0, 1_000, 0]],
    [1_000, { cached_tokens: 900, cache_write_tokens: 200 }, [0, 900, 200]],
    [1_000, {}, [1_000, 0, 0]],
    [1_000, null, [1_000, 0, 0]],
    [1_000, undefined, [1_000, 0, 0]],
    [0, { cached_tokens: 0 }, [0, 0, 0]],
    [1_000, { cached_tokens: -5, cache_write_tokens: 1.5 }, [1_000, 0, 0]],
  ];
  for (const [total, details, expected] of rows) {
    const { input, read, written } = inputOf(total, details);
    assert.deepEqual([input, read, written], expected, JSON.stringify(details));
  }
});

Deno.test("foldUsage() keeps reads apart from the input, because their rate differs by model (trap 12)", () => {
  const usage = { input_tokens: 10_000, input_tokens_details: { cached_tokens: 9_000 }, output_tokens: 1 };
  const { inputTokens, cacheReadInputTokens } = foldUsage(EMPTY_READING, usage, NAMES);
  assert.deepEqual([inputTokens, cacheReadInputTokens], [1_000, 9_000]);
});

Deno.test("foldUsage() leaves reasoning inside the output, of which it is a part (trap 13)", () => {
  const usage = { input_tokens: 1, output_tokens: 640, output_tokens_details: { reasoning_tokens: 512 } };
  const { outputTokens, thinkingTokens } = foldUsage(EMPTY_READING, usage, NAMES);
  assert.deepEqual([outputTokens, thinkingTokens], [640, 512]);
});

Deno.test("foldUsage() splits writes by their lifetime, and takes them for 30-minute ones if nothing splits them", () => {
  const parts = (cache_write_tokens: unknown, split?: object) =>
    inputOf(9_000, { cached_tokens: 0, cache_write_tokens, cache_write_tokens_details: split }).parts;
  assert.deepEqual(parts(4_096), { write30m: 4_096 });
  assert.deepEqual(parts(4_096, { ttl_30m_tokens: 1_024, ttl_12h_tokens: 3_072 }), { write30m: 1_024, write12h: 3_072 });
  assert.deepEqual(parts(4_096, { ttl_30m_tokens: 0, ttl_12h_tokens: 4_096 }), { write12h: 4_096 });
  assert.deepEqual(parts(100, { ttl_30m_tokens: 0, ttl_12h_tokens: 4_096 }), { write12h: 100 });
  assert.deepEqual(parts(undefined, { ttl_30m_tokens: 10, ttl_12h_tokens: 20 }), { write30m: 10, write12h: 20 });
  assert.deepEqual(parts(0, { ttl_30m_tokens: 0, ttl_12h_tokens: 0 }), {});
});

Deno.test("foldUsage() names audio as parts of the counts, which hold it", () => {
  const usage = {
    input_tokens: 90,
    input_tokens_details: { audio_tokens: 70 },
    output_tokens: 60,
    output_tokens_details: { audio_tokens: 45 },
  };
  assert.deepEqual(countsOf(usage), {
    ...{ input: 90, read: 0, written: 0, output: 60 },
    parts: { audioInput: 70, audioOutput: 45 },
  });
});

Deno.test("foldUsage() replaces what was known as a whole, and leaves it alone if there is no usage", () => {
  const first = foldUsage(EMPTY_READING, {
    input_tokens: 100,
    input_tokens_details: { cached_tokens: 40, cache_write_tokens: 20 },
    output_tokens: 5,
  }, NAMES);
  assert.deepEqual(countsOf({ input_tokens: 90, output_tokens: 7 }, first), {
    ...{ input: 90, read: 0, written: 0, output: 7, parts: {} },
  });
  for (const nothing of [null, undefined, 7, "x", []]) assert.equal(foldUsage(first, nothing, NAMES), first);
});

Deno.test("foldUsage() and foldToolUsage() note a count that cannot be true", () => {
  const isAbsurd = (usage: object) => foldUsage(EMPTY_READING, usage, NAMES).hasAbsurdCount;
  assert.equal(isAbsurd({ input_tokens: 2e9, output_tokens: 1 }), true);
  assert.equal(isAbsurd({ input_tokens: 1, input_tokens_details: { cached_tokens: 2e9 } }), true);
  assert.equal(
    isAbsurd({ input_tokens: 1, input_tokens_details: { cache_write_tokens_details: { ttl_12h_tokens: 2e9 } } }),
    true,
  );
  assert.equal(isAbsurd({ input_tokens: 1, output_tokens_details: { reasoning_tokens: 2e9 } }), true);
  assert.equal(isAbsurd({ input_tokens: 1e9, output_tokens: 1e9 }), false);
  assert.equal(foldToolUsage(EMPTY_READING, { web_search: { num_requests: 2e9 } }).hasAbsurdCount, true);
});

Deno.test("foldToolUsage() keeps what hosted tools used beside the usage, and no zeros (trap 20)", () => {
  const uses = (value: unknown) => foldToolUsage(EMPTY_READING, value).serverToolUse;
  assert.deepEqual(uses({ web_search: { num_requests: 2 }, image_gen: { input_tokens: 0, output_tokens: 0, total_tokens: 0 } }), {
    web_search_requests: 2,
  });
  assert.deepEqual(
    uses({ image_gen: { input_tokens: 57, input_tokens_details: { text_tokens: 57 }, output_tokens: 9, total_tokens: 66 } }),
    { image_gen_input_tokens: 57, image_gen_output_tokens: 9 },
  );
  assert.deepEqual(uses({ future_tool: { num_calls: 3, name: "x" }, broken: 7 }), { future_tool_calls: 3 });
  const many = Object.fromEntries(Array.from({ length: 99 }, (_, n) => [`t${n}`, { num_calls: 1 }]));
  assert.equal(Object.keys(uses(many)).length, 32);
  const known = foldToolUsage(EMPTY_READING, { web_search: { num_requests: 2 } });
  for (const nothing of [null, undefined, 7, "x"]) assert.equal(foldToolUsage(known, nothing), known);
});

Deno.test("estimate() makes one token of four characters, and of four bytes of the request if no input was named", () => {
  const estimated = (reading: Partial<UsageReading>) => {
    const { inputTokens, outputTokens } = estimate({ ...EMPTY_READING, ...reading }, { requestBytes: 1_001 });
    return [inputTokens, outputTokens];
  };
  assert.deepEqual(estimated({ contentCharacters: 9, hasInput: false }), [251, 3]);
  assert.deepEqual(estimated({ contentCharacters: 9, inputTokens: 12, hasInput: true }), [12, 3]);
  assert.deepEqual(estimated({ contentCharacters: 9, inputTokens: 12, outputTokens: 40, hasInput: true }), [12, 40]);
  assert.deepEqual(estimated({ contentCharacters: 9, inputTokens: 12, outputTokens: 1, hasInput: true, hasFinalOutput: true }), [
    12,
    1,
  ]);
});
