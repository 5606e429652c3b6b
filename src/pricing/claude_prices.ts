import { FROM_THE_FIRST, type PriceList, type PricePeriod, type PriceTier } from "./price_list.ts";

/**
 * Prices of Claude models as of 2026-11-28. For the models that Claude Code 2.1.330 knows, they
 * were measured as its `total_cost_usd` (`tests/fixtures/pricing/oracle.json`); the others are from
 * https://platform.claude.com/docs/en/about-claude/pricing. The two sources agree on models in
 * both. If a price changes, add a period behind the old one and set the version to that day.
 */
export const CLAUDE_PRICES: PriceList = {
  version: "2026-11-28",
  models: {
    "claude-fable-5-2": always({ input: "8", write5m: "10", write1h: "16", read: "0.20", output: "40" }, { fastPercent: 200 }),
    "claude-mythos-5-2": always({ input: "8", write5m: "10", write1h: "16", read: "0.20", output: "40" }, { fastPercent: 200 }),
    "claude-fable-5-1": always({ input: "10", write5m: "12.50", write1h: "20", read: "0.25", output: "50" }),
    "claude-mythos-5-1": always({ input: "10", write5m: "12.50", write1h: "20", read: "0.25", output: "50" }),
    "claude-fable-5": always({ input: "10", write5m: "12.50", write1h: "20", read: "1", output: "50" }),
    "claude-mythos-5": always({ input: "10", write5m: "12.50", write1h: "20", read: "1", output: "50" }),
    "claude-opus-5-5": always({ input: "4", write5m: "5", write1h: "8", read: "0.20", output: "20" }, { fastPercent: 200 }),
    "claude-opus-5": always({ input: "5", write5m: "6.25", write1h: "10", read: "0.50", output: "25" }, { fastPercent: 200 }),
    "claude-opus-4-8": always({ input: "5", write5m: "6.25", write1h: "10", read: "0.50", output: "25" }, { fastPercent: 200 }),
    // 4.7 and 4.6 no longer offer fast and bill it as standard; Claude Code's 6 x is not paid.
    "claude-opus-4-7": always({ input: "5", write5m: "6.25", write1h: "10", read: "0.50", output: "25" }),
    "claude-opus-4-6": always({ input: "5", write5m: "6.25", write1h: "10", read: "0.50", output: "25" }),
    "claude-opus-4-5": always({ input: "5", write5m: "6.25", write1h: "10", read: "0.50", output: "25" }),
    // Retired at Anthropic, as Opus 4, Sonnet 4 and Haiku 3.5 are, but served by Bedrock or Google
    // Cloud. Aliases end in -0.
    "claude-opus-4-1": always({ input: "15", write5m: "18.75", write1h: "30", read: "1.50", output: "75" }),
    "claude-opus-4": always({ input: "15", write5m: "18.75", write1h: "30", read: "1.50", output: "75" }),
    "claude-opus-4-0": always({ input: "15", write5m: "18.75", write1h: "30", read: "1.50", output: "75" }),
    "claude-sonnet-5-5": [
      ...always({ input: "2", write5m: "2.50", write1h: "4", read: "0.20", output: "10" }),
      {
        from: "2026-10-07",
        fastPercent: null,
        tiers: [
          { promptFrom: 0, input: "2", write5m: "2.50", write1h: "4", read: "0.10", output: "10" },
        ],
      },
    ],
    "claude-sonnet-5": always({ input: "2", write5m: "2.50", write1h: "4", read: "0.20", output: "10" }),
    "claude-sonnet-4-6": always({ input: "3", write5m: "3.75", write1h: "6", read: "0.30", output: "15" }),
    "claude-sonnet-4-5": always({ input: "3", write5m: "3.75", write1h: "6", read: "0.30", output: "15" }),
    "claude-sonnet-4": always({ input: "3", write5m: "3.75", write1h: "6", read: "0.30", output: "15" }),
    "claude-sonnet-4-0": always({ input: "3", write5m: "3.75", write1h: "6", read: "0.30", output: "15" }),
    "claude-haiku-5-5": [
      {
        from: FROM_THE_FIRST,
        fastPercent: null,
        tiers: [
          { promptFrom: 0, input: "0.10", write5m: "0.125", write1h: "0.20", read: "0.01", output: "0.50" },
          { promptFrom: 100_001, input: "0.50", write5m: "0.625", write1h: "1", read: "0.05", output: "2.50" },
        ],
      },
    ],
    "claude-haiku-4-5": always({ input: "1", write5m: "1.25", write1h: "2", read: "0.10", output: "5" }),
    "claude-3-5-haiku": always({ input: "0.80", write5m: "1", write1h: "1.60", read: "0.08", output: "4" }),
  },
  // Not here: code execution is billed by time, and tool search has no known price.
  serverTools: {
    web_search_requests: [{ from: FROM_THE_FIRST, usdPerUse: "0.01" }],
    web_fetch_requests: [{ from: FROM_THE_FIRST, usdPerUse: "0" }],
  },
  sellerTools: {},
  // https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback, "How refusals are
  // billed", and the release notes of these two days. The page says that the categories may change.
  refusals: [
    { from: "2026-06-02", billed: [], notBilled: "others" },
    {
      from: "2026-09-24",
      billed: ["bio", "frontier_llm", "reasoning_extraction"],
      notBilled: ["cyber", "general_harms", null],
    },
  ],
};

/** One price for every prompt, at any time. */
function always(
  tier: Omit<PriceTier, "promptFrom">,
  { fastPercent = null }: { readonly fastPercent?: number | null } = {},
): readonly PricePeriod[] {
  return [{ from: FROM_THE_FIRST, fastPercent, tiers: [{ promptFrom: 0, ...tier }] }];
}
