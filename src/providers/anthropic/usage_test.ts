import assert from "node:assert/strict";
import { EMPTY_READING, type UsageReading } from "../../domain/reading.ts";
import { foldUsage } from "./usage.ts";

const KNOWN: UsageReading = {
  ...EMPTY_READING,
  inputTokens: 25,
  outputTokens: 3,
  cacheCreationInputTokens: 100,
  cacheReadInputTokens: 40,
  cacheCreation5mTokens: 60,
  cacheCreation1hTokens: 40,
  thinkingTokens: 2,
  serverToolUse: { web_search_requests: 1 },
  serviceTier: "standard",
  inferenceGeo: "us",
  speed: "fast",
  iterations: [{ type: "message", input_tokens: 25 }],
};

Deno.test("foldUsage() returns the very same reading if usage is not an object, and an equal one if it is empty", () => {
  for (const usage of [undefined, null, 7, "x", [], true]) assert.equal(foldUsage(KNOWN, usage), KNOWN);
  assert.deepEqual(foldUsage(KNOWN, {}), KNOWN);
});

Deno.test("foldUsage() takes only whole numbers of zero or more as counts, and only texts as text", () => {
  for (const value of [-1, 1.5, NaN, "", true, null, undefined, [], {}]) {
    const usage = {
      input_tokens: value,
      output_tokens: value,
      cache_creation_input_tokens: value,
      cache_read_input_tokens: value,
      cache_creation: { ephemeral_5m_input_tokens: value, ephemeral_1h_input_tokens: value },
      output_tokens_details: { thinking_tokens: value },
      server_tool_use: { web_search_requests: value },
      service_tier: value,
      inference_geo: value,
      speed: value,
      iterations: value,
    };
    assert.deepEqual(foldUsage(KNOWN, usage), KNOWN, String(value));
  }
  assert.deepEqual(foldUsage(KNOWN, { input_tokens: "7", output_tokens: "7", cache_read_input_tokens: "7" }), KNOWN);
});

Deno.test("foldUsage() takes no count above a thousand million, and says so for good, wherever one is named", () => {
  const most = 1_000_000_000;
  const counts = ["input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "new_kind_tokens"];
  const places: ((count: number) => object)[] = [
    ...counts.map((name) => (count: number) => ({ [name]: count })),
    ...counts.map((name) => (count: number) => ({ iterations: [{ type: "message", [name]: count }] })),
    (count) => ({ cache_creation: { ephemeral_5m_input_tokens: count } }),
    (count) => ({ cache_creation: { ephemeral_1h_input_tokens: count } }),
    (count) => ({ output_tokens_details: { thinking_tokens: count } }),
    (count) => ({ server_tool_use: { web_search_requests: count } }),
    (count) => ({ iterations: [{ cache_creation: { ephemeral_1h_input_tokens: count } }] }),
  ];
  for (const place of places) {
    assert.equal(foldUsage(EMPTY_READING, place(most)).hasAbsurdCount, false, JSON.stringify(place(most)));
    for (const count of [most + 1, 2 ** 53 - 1, 2 ** 53, 1e300, Infinity]) {
      const reading = foldUsage(KNOWN, place(count));
      assert.deepEqual(
        { ...reading, iterations: [] },
        { ...KNOWN, iterations: [], hasAbsurdCount: true },
        JSON.stringify(place(count)),
      );
      assert.equal(foldUsage(reading, { input_tokens: 7 }).hasAbsurdCount, true);
    }
  }
  // What is no count may be as large as it likes: a time, for example.
  const timed = { queued_at: 1_790_000_000_000, iterations: [{ type: "message", started_at: 1_790_000_000_000 }] };
  assert.deepEqual(foldUsage(KNOWN, timed), { ...KNOWN, iterations: timed.iterations });
});

Deno.test("foldUsage() lets zeros overwrite the output and the thinking, but neither the input nor a cache count", () => {
  const usage = {
    input_tokens: 0,
    output_tokens: 0,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
    output_tokens_details: { thinking_tokens: 0 },
  };
  assert.deepEqual(foldUsage(KNOWN, usage), { ...KNOWN, outputTokens: 0, thinkingTokens: 0, hasInput: true });
});

Deno.test("foldUsage() keeps the input as named when a later usage is silent about it", () => {
  const named = foldUsage(EMPTY_READING, { input_tokens: 4 });
  assert.deepEqual(foldUsage(named, { output_tokens: 9 }), { ...EMPTY_READING, inputTokens: 4, outputTokens: 9, hasInput: true });
});

Deno.test("foldUsage() keeps 5-minute and 1-hour writes summing to the total, whatever the upstream names of the three", () => {
  const parts = (usage: object, before = EMPTY_READING) => {
    const reading = foldUsage(before, usage);
    return [reading.cacheCreationInputTokens, reading.cacheCreation5mTokens, reading.cacheCreation1hTokens];
  };
  const split = (m: number | null, h: number | null) => ({ ephemeral_5m_input_tokens: m, ephemeral_1h_input_tokens: h });
  const rows: [object, number[]][] = [
    [{ cache_creation_input_tokens: 10 }, [10, 10, 0]],
    [{ cache_creation_input_tokens: 10, cache_creation: null }, [10, 10, 0]],
    [{ cache_creation_input_tokens: 10, cache_creation: split(2, 3) }, [10, 7, 3]],
    [{ cache_creation_input_tokens: 10, cache_creation: split(null, 10) }, [10, 0, 10]],
    [{ cache_creation_input_tokens: 10, cache_creation: split(9, 12) }, [10, 0, 10]],
    [{ cache_creation: split(4, 5) }, [9, 4, 5]],
    [{ cache_creation_input_tokens: 0, cache_creation: split(4, 5) }, [9, 4, 5]],
    [{ cache_creation: split(2 ** 53 - 1, 2 ** 53 - 1) }, [0, 0, 0]],
    [{ cache_creation: split(1e9, 1e9) }, [2e9, 1e9, 1e9]],
  ];
  for (const [usage, expected] of rows) assert.deepEqual(parts(usage), expected, JSON.stringify(usage));
  assert.deepEqual(parts({ cache_creation_input_tokens: 150 }, KNOWN), [150, 110, 40]);
  assert.deepEqual(parts({ cache_creation_input_tokens: 30 }, KNOWN), [30, 0, 30]);
  assert.deepEqual(parts({ cache_creation: split(0, 0) }, KNOWN), [100, 60, 40]);
  assert.deepEqual(parts({ cache_creation: split(10, 20) }, KNOWN), [100, 80, 20]);
});

Deno.test("foldUsage() replaces iterations by the latest list that holds any, bounded and without what no one knows", () => {
  for (const none of [[], null, {}, "x", [null, 7, [1]]]) {
    assert.deepEqual(foldUsage(KNOWN, { iterations: none }).iterations, KNOWN.iterations);
  }
  const entry = {
    type: "x".repeat(300),
    n: 1,
    bad: -1,
    half: 0.5,
    yes: true,
    list: [1],
    deep: { n: 2, deeper: { n: 3 } },
    none: null,
  };
  const { iterations } = foldUsage(KNOWN, { iterations: [entry, ...Array.from({ length: 200 }, (_, n) => ({ n }))] });
  assert.equal(iterations.length, 100);
  assert.deepEqual(iterations.slice(0, 2), [{ type: "x".repeat(256), n: 1, deep: { n: 2 }, none: null }, { n: 0 }]);
  const wide = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`key${n}`, n]));
  assert.equal(Object.keys(foldUsage(KNOWN, { iterations: [wide] }).iterations[0]!).length, 32);
});

Deno.test("foldUsage() merges server tool counts by key, takes numbers only, and keeps at most 32 keys with short names", () => {
  const uses = (use: unknown) => foldUsage(KNOWN, { server_tool_use: use }).serverToolUse;
  assert.deepEqual(uses({ web_fetch_requests: 2, note: "x" }), { web_search_requests: 1, web_fetch_requests: 2 });
  assert.deepEqual(uses({ web_search_requests: 4 }), { web_search_requests: 4 });
  assert.deepEqual(uses({ ["k".repeat(300)]: 1 }), { web_search_requests: 1, ["k".repeat(256)]: 1 });
  const many = Object.fromEntries(Array.from({ length: 99 }, (_, n) => [`t${n}`, n]));
  assert.equal(Object.keys(uses(many)).length, 32);
  const full = { ...KNOWN, serverToolUse: uses(many) };
  const later = foldUsage(full, { server_tool_use: { web_search_requests: 9, new_one: 1 } });
  assert.deepEqual(later.serverToolUse, { ...full.serverToolUse, web_search_requests: 9 });
  const usage = JSON.parse('{"server_tool_use":{"__proto__":5},"iterations":[{"__proto__":{"n":1},"n":2}]}');
  const reading = foldUsage(KNOWN, usage);
  assert.deepEqual(reading.serverToolUse, { web_search_requests: 1 });
  assert.deepEqual(reading.iterations, [{ n: 2 }]);
});
