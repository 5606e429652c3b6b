import { FROM_THE_FIRST, type PriceList } from "./price_list.ts";

/** A prompt of more tokens, cached ones included, makes every token of the call dearer. */
const ABOVE_200K = 200_001;

/**
 * Prices of the Gemini API's paid tier as of 2026-11-28, from its pricing page as of 2026-10-07 and
 * from what others quoted since. The output includes thoughts. Flex and Batch cost half.
 *
 * Priority costs 1.75 x to 2 x by model, and is here if a source names the model's own factor. If a
 * price changes, add a period behind the old one and set the version of `prices.ts` to that day.
 */
export const GEMINI_PRICES: PriceList["models"] = {
  "gemini-4-carbon": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "2", read: "0.10", output: "10", serviceTierPercent: { flex: 50, batch: 50 } },
    ],
  }, {
    from: "2026-12-01",
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "4", read: "0.20", output: "20", serviceTierPercent: { flex: 50, batch: 50 } },
    ],
  }],
  "gemini-4-argon": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "2", read: "0.10", output: "10", serviceTierPercent: { flex: 50, batch: 50 } },
    ],
  }, {
    from: "2026-12-01",
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "4", read: "0.20", output: "20", serviceTierPercent: { flex: 50, batch: 50 } },
    ],
  }],
  "gemini-4-hydrogen": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "1.50", read: "0.075", output: "7.50", serviceTierPercent: { priority: 180, flex: 50, batch: 50 } },
    ],
  }],
  "gemini-4-neon": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "3", read: "0.15", output: "15", serviceTierPercent: { priority: 180, flex: 50, batch: 50 } },
    ],
  }],
  // The price of reads from 2027 on is from memory.
  "gemini-3.8-flash": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "0.75", read: "0.075", output: "3.75", serviceTierPercent: { flex: 50, batch: 50 } },
    ],
  }, {
    from: "2027-01-01",
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "1.50", read: "0.15", output: "7.50", serviceTierPercent: { flex: 50, batch: 50 } },
    ],
  }],
  "gemini-3.7-flash": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "0.75", read: "0.075", output: "3.75", serviceTierPercent: { flex: 50, batch: 50 } },
    ],
  }, {
    from: "2027-01-01",
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "1.50", read: "0.15", output: "7.50", serviceTierPercent: { flex: 50, batch: 50 } },
    ],
  }],
  "gemini-3.6-flash": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "0.75", read: "0.075", output: "3.75", serviceTierPercent: { flex: 50, batch: 50 } },
    ],
  }, {
    from: "2027-01-01",
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "1.50", read: "0.15", output: "7.50", serviceTierPercent: { flex: 50, batch: 50 } },
    ],
  }],
  "gemini-3.5-flash": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "1.50", read: "0.15", output: "9", serviceTierPercent: { flex: 50, batch: 50 } },
    ],
  }],
  "gemini-3.5-flash-lite": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "0.30", read: "0.03", output: "2.50", serviceTierPercent: { flex: 50, batch: 50 } },
    ],
  }],
  // The prices of reads are from memory.
  "gemini-3.1-pro-preview": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "2", read: "0.20", output: "12", serviceTierPercent: { flex: 50, batch: 50 } },
      { promptFrom: ABOVE_200K, input: "4", read: "0.40", output: "18", serviceTierPercent: { flex: 50, batch: 50 } },
    ],
  }],
  // What reads cost is not known for those below: a call with reads is unpriced.
  "gemini-3.1-flash-lite": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "0.25", output: "1.50", serviceTierPercent: { flex: 50, batch: 50 } },
    ],
  }],
  "gemini-3-flash-preview": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "0.50", output: "3", serviceTierPercent: { flex: 50, batch: 50 } },
    ],
  }],
  "gemini-2.5-pro": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "1.25", output: "10", serviceTierPercent: { flex: 50, batch: 50 } },
      { promptFrom: ABOVE_200K, input: "2.50", output: "15", serviceTierPercent: { flex: 50, batch: 50 } },
    ],
  }],
  "gemini-2.5-flash": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "0.30", audioInput: "1", output: "2.50", serviceTierPercent: { flex: 50, batch: 50 } },
    ],
  }],
};
