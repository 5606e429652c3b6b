import { costUsd } from "../../../domain/money.ts";
import type { UsageTotals } from "../../../domain/totals.ts";
import type { Column } from "../data_table.tsx";
import { Count, Share, wholeText } from "../figures.tsx";
import { MeanTime, promptTokens, quotient, Spend } from "./cards.tsx";

/** Columns of totals, in every table of the overview. */

const CALLS = number("calls", "Calls", ({ requestCount }) => requestCount);
const FAILED = number("failed_calls", "Failed", ({ failedCount }) => failedCount);
const TOKENS = number("tokens", "Tokens", (totals) => promptTokens(totals) + totals.outputTokens);
const OUTPUT = number("output_tokens", "Output tokens", ({ outputTokens }) => outputTokens);
const CACHE_HITS = number("cache_hit_share", "Cache hits", (totals) => {
  return rounded(quotient(totals.cacheReadInputTokens, promptTokens(totals)), 4);
});
const FIRST_TOKEN = number("mean_ttft_ms", "First token (mean)", ({ ttftSumMs, timedCount }) => {
  return rounded(quotient(ttftSumMs, timedCount), 0);
});

export const ON_PAGES: readonly Column<UsageTotals>[] = [
  { ...number("cost_usd", "Spend", ({ cost }) => cost), cell: (totals) => <Spend totals={totals} /> },
  CALLS,
  {
    ...FAILED,
    cell: ({ failedCount, requestCount }) =>
      failedCount === 0 ? "0" : (
        <>
          {wholeText(failedCount)} (<Share part={failedCount} whole={requestCount} />)
        </>
      ),
  },
  TOKENS,
  OUTPUT,
  {
    ...CACHE_HITS,
    cell: (totals) => <Share part={totals.cacheReadInputTokens} whole={promptTokens(totals)} />,
  },
  { ...FIRST_TOKEN, cell: (totals) => <MeanTime totals={totals} /> },
  { key: "uncertain", title: "Not certain", isUnsorted: true, value: uncertain },
];

/** In CSV each figure is a column, and money is exact. */
export const IN_FILES: readonly Column<UsageTotals>[] = [
  { key: "cost_usd", title: "", value: ({ cost }) => costUsd(cost) },
  ...[CALLS, FAILED, TOKENS],
  number("input_tokens", "", ({ inputTokens }) => inputTokens),
  OUTPUT,
  number("cache_write_tokens", "", ({ cacheCreationInputTokens }) => cacheCreationInputTokens),
  number("cache_read_tokens", "", ({ cacheReadInputTokens }) => cacheReadInputTokens),
  ...[CACHE_HITS, FIRST_TOKEN],
  number("unpriced_calls", "", ({ unpricedCount }) => unpricedCount),
  number("unknown_calls", "", ({ unknownCount }) => unknownCount),
  number("estimated_calls", "", ({ estimatedCount }) => estimatedCount),
];

function number(key: string, title: string, value: (totals: UsageTotals) => number | bigint | null): Column<UsageTotals> {
  return { key, title, isNumber: true, value, cell: (totals) => <Count value={value(totals) ?? 0} isShort /> };
}

function rounded(value: number | null, places: number): number | null {
  return value === null ? null : Number(value.toFixed(places));
}

function uncertain({ unpricedCount, unknownCount, estimatedCount }: UsageTotals): string {
  const counts = [[unpricedCount, "unpriced"], [unknownCount, "unknown"], [estimatedCount, "estimated"]] as const;
  return counts.filter(([count]) => count > 0).map(([count, word]) => `${wholeText(count)} ${word}`).join(", ");
}
