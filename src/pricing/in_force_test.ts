import assert from "node:assert/strict";
import { pricesInForce } from "./in_force.ts";
import type { PriceTier } from "./price_list.ts";

const TIER: PriceTier = { promptFrom: 0, input: "3", write5m: "3.75", write1h: "6", read: "0.30", output: "15" };
const DEARER = { ...TIER, promptFrom: 200_000, input: "6" };

Deno.test("pricesInForce() has the period of that day, a row for each size of prompt, and no model whose prices begin later", () => {
  const period = (from: string, ...tiers: PriceTier[]) => ({ from, fastPercent: null, tiers });
  const list = {
    version: "v1",
    models: {
      now: [period("1970-01-01", TIER), period("2026-02-01", TIER, DEARER), period("2026-03-01", TIER)],
      later: [period("2026-03-01", TIER)],
    },
    serverTools: {},
    sellerTools: {},
    refusals: [],
  };
  const now = { model: "now", from: "2026-02-01", until: "2026-03-01", fastPercent: null, serviceTierPercent: {} };
  assert.deepEqual(pricesInForce(list, Date.UTC(2026, 1, 1)), {
    version: "v1",
    prices: [{ ...now, ...TIER }, { ...now, ...DEARER }],
  });
});
