import assert from "node:assert/strict";
import { BILLINGS } from "./anthropic.ts";
import { readParquet } from "./exported_rows.ts";
import { focusLines, focusSpecification, nanoDollarsOfDecimal, problemsOf } from "./focus_rows.ts";
import { seededRandom } from "./conformance/samples.ts";
import { costUsd } from "../src/domain/money.ts";
import type { UsageRecord } from "../src/domain/usage_record.ts";
import { EMPTY_READING } from "../src/domain/reading.ts";
import { PRICES } from "../src/pricing/prices.ts";
import { chargesOf, priceOf } from "../src/pricing/price_of.ts";
import { encoderOf } from "../src/export/encoder.ts";
import { sharesOf } from "../src/export/focus/parts.ts";
import { FOCUS_COLUMNS } from "../src/export/focus/columns.ts";

const T0 = Date.parse("2026-11-30T22:10:00Z");
const HOUR_MS = 3_600_000;
const price = priceOf(PRICES, BILLINGS);
const charges = chargesOf(PRICES, BILLINGS);
const SPECIFIED = focusSpecification();

const ROW: UsageRecord = {
  ...{ id: "ar-1", traceId: "at-1", sandboxId: "sb-1", workspaceId: "acme", provider: "anthropic" },
  ...{ model: "claude-sonnet-4-6", requestedModel: "claude-sonnet-4-6", kind: "message", streaming: true },
  ...{ createdAt: T0, duration: 1_000, ttft: 100, outcome: "completed", accuracy: "exact", requestBytes: 10 },
  ...{ inputTokens: 0, outputTokens: 0, cacheCreationInputTokens: 0, cacheReadInputTokens: 0 },
  ...{ cacheCreation5mInputTokens: 0, cacheCreation1hInputTokens: 0, thinkingTokens: 0, credentialId: "api-key-0a1b2c3d" },
};

Deno.test("FOCUS_COLUMNS has every mandatory column of FOCUS 1.4, in its order and of its type, and marks its own with x_", () => {
  const specified = new Map(SPECIFIED.map((column) => [column.name, column]));
  const ours = FOCUS_COLUMNS.filter(({ name }) => !name.startsWith("x_"));
  const names = ours.map(({ name }) => name);
  const mandatory = SPECIFIED.filter(({ level }) => level === "mandatory").map(({ name }) => name);
  assert.equal(mandatory.length, 21);
  assert.deepEqual(mandatory.filter((name) => !names.includes(name)), []);
  assert.deepEqual(names, SPECIFIED.map(({ name }) => name).filter((name) => names.includes(name)));
  assert.deepEqual(FOCUS_COLUMNS.map(({ name }) => name).slice(0, names.length), names, "custom columns are the last");
  const types = { String: "text", JSON: "text", Decimal: "decimal", "Date/Time": "time" } as const;
  for (const { name, kind, isNullable } of ours) {
    const { type, allowsNull } = specified.get(name)!;
    assert.equal(kind, types[type], name);
    assert.ok(allowsNull || !isNullable, `${name} is null nowhere`);
  }
});

Deno.test("focus: one credential's calls through two upstreams are charges of their own, whose tags name the upstream", () => {
  const used = { inputTokens: 1_000 };
  const lines = focusOf([priced({ ...used, upstream: "eu" }), priced({ ...used, upstream: "us" }), priced(used)]);
  assert.deepEqual(lines.map((line) => [JSON.parse(line.Tags!)["llmproxy/upstream"], line.BilledCost]), [
    ["eu", "0.003"],
    ["us", "0.003"],
    // From before upstreams had names.
    [undefined, "0.003"],
  ]);
});

Deno.test("focus: a call becomes a charge for each kind of token, at the list's price", () => {
  const reading = { inputTokens: 1_000, outputTokens: 200, cacheCreationInputTokens: 60, cacheReadInputTokens: 50_000 };
  const lines = focusOf([priced({ ...reading, cacheCreation5mInputTokens: 20, cacheCreation1hInputTokens: 40 })]);
  // Dollars per million tokens: 3, 3.75, 6, 0.30 and 15.
  assert.deepEqual(lines.map((line) => [line.SkuPriceId, line.ListUnitPrice, line.PricingQuantity, line.BilledCost]), [
    ["claude-sonnet-4-6/input", "3", "0.001", "0.003"],
    ["claude-sonnet-4-6/cache-write-5m", "3.75", "0.00002", "0.000075"],
    ["claude-sonnet-4-6/cache-write-1h", "6", "0.00004", "0.00024"],
    ["claude-sonnet-4-6/cache-read", "0.3", "0.05", "0.015"],
    ["claude-sonnet-4-6/output", "15", "0.0002", "0.003"],
  ]);
  assert.deepEqual(lines[0], {
    BilledCost: "0.003",
    BillingAccountId: "api-key-0a1b2c3d",
    BillingAccountName: "",
    BillingCurrency: "USD",
    BillingPeriodEnd: "2026-12-01T00:00:00Z",
    BillingPeriodStart: "2026-11-01T00:00:00Z",
    ChargeCategory: "Usage",
    ChargeClass: "",
    ChargeDescription: "Input Tokens of claude-sonnet-4-6",
    ChargeFrequency: "Usage-Based",
    ChargePeriodEnd: "2026-11-30T23:00:00Z",
    ChargePeriodStart: "2026-11-30T22:00:00Z",
    ConsumedQuantity: "1000",
    ConsumedUnit: "Tokens",
    ContractedCost: "0.003",
    EffectiveCost: "0.003",
    HostProviderName: "Anthropic",
    InvoiceIssuerName: "Anthropic",
    ListCost: "0.003",
    ListUnitPrice: "3",
    PricingCategory: "Standard",
    PricingQuantity: "0.001",
    PricingUnit: "1000000 Tokens",
    RegionId: "",
    RegionName: "",
    ResourceId: "acme/sb-1",
    ResourceName: "sb-1",
    ResourceType: "Sandbox",
    ServiceCategory: "AI and Machine Learning",
    ServiceName: "Claude API",
    ServiceProviderName: "Anthropic",
    ServiceSubcategory: "Generative AI",
    SkuId: "claude-sonnet-4-6/input",
    SkuMeter: "Input Tokens",
    SkuPriceDetails: '{"x_Model":"claude-sonnet-4-6","x_Meter":"input"}',
    SkuPriceId: "claude-sonnet-4-6/input",
    SubAccountId: "acme",
    SubAccountName: "acme",
    Tags: '{"llmproxy/workspace":"acme","llmproxy/sandbox":"sb-1","llmproxy/model":"claude-sonnet-4-6"}',
    x_Accuracy: "exact",
  });
});

Deno.test("focus: calls of one hour are one charge, and those of the next hour, another sandbox or another price are others", () => {
  const row = { inputTokens: 500_000 };
  const lines = focusOf([
    priced(row),
    priced({ ...row, sandboxId: "sb-2" }),
    priced({ ...row, serviceTier: "batch", kind: "batch_line" }),
    priced({ ...row, inferenceGeo: "us" }),
    priced(row),
    priced({ ...row, createdAt: T0 + HOUR_MS }),
    priced({ ...row, createdAt: T0 + 2 * HOUR_MS }),
  ]);
  assert.deepEqual(
    lines.map((line) => [line.ChargePeriodStart, line.ResourceName, line.SkuPriceId, line.ListUnitPrice, line.EffectiveCost]),
    [
      ["2026-11-30T22:00:00Z", "sb-1", "claude-sonnet-4-6/input", "3", "3"],
      ["2026-11-30T22:00:00Z", "sb-2", "claude-sonnet-4-6/input", "3", "1.5"],
      ["2026-11-30T22:00:00Z", "sb-1", "claude-sonnet-4-6/input/batch", "1.5", "0.75"],
      ["2026-11-30T22:00:00Z", "sb-1", "claude-sonnet-4-6/input/us", "3.3", "1.65"],
      ["2026-11-30T23:00:00Z", "sb-1", "claude-sonnet-4-6/input", "3", "1.5"],
      ["2026-12-01T00:00:00Z", "sb-1", "claude-sonnet-4-6/input", "3", "1.5"],
    ],
  );
  assert.equal(lines[3]!.RegionId, "us");
  assert.equal(lines.at(-1)!.BillingPeriodStart, "2026-12-01T00:00:00Z");
});

Deno.test("focus: a long prompt's tier, fast, the models of iterations and searches have prices of their own", () => {
  const lines = focusOf([
    priced({ model: "claude-haiku-5-5", inputTokens: 100_001 }),
    priced({ model: "claude-opus-5-5", inputTokens: 1_000_000, speed: "fast" }),
    priced({ outputTokens: 10, iterations: [{ type: "advisor_message", model: "claude-opus-4-8", output_tokens: 100 }] }),
    priced({ serverToolUse: { web_search_requests: 3 } }),
  ]);
  assert.deepEqual(
    lines.map((line) => [line.SkuPriceId, line.ListUnitPrice, line.PricingQuantity, line.PricingUnit, line.BilledCost]),
    [
      ["claude-haiku-5-5/input/prompt-from-100001", "0.5", "0.100001", "1000000 Tokens", "0.0500005"],
      ["claude-opus-5-5/input/fast", "8", "1", "1000000 Tokens", "8"],
      ["claude-opus-4-8/output", "25", "0.0001", "1000000 Tokens", "0.0025"],
      ["claude-sonnet-4-6/output", "15", "0.00001", "1000000 Tokens", "0.00015"],
      ["web_search_requests/server-tool", "0.01", "3", "Requests", "0.03"],
    ],
  );
  assert.equal(lines.at(-1)!.SkuMeter, "Web Search Requests");
});

Deno.test("focus: charges of other sellers name them, their kinds of tokens, service tiers and places", () => {
  const openai = { provider: "openai", model: "gpt-6.2-sol" };
  const bedrock = { provider: "aws.bedrock", model: "us.anthropic.claude-opus-5-5-v1:0" };
  const lines = focusOf([
    priced({ ...openai, cacheCreationInputTokens: 30, tokenParts: { write30m: 20, write12h: 10 }, serviceTier: "fast" }),
    priced({ ...bedrock, inputTokens: 1_000, inferenceGeo: "us" }),
    priced({ ...bedrock, inputTokens: 1_000 }),
    priced({ provider: "gcp.gemini", model: "gemini-2.5-flash", inputTokens: 1_000, tokenParts: { audioInput: 400 } }),
    priced({ ...openai, model: "gpt-6.1-terra", cacheCreationInputTokens: 30, tokenParts: { write12h: 10 } }),
  ]);
  assert.deepEqual(lines.map((line) => [line.InvoiceIssuerName, line.SkuPriceId, line.ListUnitPrice, line.BilledCost]), [
    ["OpenAI", "gpt-6.2-sol/cache-write-30m/priority", "5", "0.0001"],
    ["OpenAI", "gpt-6.2-sol/cache-write-12h/priority", "10", "0.0001"],
    ["AWS", "us.anthropic.claude-opus-5-5-v1:0/input/us", "4.4", "0.0044"],
    ["AWS", "us.anthropic.claude-opus-5-5-v1:0/input/place-unknown", "4.4", "0.0044"],
    ["Google", "gemini-2.5-flash/input", "0.3", "0.00018"],
    ["Google", "gemini-2.5-flash/audio-input", "1", "0.0004"],
    ["OpenAI", "gpt-6.1-terra/cache-write-30m/unpriced", "0", "0"],
    ["OpenAI", "gpt-6.1-terra/cache-write-12h/unpriced", "0", "0"],
  ]);
  assert.deepEqual(problems(lines), []);
});

Deno.test("focus: what has no known cost is a line of its own that says so, and never free use of a price", () => {
  const lines = focusOf([
    { ...ROW, model: "claude-unheard-of", inputTokens: 7, outputTokens: 2, serverToolUse: { web_search_requests: 4 } },
    { ...ROW, accuracy: "unknown", outcome: "unknown" },
    { ...priced({ inputTokens: 1 }), unpricedUses: { code_execution_requests: 2 } },
  ]);
  assert.deepEqual(
    lines.map((line) => [line.SkuId, line.ConsumedQuantity, line.ConsumedUnit, line.BilledCost, line.x_Accuracy]),
    [
      ["claude-unheard-of/input", "7", "Tokens", "0", "unpriced"],
      ["claude-unheard-of/output", "2", "Tokens", "0", "unpriced"],
      ["web_search_requests/server-tool", "4", "Requests", "0", "unpriced"],
      ["claude-sonnet-4-6/unknown-usage", "1", "Requests", "0", "unknown"],
      ["claude-sonnet-4-6/input", "1", "Tokens", "0.000003", "exact"],
      ["code_execution_requests/server-tool", "2", "Requests", "0", "unpriced"],
    ],
  );
  for (const n of [0, 1, 2, 3, 5]) {
    assert.match(lines[n]!.ChargeDescription!, /: the cost is not known and not in this row$/);
    assert.equal(lines[n]!.PricingCategory, "Other");
    if (lines[n]!.x_Accuracy === "unpriced") assert.match(lines[n]!.SkuPriceId!, /\/unpriced$/);
  }
  assert.deepEqual(problems(lines), []);
});

Deno.test("focus: a cost made by other prices stays what it was, and is shown beside what the list says now", () => {
  const [input, output, ...more] = focusOf([{ ...priced({ inputTokens: 1_000, outputTokens: 1_000 }), cost: 9_000_001 }]);
  assert.deepEqual([input!.ListCost, output!.ListCost, more], ["0.003", "0.015", []]);
  assert.deepEqual([input!.BilledCost, output!.BilledCost], ["0.0015", "0.007500001"]);
  const lines = focusOf([{ ...ROW, model: "claude-retired-1", inputTokens: 5, outputTokens: 3, cost: 123_456_789 }]);
  assert.deepEqual(
    lines.map((line) => [line.SkuId, line.ConsumedQuantity, line.PricingQuantity, line.PricingUnit, line.ListCost]),
    [
      ["claude-retired-1/all-tokens", "8", "0.123456789", "Dollars", "0.123456789"],
    ],
  );
  assert.deepEqual(problems(lines), []);
  const [other] = focusOf([{ ...ROW, provider: "other", inputTokens: 5, cost: 1 }]);
  assert.deepEqual([other!.InvoiceIssuerName, other!.BilledCost], ["other", "0.000000001"]);
});

Deno.test("focus: a call that used nothing is in no line, and a file of no calls has its columns", () => {
  assert.deepEqual(focusOf([{ ...ROW, cost: 0, outcome: "upstream_error", status: 529 }]), []);
  assert.equal(textOf([]), `${FOCUS_COLUMNS.map(({ name }) => name).join(",")}\r\n`);
  assert.equal(readParquet(bytesOf([], "focus-parquet")).numRows, 0);
});

Deno.test("focus: of random calls, every line keeps the specification's rules, and the costs sum to the ledger's to the last unit", () => {
  for (const seed of [1, 2, 3]) {
    const rows = randomRows(3_000, seed);
    const lines = focusOf(rows);
    assert.deepEqual(problems(lines), [], `seed ${seed}`);
    const ledger = rows.reduce((sum, { cost = 0 }) => sum + BigInt(cost), 0n);
    for (const name of ["BilledCost", "EffectiveCost"]) {
      assert.equal(costUsd(sumOf(lines, name)), costUsd(ledger), `${name} of seed ${seed}`);
    }
    for (const workspace of new Set(rows.map(({ workspaceId }) => workspaceId))) {
      const own = rows.filter(({ workspaceId }) => workspaceId === workspace);
      const its = lines.filter(({ SubAccountId }) => SubAccountId === workspace);
      assert.equal(sumOf(its, "BilledCost"), own.reduce((sum, { cost = 0 }) => sum + BigInt(cost), 0n));
    }
    assert.ok(lines.length < rows.length * 2, "lines are of hours, not of calls");
  }
});

Deno.test("focus-parquet has what focus has, with exact decimals", () => {
  const rows = randomRows(2_000, 7);
  const lines = focusOf(rows);
  const table = readParquet(bytesOf(rows, "focus-parquet"));
  assert.equal(table.numRows, lines.length);
  assert.deepEqual(
    table.schema.fields.map(({ name, nullable }) => [name, nullable]),
    FOCUS_COLUMNS.map(({ name, isNullable }) => [name, isNullable]),
  );
  for (const { name, kind } of FOCUS_COLUMNS) {
    const column = table.getChild(name)!;
    if (kind === "decimal") assert.equal(String(column.type), "Decimal[38e+18]");
    lines.forEach((line, n) => assert.equal(cellOf(column.get(n), kind), line[name], `${name} of line ${n}`));
  }
});

Deno.test("focus: an hour with more charges than are held goes out in parts, and none is lost", () => {
  const rows = Array.from({ length: 12_000 }, (_, n) => priced({ sandboxId: `sb-${n}`, outputTokens: 1 }));
  const encoder = encoderOf("focus", tariffOf);
  const parts = rows.map((row) => encoder.add([row]));
  assert.equal(parts.filter(({ length }) => length > 0).length, 2);
  const lines = focusLines(new TextDecoder().decode(joined([...parts, encoder.end()])));
  assert.equal(new Set(lines.map(({ ResourceId }) => ResourceId)).size, rows.length);
  assert.equal(sumOf(lines, "BilledCost"), rows.reduce((sum, { cost }) => sum + BigInt(cost!), 0n));
});

Deno.test("focus: a text that a spreadsheet would run as a formula gets a ' in front", () => {
  const [line] = focusOf([priced({ workspaceId: "=cmd|calc", outputTokens: 1 })]);
  assert.equal(line!.SubAccountId, "'=cmd|calc");
});

Deno.test("sharesOf() divides an amount to the last unit, by the weights, and each share is off by less than one", () => {
  const random = seededRandom(11);
  for (let n = 0; n < 2_000; n++) {
    const amount = BigInt(Math.floor(random() * 1e9));
    const weights = Array.from({ length: 1 + Math.floor(random() * 6) }, () => BigInt(Math.floor(random() ** 4 * 1e15)));
    const sum = weights.reduce((a, b) => a + b, 0n);
    const shares = sharesOf(amount, weights);
    if (sum === 0n) {
      assert.equal(shares, amount === 0n ? shares : null);
      continue;
    }
    assert.equal(shares!.reduce((a, b) => a + b, 0n), amount);
    shares!.forEach((share, place) => {
      const off = share * sum - amount * weights[place]!;
      assert.ok(off < sum && off > -sum, `share ${place} of ${amount} by ${weights}`);
    });
  }
  assert.deepEqual(sharesOf(0n, [0n, 0n]), [0n, 0n]);
  assert.equal(sharesOf(1n, []), null);
});

function tariffOf(provider: string) {
  const billing = BILLINGS.get(provider);
  return billing === undefined ? null : { seller: billing.seller, chargesOf: charges, tokensOf: billing.tokensOf };
}

function bytesOf(rows: readonly UsageRecord[], format: "focus" | "focus-parquet"): Uint8Array {
  const encoder = encoderOf(format, tariffOf);
  const parts = [];
  for (let at = 0; at < rows.length; at += 400) parts.push(encoder.add(rows.slice(at, at + 400)));
  return joined([...parts, encoder.end()]);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function textOf(rows: readonly UsageRecord[]): string {
  return new TextDecoder().decode(bytesOf(rows, "focus"));
}

function focusOf(rows: readonly UsageRecord[]) {
  return focusLines(textOf(rows));
}

function problems(lines: ReturnType<typeof focusLines>) {
  return problemsOf(lines, SPECIFIED);
}

function sumOf(lines: ReturnType<typeof focusLines>, name: string): bigint {
  return lines.reduce((sum, line) => sum + nanoDollarsOfDecimal(line[name]!), 0n);
}

/** Priced by the list, as the ledger prices it. */
function priced(given: Partial<UsageRecord>): UsageRecord {
  const row = { ...ROW, ...given };
  const cost = price({
    ...EMPTY_READING,
    ...row,
    servedModel: row.model,
    cacheCreation5mTokens: row.cacheCreation5mInputTokens,
    cacheCreation1hTokens: row.cacheCreation1hInputTokens,
  }, row.createdAt);
  return cost.isPriced ? { ...row, cost: cost.nanoDollars, unpricedUses: cost.unpricedUses } : row;
}

/** A fleet's calls of two days around the end of a month, in the order of their time. */
function randomRows(count: number, seed: number): readonly UsageRecord[] {
  const random = seededRandom(seed);
  const upTo = (most: number) => Math.floor(random() ** 3 * most);
  const oneOf = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const times = Array.from({ length: count }, () => T0 + Math.floor(random() * 5 * HOUR_MS)).sort((a, b) => a - b);
  return times.map((createdAt): UsageRecord => {
    const [write5m, write1h] = [upTo(90_000), upTo(20_000)];
    const workspaceId = `w-${upTo(4)}`;
    const isBatch = random() < 0.1;
    const row = priced({
      ...{ createdAt, workspaceId, sandboxId: `${workspaceId}-sb-${upTo(5)}`, kind: isBatch ? "batch_line" : "message" },
      model: oneOf([
        "claude-opus-5-5",
        "claude-sonnet-5-5",
        "claude-haiku-5-5",
        "claude-sonnet-4-5-20250929",
        "claude-unheard-of",
      ]),
      ...{ inputTokens: upTo(190_000), outputTokens: upTo(32_000), cacheReadInputTokens: upTo(900_000) },
      ...{
        cacheCreationInputTokens: write5m + write1h,
        cacheCreation5mInputTokens: write5m,
        cacheCreation1hInputTokens: write1h,
      },
      ...(random() < 0.1 ? { serverToolUse: { web_search_requests: 1 + upTo(4), code_execution_requests: upTo(2) } } : {}),
      ...(random() < 0.5 ? { serviceTier: isBatch ? "batch" : "standard" } : {}),
      ...(random() < 0.2 ? { speed: "fast" } : {}),
      ...(random() < 0.2 ? { inferenceGeo: oneOf(["us", "global"]) } : {}),
      ...(random() < 0.1 ? { accuracy: "estimated", outcome: "client_left" } : {}),
      ...(random() < 0.05
        ? { iterations: [{ type: "advisor_message", model: "claude-opus-4-8", output_tokens: upTo(900) }] }
        : {}),
    });
    if (random() < 0.03) return { ...ROW, createdAt, workspaceId, accuracy: "unknown", outcome: "unknown" };
    // Some were priced by another list.
    return row.cost !== undefined && random() < 0.05 ? { ...row, cost: upTo(1e9) } : row;
  });
}

function cellOf(value: unknown, kind: (typeof FOCUS_COLUMNS)[number]["kind"]): string {
  if (value === null) return "";
  if (kind === "time") return new Date(value as number).toISOString().replace(".000", "");
  if (kind === "text") return String(value);
  const words = value as Uint32Array;
  const atto = [...words].reduceRight((sum, word) => (sum << 32n) + BigInt(word), 0n);
  const digits = String(atto).padStart(19, "0");
  return `${digits.slice(0, -18)}.${digits.slice(-18)}`.replace(/\.?0+$/, "") || "0";
}
