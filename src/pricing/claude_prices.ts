import type { PriceList } from "./price_list.ts";

/** No earlier price is known, so this one holds for every call before as well. */
const FROM_THE_FIRST = "1970-01-01";

/**
 * Prices of Claude models as of 2026-11-24: measured as the `total_cost_usd` of Claude Code 2.1.330
 * (`tests/fixtures/pricing/oracle.json`), and equal to https://platform.claude.com/docs/en/about-claude/pricing where both
 * were seen. Where a price changes, a period is added behind the old one and the version becomes that day's.
 */
export const CLAUDE_PRICES: PriceList = {
  version: "2026-11-24",
  models: {
    "claude-fable-5-2": [
      {
        from: FROM_THE_FIRST,
        fastPercent: 200,
        tiers: [
          { promptFrom: 0, input: "8", write5m: "10", write1h: "16", read: "0.20", output: "40" },
        ],
      },
    ],
    "claude-mythos-5-2": [
      {
        from: FROM_THE_FIRST,
        fastPercent: 200,
        tiers: [
          { promptFrom: 0, input: "8", write5m: "10", write1h: "16", read: "0.20", output: "40" },
        ],
      },
    ],
    "claude-fable-5-1": [
      {
        from: FROM_THE_FIRST,
        fastPercent: null,
        tiers: [
          { promptFrom: 0, input: "10", write5m: "12.50", write1h: "20", read: "0.25", output: "50" },
        ],
      },
    ],
    "claude-opus-5-5": [
      {
        from: FROM_THE_FIRST,
        fastPercent: 200,
        tiers: [
          { promptFrom: 0, input: "4", write5m: "5", write1h: "8", read: "0.20", output: "20" },
        ],
      },
    ],
    "claude-opus-5": [
      {
        from: FROM_THE_FIRST,
        fastPercent: 200,
        tiers: [
          { promptFrom: 0, input: "5", write5m: "6.25", write1h: "10", read: "0.50", output: "25" },
        ],
      },
    ],
    "claude-opus-4-8": [
      {
        from: FROM_THE_FIRST,
        fastPercent: 200,
        tiers: [
          { promptFrom: 0, input: "5", write5m: "6.25", write1h: "10", read: "0.50", output: "25" },
        ],
      },
    ],
    // Fast is no longer offered and is billed as standard; what Claude Code still computes for it, 6 x, is not what is paid.
    "claude-opus-4-6": [
      {
        from: FROM_THE_FIRST,
        fastPercent: null,
        tiers: [
          { promptFrom: 0, input: "5", write5m: "6.25", write1h: "10", read: "0.50", output: "25" },
        ],
      },
    ],
    "claude-sonnet-5-5": [
      {
        from: FROM_THE_FIRST,
        fastPercent: null,
        tiers: [
          { promptFrom: 0, input: "2", write5m: "2.50", write1h: "4", read: "0.20", output: "10" },
        ],
      },
      {
        from: "2026-10-07",
        fastPercent: null,
        tiers: [
          { promptFrom: 0, input: "2", write5m: "2.50", write1h: "4", read: "0.10", output: "10" },
        ],
      },
    ],
    "claude-sonnet-5": [
      {
        from: FROM_THE_FIRST,
        fastPercent: null,
        tiers: [
          { promptFrom: 0, input: "2", write5m: "2.50", write1h: "4", read: "0.20", output: "10" },
        ],
      },
    ],
    "claude-sonnet-4-6": [
      {
        from: FROM_THE_FIRST,
        fastPercent: null,
        tiers: [
          { promptFrom: 0, input: "3", write5m: "3.75", write1h: "6", read: "0.30", output: "15" },
        ],
      },
    ],
    "claude-sonnet-4-5": [
      {
        from: FROM_THE_FIRST,
        fastPercent: null,
        tiers: [
          { promptFrom: 0, input: "3", write5m: "3.75", write1h: "6", read: "0.30", output: "15" },
        ],
      },
    ],
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
    "claude-haiku-4-5": [
      {
        from: FROM_THE_FIRST,
        fastPercent: null,
        tiers: [
          { promptFrom: 0, input: "1", write5m: "1.25", write1h: "2", read: "0.10", output: "5" },
        ],
      },
    ],
  },
  serverTools: {
    web_search_requests: [{ from: FROM_THE_FIRST, usdPerUse: "0.01" }],
    web_fetch_requests: [{ from: FROM_THE_FIRST, usdPerUse: "0" }],
  },
};
