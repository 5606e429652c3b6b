import assert from "node:assert/strict";
import type { PriceOf } from "../domain/price.ts";
import { EMPTY_READING, type UsageReading } from "../domain/reading.ts";
import type { Accuracy } from "../domain/usage.ts";
import { callOf } from "../../tests/conformance/samples.ts";
import { rowOfLine } from "./lines.ts";
import type { AccountingDeps } from "../domain/account.ts";

const READ: UsageReading = { ...EMPTY_READING, servedModel: "m", inputTokens: 7, hasInput: true, hasFinalOutput: true };

Deno.test("rowOfLine() is as certain of a refusal's cost as the price list is", () => {
  const refused = { ...READ, stopReason: "refusal", refusalCategory: "cyber" };
  const { closing } = lineOf(refused, { nanoDollars: 0, isCertain: true });
  assert.deepEqual([closing.accuracy, closing.cost, closing.reading.refusalCategory, closing.reading.inputTokens], [
    "exact",
    0,
    "cyber",
    7,
  ]);
  assert.equal(lineOf(refused, { nanoDollars: 70, isCertain: false }).closing.accuracy, "estimated");
});

Deno.test("rowOfLine() keeps what has no price beside the cost, and tells of it", () => {
  const told: unknown[] = [];
  const unpricedUses = { tool_search_requests: 2 };
  const { closing } = lineOf(READ, { unpricedUses }, { partlyPriced: (id, used) => told.push([id, used]) });
  assert.deepEqual([closing.accuracy, closing.cost, closing.unpricedUses], ["exact", 70, unpricedUses]);
  assert.deepEqual(told.map((one) => (one as unknown[])[1]), [{ model: "m", uses: unpricedUses }]);
});

Deno.test("rowOfLine() takes none of the counts of an answer with one that cannot be true, marks the row and tells of it", () => {
  const told: unknown[] = [];
  const read = { ...READ, messageId: "msg_1", outputTokens: 3, serverToolUse: { web_search_requests: 1 }, hasAbsurdCount: true };
  const { closing } = lineOf(read, {}, { absurdUsage: (_, model) => told.push(model) });
  const expected: { accuracy: Accuracy; cost: null; priceVersion: null; unpricedUses: object; reading: UsageReading } = {
    ...{ accuracy: "unknown", cost: null, priceVersion: null, unpricedUses: {} },
    reading: { ...EMPTY_READING, servedModel: "m", messageId: "msg_1", errorType: "absurd_usage" },
  };
  const { accuracy, cost, priceVersion, unpricedUses, reading } = closing;
  assert.deepEqual({ accuracy, cost, priceVersion, unpricedUses, reading }, expected);
  assert.deepEqual(told, ["m"]);
});

function lineOf(
  reading: UsageReading,
  cost: Partial<Extract<ReturnType<PriceOf>, { isPriced: true }>>,
  observe: Partial<AccountingDeps["observe"]> = {},
) {
  const nobody = () => assert.fail("nothing is to be told");
  const deps = {
    priceOf: () => ({ isPriced: true, nanoDollars: 70, version: "v", unpricedUses: {}, isCertain: true, ...cost } as const),
    observe: { unpriced: nobody, partlyPriced: nobody, absurdUsage: nobody, ...observe } as unknown as AccountingDeps["observe"],
  };
  return rowOfLine({ customId: "c", hasSucceeded: true, reading }, {
    number: 1,
    call: callOf({ kind: "batch_line" }),
    answer: { estimate: nobody } as never,
    deps,
  });
}
