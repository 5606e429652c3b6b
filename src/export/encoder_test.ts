import assert from "node:assert/strict";
import { readCsv, readParquet } from "../../tests/exported_rows.ts";
import type { ExportFormat, UsageRecord } from "../domain/usage_record.ts";
import { COLUMNS } from "./columns.ts";
import { encoderOf } from "./encoder.ts";

const ROW: UsageRecord = {
  id: "ar-1",
  traceId: "at-1",
  sandboxId: "sb-1",
  workspaceId: "w-1",
  provider: "anthropic",
  model: "claude-served",
  inputTokens: 1,
  outputTokens: 2,
  cacheCreationInputTokens: 3,
  cacheReadInputTokens: 4,
  streaming: true,
  duration: 1_000,
  ttft: 100,
  createdAt: Date.UTC(2026, 0, 31, 12, 0, 0, 7),
  outcome: "completed",
  accuracy: "exact",
  requestedModel: "claude-asked",
  cacheCreation5mInputTokens: 3,
  cacheCreation1hInputTokens: 0,
  thinkingTokens: 0,
  kind: "message",
  requestBytes: 10,
  cost: 12_345_678_901,
  serverToolUse: { web_search_requests: 2 },
};

Deno.test("csvEncoder() writes a header, times by RFC 3339, costs as exact decimals and nothing where there is nothing", () => {
  const [header, line, ...more] = readCsv(textOf("csv", [ROW]));
  assert.deepEqual(more, []);
  const cells = Object.fromEntries(header!.map((name, n) => [name, line![n]]));
  assert.deepEqual(header, COLUMNS.map(({ jsonKey }) => jsonKey));
  const { createdAt, costUsd, streaming, status, serverToolUse, inputTokens } = cells;
  assert.deepEqual({ createdAt, costUsd, streaming, status, serverToolUse, inputTokens }, {
    createdAt: "2026-01-31T12:00:00.007Z",
    costUsd: "12.345678901",
    streaming: "true",
    status: "",
    serverToolUse: '{"web_search_requests":2}',
    inputTokens: "1",
  });
});

Deno.test("csvEncoder() writes the header of no rows too, once, and ends each line with CRLF", () => {
  assert.equal(textOf("csv", []), `${COLUMNS.map(({ jsonKey }) => jsonKey).join(",")}\r\n`);
  const encoder = encoderOf("csv", () => null);
  const parts = [encoder.add([ROW]), encoder.add([ROW]), encoder.end()].map((part) => new TextDecoder().decode(part)).join("");
  assert.equal(parts.match(/costUsd/g)?.length, 1);
  assert.equal(parts.match(/\r\n/g)?.length, 3);
});

Deno.test("csvEncoder() keeps commas, quotes and line ends within their cell", () => {
  for (const requestedModel of ['a "quoted" one', "a,b", "two\nlines", "two\r\nlines", '"', ""]) {
    const [header, line] = readCsv(textOf("csv", [{ ...ROW, requestedModel }]));
    assert.equal(line![header!.indexOf("requestedModel")], requestedModel);
    assert.equal(line!.length, header!.length);
  }
});

Deno.test("csvEncoder() puts a ' before what a spreadsheet would take for a formula, and before nothing else", () => {
  for (const begin of ["=", "+", "-", "@", "\t", "\r"]) {
    const requestedModel = `${begin}HYPERLINK("http://evil.example","pay")`;
    const [header, line] = readCsv(textOf("csv", [{ ...ROW, requestedModel }]));
    assert.equal(line![header!.indexOf("requestedModel")], `'${requestedModel}`);
  }
  const [header, line] = readCsv(textOf("csv", [{ ...ROW, requestedModel: "claude=x" }]));
  assert.equal(line![header!.indexOf("requestedModel")], "claude=x");
});

Deno.test("ndjsonEncoder() writes one object a line, named as in the admin API, without what a row does not have", () => {
  const lines = textOf("ndjson", [ROW, { ...ROW, id: "ar-2" }]).split("\n");
  assert.deepEqual(lines.map((line) => line === "" ? "" : JSON.parse(line).id), ["ar-1", "ar-2", ""]);
  const { cost: _, ...rest } = ROW;
  assert.deepEqual(JSON.parse(lines[0]!), { ...rest, createdAt: "2026-01-31T12:00:00.007Z", costUsd: "12.345678901" });
});

Deno.test("parquetEncoder() writes a file that another family's reader reads, in groups of bounded size", () => {
  const rows = Array.from({ length: 20_000 }, (_, n): UsageRecord => ({
    ...ROW,
    id: `ar-${n}`,
    inputTokens: n,
    ...(n % 3 === 0 ? {} : { status: 200 }),
    cost: 2 ** 40 + n,
    streaming: n % 2 === 0,
    customId: `é=${n}`,
  }));
  const encoder = encoderOf("parquet", () => null);
  const parts = [];
  for (let at = 0; at < rows.length; at += 1_000) parts.push(encoder.add(rows.slice(at, at + 1_000)));
  assert.equal(parts.filter((part) => part.length > 1_000).length, 8, "groups that went out before the end");
  const table = readParquet(bytesOf([...parts, encoder.end()]));
  assert.equal(table.numRows, rows.length);
  assert.deepEqual(table.schema.fields.map(({ name }) => name), COLUMNS.map(({ jsonKey }) => jsonKey));
  assert.equal(String(table.getChild("costUsd")!.type), "Decimal[18e+9]");
  assert.equal(String(table.getChild("createdAt")!.type), "Timestamp<MILLISECOND, UTC>");
  for (const n of [0, 1, 3_999, 4_000, 19_999]) {
    const row = table.get(n)!.toJSON() as Record<string, unknown>;
    assert.equal(row.id, `ar-${n}`);
    assert.equal(row.inputTokens, BigInt(n));
    assert.equal(row.status, n % 3 === 0 ? null : 200n);
    assert.equal(row.streaming, n % 2 === 0);
    assert.equal(row.customId, `é=${n}`);
    assert.equal(row.serverToolUse, '{"web_search_requests":2}');
    assert.equal(new Date(row.createdAt as number).toISOString(), "2026-01-31T12:00:00.007Z");
  }
});

Deno.test("parquetEncoder() writes a file of no rows, and ends a group early where its texts are long", () => {
  assert.equal(readParquet(bytesOf([encoderOf("parquet", () => null).end()])).numRows, 0);
  const encoder = encoderOf("parquet", () => null);
  const iterations = [{ text: "x".repeat(1_000_000) }];
  const part = encoder.add(Array.from({ length: 9 }, () => ({ ...ROW, iterations })));
  assert.ok(part.length > 1_000);
  assert.equal(readParquet(bytesOf([part, encoder.end()])).numRows, 9);
});

function textOf(format: ExportFormat, rows: readonly UsageRecord[]): string {
  const encoder = encoderOf(format, () => null);
  return new TextDecoder().decode(bytesOf([encoder.add(rows), encoder.end()]));
}

function bytesOf(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
