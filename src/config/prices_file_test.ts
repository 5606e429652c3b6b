import assert from "node:assert/strict";
import { BILLINGS } from "../../tests/anthropic.ts";
import { EMPTY_READING } from "../domain/reading.ts";
import { CLAUDE_PRICES } from "../pricing/claude_prices.ts";
import { priceOf } from "../pricing/price_of.ts";
import { ConfigProblems } from "./settings_reader.ts";
import { parsePriceList } from "./prices_file.ts";

const PATH = "/etc/llmproxy/prices.json";
const TIER = { input: "1", write5m: "1.25", write1h: "2", read: "0.1", output: 5 };
const PERIOD = { from: "2026-12-01", fastPercent: null, tiers: [TIER] };

function parse(value: unknown, text = JSON.stringify(value)) {
  return parsePriceList(text, { path: PATH, base: CLAUDE_PRICES });
}

function problemsOf(value: unknown, text?: string): readonly string[] {
  try {
    parse(value, text);
  } catch (error) {
    assert.ok(error instanceof ConfigProblems);
    return error.problems;
  }
  return [];
}

Deno.test("parsePriceList() adds models and tools, and overrides ours from the file's first day on", () => {
  const list = parse({
    models: { "house-model": [{ ...PERIOD, from: "2026-01-01" }], "claude-opus-5-5": [{ ...PERIOD, fastPercent: 150 }] },
    serverTools: { code_execution_requests: [{ from: "2026-01-01", usdPerUse: 0.05 }] },
  });
  const cost = (model: string, day: string, tools = {}) => {
    const row = {
      ...EMPTY_READING,
      kind: "message",
      provider: "anthropic",
      servedModel: model,
      inputTokens: 1_000,
      serverToolUse: tools,
    } as const;
    const cost = priceOf(list, BILLINGS)(row, Date.parse(day));
    return cost.isPriced ? cost.nanoDollars : cost.why;
  };
  assert.equal(cost("house-model", "2026-11-24"), 1_000_000);
  assert.equal(cost("house-model", "2025-12-31"), "model");
  assert.equal(cost("claude-opus-5-5", "2026-11-30T23:59:59.999Z"), 4_000_000);
  assert.equal(cost("claude-opus-5-5", "2026-12-01"), 1_000_000);
  assert.equal(cost("claude-opus-5", "2026-12-01"), 5_000_000);
  assert.equal(cost("claude-opus-5", "2026-12-01", { code_execution_requests: 2, web_search_requests: 1 }), 115_000_000);
});

Deno.test("parsePriceList() takes our own list as a file, and changes nothing by it but the version", () => {
  const { version: _version, ...prices } = CLAUDE_PRICES;
  const { version, ...list } = parse(prices);
  assert.deepEqual(list, prices);
  assert.match(version, /^2026-11-28\+[0-9a-f]{8}$/);
});

Deno.test("parsePriceList() takes ends of periods, all kinds of tokens, service tiers and other sellers' tools", () => {
  const tier = { input: "1", write30m: "1.25", write12h: 2.5, read: "0.1", output: "5", audioInput: "3", audioOutput: "9" };
  const list = parse({
    models: {
      m: [
        {
          from: "2026-01-01",
          until: "2026-02-01",
          fastPercent: null,
          tiers: [{ ...tier, serviceTierPercent: { priority: 250 } }],
        },
        { from: "2026-03-01", fastPercent: null, tiers: [{ ...tier, cachedAudio: "0.3" }] },
      ],
    },
    sellerTools: { openai: { web_search_requests: [{ from: "2026-01-01", until: "2026-03-01", usdPerUse: "0.01" }] } },
  });
  const cost = (day: string, given = {}) => {
    const row = {
      ...EMPTY_READING,
      kind: "message",
      provider: "openai",
      servedModel: "m",
      inputTokens: 1_000,
      ...given,
    } as const;
    const cost = priceOf(list, BILLINGS)(row, Date.parse(day));
    return cost.isPriced ? [cost.nanoDollars, cost.unpricedUses] : cost.why;
  };
  const search = { serverToolUse: { web_search_requests: 1 } };
  assert.deepEqual(cost("2026-01-31T23:59:59.999Z", { ...search, serviceTier: "fast" }), [2_500_000 + 10_000_000, {}]);
  assert.equal(cost("2026-02-01"), "model");
  assert.deepEqual(cost("2026-03-01", search), [1_000_000, { web_search_requests: 1 }]);
  assert.equal(cost("2026-03-01", { serviceTier: "fast" }), "tier");
  const audio = { cacheReadInputTokens: 100, tokenParts: { audioInput: 400, cachedAudio: 10 } };
  assert.deepEqual(cost("2026-03-01", audio), [600 * 1_000 + 400 * 3_000 + 90 * 100 + 10 * 300, {}]);
});

Deno.test("parsePriceList() takes a file for Claude alone that was written before other sellers had prices", () => {
  const before = {
    models: {
      "claude-next": [
        { from: "2026-01-01", fastPercent: 200, tiers: [TIER, { promptFrom: 100_001, ...TIER, input: "2" }] },
      ],
    },
    serverTools: { web_search_requests: [{ from: "2026-01-01", usdPerUse: "0.02" }] },
    refusals: [],
  };
  const list = parse(before);
  assert.deepEqual(list.serverTools.web_search_requests?.map(({ usdPerUse }) => usdPerUse), ["0.01", "0.02"]);
  const row = { ...EMPTY_READING, kind: "message", servedModel: "claude-next", inputTokens: 1_000, speed: "fast" } as const;
  const at = Date.parse("2026-11-24");
  for (const provider of ["anthropic", "gcp.vertex_ai"]) {
    const cost = priceOf(list, BILLINGS)({ ...row, provider, inferenceGeo: "global" }, at);
    assert.equal(cost.isPriced && cost.nanoDollars, 2_000_000, provider);
  }
});

Deno.test("parsePriceList() returns another version for another content", () => {
  // printf '{}' | sha256sum
  assert.equal(parse({}).version, "2026-11-28+44136fa3");
  assert.equal(parse({}).version, parse({}).version);
  assert.notEqual(
    parse({ models: { m: [PERIOD] } }).version,
    parse({ models: { m: [{ ...PERIOD, from: "2026-12-02" }] } }).version,
  );
});

Deno.test("parsePriceList() takes prices as text and as numbers alike, to the last place", () => {
  const inputOf = (input: unknown) =>
    parse({ models: { m: [{ ...PERIOD, tiers: [{ ...TIER, input }] }] } }).models.m![0]!.tiers[0]!.input;
  for (const price of ["0", "8", "0.1", "12.5", "0.000001", "999999.999999"]) {
    assert.equal(inputOf(price), price);
    assert.equal(Number(inputOf(Number(price))), Number(price));
  }
});

const REFUSED: readonly (readonly [unknown, string])[] = [
  [[], `Cannot read ${PATH} as an object with "models", "serverTools", "sellerTools" and "refusals": current value is []`],
  [{ model: {} }, `Cannot use model of ${PATH}: there is no such key`],
  [{ models: [] }, `Cannot read models of ${PATH} as an object of periods by model id: current value is []`],
  [{ models: { "a b": [PERIOD] } }, `Cannot read models["a b"] of ${PATH} as a name of 1 to 256 visible ASCII characters`],
  [
    { models: { m: [] } },
    `Cannot read models.m of ${PATH} as periods, at least one, in the order of their dates: current value is []`,
  ],
  [
    { models: { "claude-opus-5": [3] } },
    `Cannot read models["claude-opus-5"][0] of ${PATH} as a period: an object with from and its prices: current value is 3`,
  ],
  [
    { models: { tiers: [{ ...PERIOD, from: "2026-02-30" }] } },
    `Cannot read models.tiers[0].from of ${PATH} as a day such as 2026-10-07; the prices hold from its start in UTC: ` +
    `current value is "2026-02-30"`,
  ],
  [
    { models: { m: [{ ...PERIOD, fastPercent: 0 }] } },
    `Cannot read models.m[0].fastPercent of ${PATH} as a whole number from 1 to 10000, or null where fast is not offered: ` +
    `current value is 0`,
  ],
  [
    { models: { m: [{ from: "2026-12-01", tiers: [TIER] }] } },
    `Cannot read models.m[0].fastPercent of ${PATH} as a whole number from 1 to 10000, or null where fast is not offered: it is missing`,
  ],
  [
    { models: { m: [{ ...PERIOD, tiers: [{ ...TIER, inputs: 1 }] }] } },
    `Cannot use models.m[0].tiers[0].inputs of ${PATH}: there is no such key`,
  ],
  [
    { models: { m: [{ ...PERIOD, tiers: [{ ...TIER, promptFrom: 1 }] }] } },
    `Cannot read models.m[0].tiers of ${PATH} as tiers, at least one, in the order of promptFrom, the first from 0 on: current value is ` +
    `[{"promptFrom":1,"input":"1","write5m":"1.25","write1h":"2","read":"0.1","output":"5"}]`,
  ],
  [
    { serverTools: { dig: [{ from: "2026-01-01", until: "2026-01-01", usdPerUse: "1" }] } },
    `Cannot read serverTools.dig of ${PATH} as periods that end behind their first day, and no later than the next begins: ` +
    `current value is [{"from":"2026-01-01","until":"2026-01-01","usdPerUse":"1"}]`,
  ],
  [
    {
      serverTools: { dig: [{ from: "2026-01-01", until: "2026-01-03", usdPerUse: "1" }, { from: "2026-01-02", usdPerUse: "2" }] },
    },
    `Cannot read serverTools.dig of ${PATH} as periods that end behind their first day, and no later than the next begins: ` +
    `current value is [{"from":"2026-01-01","until":"2026-01-03","usdPerUse":"1"},{"from":"2026-01-02","usdPerUse":"2"}]`,
  ],
  [
    { models: { m: [{ ...PERIOD, until: "soon" }] } },
    `Cannot read models.m[0].until of ${PATH} as a day such as 2026-11-22; the prices end at its start in UTC: current value is "soon"`,
  ],
  [
    { models: { m: [{ ...PERIOD, tiers: [{ ...TIER, serviceTierPercent: { fast: 200 } }] }] } },
    `Cannot use models.m[0].tiers[0].serviceTierPercent.fast of ${PATH}: there is no such key`,
  ],
  [
    { models: { m: [{ ...PERIOD, tiers: [{ ...TIER, serviceTierPercent: { flex: 0.5 } }] }] } },
    `Cannot read models.m[0].tiers[0].serviceTierPercent.flex of ${PATH} as percent of the prices, a whole number from 1 to 10000: ` +
    `current value is 0.5`,
  ],
  [
    { sellerTools: { openai: [] } },
    `Cannot read sellerTools.openai of ${PATH} as an object of periods by counter, such as "web_search_requests": current value is []`,
  ],
  [
    { serverTools: { dig: [{ from: "2026-12-01", usdPerUse: "0.0000000001" }] } },
    `Cannot read serverTools.dig[0].usdPerUse of ${PATH} as US dollars a use with at most nine decimal places, such as "0.01": ` +
    `current value is "0.0000000001"`,
  ],
  [
    { refusals: {} },
    `Cannot read refusals of ${PATH} as periods in the order of their dates: current value is {}`,
  ],
  [
    { refusals: [7] },
    `Cannot read refusals[0] of ${PATH} as a period: an object with from, billed and notBilled: current value is 7`,
  ],
  [
    { refusals: [{ from: "2026-12-01", billed: ["bio", 3], notBilled: "others" }] },
    `Cannot read refusals[0].billed[1] of ${PATH} as categories such as "bio", or null for a refusal that names none: current value is 3`,
  ],
  [
    { refusals: [{ from: "2026-12-01", billed: [], notBilled: "all" }] },
    `Cannot read refusals[0].notBilled of ${PATH} as categories such as "cyber" or null, or "others" for all that are not billed: ` +
    `current value is "all"`,
  ],
];

for (const [value, problem] of REFUSED) {
  Deno.test(`parsePriceList() refuses the whole file: ${problem.replaceAll(PATH, "it")}`, () => {
    assert.deepEqual(problemsOf(value), [problem]);
  });
}

Deno.test("parsePriceList() takes no price that is less than nothing, not finite, in another notation or finer than it could hold", () => {
  for (const input of ["-1", -1, "1e3", 1e-7, "1,5", "", " 1", "NaN", "1000000", true, null, [1], "0.0000001"]) {
    const [problem, ...others] = problemsOf({ models: { m: [{ ...PERIOD, tiers: [{ ...TIER, input }] }] } });
    assert.match(
      problem ?? "",
      /^Cannot read models\.m\[0\]\.tiers\[0\]\.input of .* as US dollars per million tokens .*: current value is /,
    );
    assert.deepEqual(others, []);
  }
});

Deno.test("parsePriceList() takes no periods of one day twice, or in another order than their dates'", () => {
  for (const days of [["2026-12-01", "2026-12-01"], ["2026-12-02", "2026-12-01"]]) {
    const rows = days.map((from) => ({ ...PERIOD, from }));
    assert.match(problemsOf({ models: { m: rows } }).join(), /in the order of their dates/);
    assert.match(
      problemsOf({ serverTools: { m: days.map((from) => ({ from, usdPerUse: 1 })) } }).join(),
      /in the order of their dates/,
    );
  }
});

Deno.test("parsePriceList() names all that is wrong at once", () => {
  assert.equal(problemsOf({ models: { m: [{ ...PERIOD, from: 1 }], n: [7] }, more: 1 }).length, 3);
});

Deno.test("parsePriceList() says at which position a text stops being JSON, and shows nothing of it", () => {
  assert.deepEqual(problemsOf(null, '{"models" 1}'), [`Cannot read ${PATH} as JSON at position 10 (line 1 column 11)`]);
  for (const text of ["sk-ant-secret", '{"models": sk-ant-secret}', ""]) {
    const [problem, ...others] = problemsOf(null, text);
    assert.match(problem ?? "", /^Cannot read .*prices\.json as JSON( at position \d+ .*)?$/);
    assert.ok(!problem!.includes("secret"));
    assert.deepEqual(others, []);
  }
});
