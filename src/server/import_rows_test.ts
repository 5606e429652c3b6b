import assert from "node:assert/strict";
import { BILLINGS } from "../../tests/anthropic.ts";
import type { ImportedUsage } from "../domain/imported_rows.ts";
import type { UsageRow } from "../domain/usage.ts";
import { PRICES } from "../pricing/prices.ts";
import { priceOf } from "../pricing/price_of.ts";
import { importInto } from "./import_rows.ts";

const ROW: ImportedUsage = {
  id: "ar-1",
  traceId: "at-1",
  sandboxId: "sb-1",
  workspaceId: "w-1",
  provider: "anthropic",
  model: "claude-opus-4-5",
  messageId: "msg_1",
  inputTokens: 1_000,
  outputTokens: 0,
  cacheCreationInputTokens: 0,
  cacheReadInputTokens: 0,
  streaming: false,
  duration: 1,
  ttft: 0,
  createdAt: Date.UTC(2026, 1, 1),
};

Deno.test("importInto() prices a row as its own seller does, and knows no price of a seller that is unknown", async () => {
  const costs: (number | null)[] = [];
  const store = {
    recordTraces: () => Promise.resolve(),
    recordUsage: (rows: readonly UsageRow[]) => Promise.resolve(void costs.push(...rows.map(({ closing }) => closing.cost))),
  };
  const createdAt = Date.UTC(2026, 10, 24);
  const written = { ...ROW, createdAt, provider: "openai", model: "gpt-6-sol", cacheCreationInputTokens: 10 };
  const usage = [written, { ...written, provider: "anthropic" }, { ...written, provider: "somebody" }];
  assert.deepEqual(await importInto(store, priceOf(PRICES, BILLINGS))({ traces: [], usage }), { unpriced: 2 });
  // OpenAI's writes live 30 minutes at $2.50; as Claude's they have no price of that model.
  assert.deepEqual(costs, [1_000 * 2_000 + 10 * 2_500, null, null]);
});

Deno.test("importInto() drops all counts of a row if one of them cannot be true, and marks the row", async () => {
  const taken: UsageRow[] = [];
  const store = {
    recordTraces: () => Promise.resolve(),
    recordUsage: (rows: readonly UsageRow[]) => Promise.resolve(void taken.push(...rows)),
  };
  const importRows = importInto(store, priceOf(PRICES, BILLINGS));
  const odd = { ...ROW, id: "ar-2", cacheReadInputTokens: 1_000_000_000_001 };
  const stranger = { ...ROW, id: "ar-3", model: "of nobody", outputTokens: 1_000_000_000_000 };
  assert.deepEqual(await importRows({ traces: [], usage: [ROW, odd, stranger] }), { unpriced: 1 });
  assert.deepEqual(
    taken.map((
      { closing: { accuracy, cost, reading } },
    ) => [accuracy, cost, reading.errorType, reading.inputTokens, reading.outputTokens]),
    [
      ["exact", 5_000_000, null, 1_000, 0],
      ["unknown", null, "absurd_usage", 0, 0],
      ["exact", null, null, 1_000, 1_000_000_000_000],
    ],
  );
});
