import { FROM_THE_FIRST, type PriceList } from "./price_list.ts";

/** A prompt of more tokens, cached ones included, makes every token of the call dearer. */
const ABOVE_272K = 272_001;

/**
 * Prices of OpenAI's models as of 2026-11-28, from its model pages, from
 * https://openai.com/api-fast-mode and from what others quoted of them. Above 272,000 tokens of
 * prompt, input and cache cost 2 x and output 1.5 x. Writes that live 30 minutes cost 1.25 x of the
 * input, those of 12 hours 2.5 x.
 *
 * A service tier is here if a source names its factor for that model. If a price changes, add a
 * period behind the old one and set the version of `prices.ts` to that day.
 */
export const OPENAI_PRICES: PriceList["models"] = {
  "gpt-6.2-astra": [{
    from: "2026-11-17",
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "8", read: "0.40", write30m: "10", write12h: "20", output: "40" },
      { promptFrom: ABOVE_272K, input: "16", read: "0.80", write30m: "20", write12h: "40", output: "60" },
    ],
  }],
  // Ultrafast at 3 x is promised until 2027-02-28.
  "gpt-6.2-sol": [{
    from: "2026-11-17",
    fastPercent: null,
    tiers: [
      {
        promptFrom: 0,
        input: "2",
        read: "0.10",
        write30m: "2.50",
        write12h: "5",
        output: "10",
        serviceTierPercent: { priority: 200, batch: 50, ultrafast: 300 },
      },
      {
        promptFrom: ABOVE_272K,
        input: "4",
        read: "0.20",
        write30m: "5",
        write12h: "10",
        output: "15",
        serviceTierPercent: { priority: 200, batch: 50, ultrafast: 300 },
      },
    ],
  }, {
    from: "2027-03-01",
    fastPercent: null,
    tiers: [
      {
        promptFrom: 0,
        input: "2",
        read: "0.10",
        write30m: "2.50",
        write12h: "5",
        output: "10",
        serviceTierPercent: { priority: 200, batch: 50, ultrafast: 600 },
      },
      {
        promptFrom: ABOVE_272K,
        input: "4",
        read: "0.20",
        write30m: "5",
        write12h: "10",
        output: "15",
        serviceTierPercent: { priority: 200, batch: 50, ultrafast: 600 },
      },
    ],
  }],
  // gpt-6.1-terra exists, and its price is not known.
  "gpt-6.1-sol": [{
    from: "2026-09-29",
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "2", read: "0.10", write30m: "2.50", write12h: "5", output: "10" },
      { promptFrom: ABOVE_272K, input: "4", read: "0.20", write30m: "5", write12h: "10", output: "15" },
    ],
  }],
  "gpt-6-astra": [{
    from: "2026-09-03",
    fastPercent: null,
    tiers: [
      {
        promptFrom: 0,
        input: "10",
        read: "1",
        write30m: "12.50",
        write12h: "25",
        output: "50",
        serviceTierPercent: { priority: 200, flex: 50, batch: 50, ultrafast: 600 },
      },
      {
        promptFrom: ABOVE_272K,
        input: "20",
        read: "2",
        write30m: "25",
        write12h: "50",
        output: "75",
        serviceTierPercent: { priority: 200, flex: 50, batch: 50, ultrafast: 600 },
      },
    ],
  }],
  "gpt-6-sol": [{
    from: "2026-09-22",
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "2", read: "0.20", write30m: "2.50", write12h: "5", output: "10" },
      { promptFrom: ABOVE_272K, input: "4", read: "0.40", write30m: "5", write12h: "10", output: "15" },
    ],
  }],
  "gpt-6-luna": [{
    from: "2026-09-22",
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "0.10", read: "0.01", write30m: "0.125", write12h: "0.25", output: "0.50" },
      { promptFrom: ABOVE_272K, input: "0.20", read: "0.02", write30m: "0.25", write12h: "0.50", output: "0.75" },
    ],
  }],
  // The lower price was promised until 2026-11-21. What holds since is not known.
  "gpt-5.6-sol": [{
    from: "2026-07-09",
    fastPercent: null,
    tiers: [
      {
        promptFrom: 0,
        input: "5",
        read: "0.50",
        write30m: "6.25",
        write12h: "12.50",
        output: "30",
        serviceTierPercent: { priority: 200 },
      },
      {
        promptFrom: ABOVE_272K,
        input: "10",
        read: "1",
        write30m: "12.50",
        write12h: "25",
        output: "45",
        serviceTierPercent: { priority: 200 },
      },
    ],
  }, {
    from: "2026-08-21",
    until: "2026-11-22",
    fastPercent: null,
    tiers: [
      {
        promptFrom: 0,
        input: "4",
        read: "0.40",
        write30m: "5",
        write12h: "10",
        output: "20",
        serviceTierPercent: { priority: 200 },
      },
      {
        promptFrom: ABOVE_272K,
        input: "8",
        read: "0.80",
        write30m: "10",
        write12h: "20",
        output: "30",
        serviceTierPercent: { priority: 200 },
      },
    ],
  }],
  "gpt-5.6-terra": [{
    from: "2026-07-09",
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "2.50", read: "0.25", write30m: "3.125", write12h: "6.25", output: "15" },
      { promptFrom: ABOVE_272K, input: "5", read: "0.50", write30m: "6.25", write12h: "12.50", output: "22.50" },
    ],
  }, {
    from: "2026-07-30",
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "2", read: "0.20", write30m: "2.50", write12h: "5", output: "12" },
      { promptFrom: ABOVE_272K, input: "4", read: "0.40", write30m: "5", write12h: "10", output: "18" },
    ],
  }],
  "gpt-5.6-luna": [{
    from: "2026-07-09",
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "1", read: "0.10", write30m: "1.25", write12h: "2.50", output: "6" },
      { promptFrom: ABOVE_272K, input: "2", read: "0.20", write30m: "2.50", write12h: "5", output: "9" },
    ],
  }, {
    from: "2026-07-30",
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "0.20", read: "0.02", write30m: "0.25", write12h: "0.50", output: "1.20" },
      { promptFrom: ABOVE_272K, input: "0.40", read: "0.04", write30m: "0.50", write12h: "1", output: "1.80" },
    ],
  }],
  // Writes were not billed before GPT-5.6. Fast ends at 272,000 tokens for 5.5 and 5.4.
  "gpt-5.5": [{
    from: "2026-04-23",
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "5", read: "0.50", output: "30", serviceTierPercent: { priority: 250 } },
      { promptFrom: ABOVE_272K, input: "10", read: "1", output: "45" },
    ],
  }],
  "gpt-5.5-pro": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "30", output: "180" },
      { promptFrom: ABOVE_272K, input: "60", output: "270" },
    ],
  }],
  "gpt-5.4-pro": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "30", output: "180" },
      { promptFrom: ABOVE_272K, input: "60", output: "270" },
    ],
  }],
  "gpt-5.4": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "2.50", read: "0.25", output: "15", serviceTierPercent: { priority: 200 } },
      { promptFrom: ABOVE_272K, input: "5", read: "0.50", output: "22.50" },
    ],
  }],
  "gpt-5.4-mini": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "0.75", read: "0.075", output: "4.50", serviceTierPercent: { priority: 200 } },
      { promptFrom: ABOVE_272K, input: "1.50", read: "0.15", output: "6.75" },
    ],
  }],
  "gpt-5.4-nano": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "0.20", read: "0.02", output: "1.25", serviceTierPercent: { priority: 200 } },
      { promptFrom: ABOVE_272K, input: "0.40", read: "0.04", output: "1.875" },
    ],
  }],
  "gpt-5.3-codex": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "1.75", read: "0.175", output: "14", serviceTierPercent: { priority: 200 } },
    ],
  }],
  "gpt-5.2-codex": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "1.75", read: "0.175", output: "14", serviceTierPercent: { priority: 200 } },
    ],
  }],
  "gpt-5.2": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "1.75", read: "0.175", output: "14", serviceTierPercent: { priority: 200 } },
    ],
  }],
  "gpt-5.1": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "1.25", read: "0.125", output: "10", serviceTierPercent: { priority: 200 } },
    ],
  }],
  "gpt-5.1-codex": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "1.25", read: "0.125", output: "10", serviceTierPercent: { priority: 200 } },
    ],
  }],
  "gpt-5.1-codex-max": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "1.25", read: "0.125", output: "10", serviceTierPercent: { priority: 200 } },
    ],
  }],
  "gpt-5": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "1.25", read: "0.125", output: "10", serviceTierPercent: { priority: 200 } },
    ],
  }],
  "gpt-5-codex": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "1.25", read: "0.125", output: "10", serviceTierPercent: { priority: 200 } },
    ],
  }],
  "gpt-5-mini": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "0.25", read: "0.025", output: "2", serviceTierPercent: { priority: 180 } },
    ],
  }],
  "gpt-5-nano": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "0.05", read: "0.005", output: "0.40" },
    ],
  }],
  "gpt-4.1": [{
    from: FROM_THE_FIRST,
    fastPercent: null,
    tiers: [
      { promptFrom: 0, input: "2", read: "0.50", output: "8", serviceTierPercent: { priority: 175 } },
    ],
  }],
};
