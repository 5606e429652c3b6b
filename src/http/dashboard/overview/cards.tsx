import type { Child } from "hono/jsx";
import type { UsageTotals } from "../../../domain/totals.ts";
import { Count, Dollars, durationText, Share, shareText, wholeText } from "../figures.tsx";

interface Figure {
  readonly title: string;
  readonly cell: (totals: UsageTotals) => Child;
  /** What is compared; null: there is nothing to compare. */
  readonly value: (totals: UsageTotals) => number | null;
  /** A share is compared by the difference in points, everything else by its growth. */
  readonly isShare?: true;
  readonly hint?: (totals: UsageTotals) => Child;
}

const FIGURES: readonly Figure[] = [
  { title: "Spend", cell: (totals) => <Spend totals={totals} />, value: ({ cost }) => Number(cost), hint: spendHint },
  {
    title: "Calls",
    cell: ({ requestCount }) => <Count value={requestCount} isShort />,
    value: ({ requestCount }) => requestCount,
  },
  {
    title: "Failed calls",
    cell: ({ failedCount, requestCount }) => <Share part={failedCount} whole={requestCount} />,
    value: ({ failedCount, requestCount }) => quotient(failedCount, requestCount),
    isShare: true,
    hint: ({ failedCount }) => calls(failedCount),
  },
  {
    title: "Cache hits",
    cell: (totals) => <Share part={totals.cacheReadInputTokens} whole={promptTokens(totals)} />,
    value: (totals) => quotient(totals.cacheReadInputTokens, promptTokens(totals)),
    isShare: true,
    hint: () => "of the tokens in prompts",
  },
  {
    title: "Time to first token",
    cell: (totals) => <MeanTime totals={totals} />,
    value: ({ ttftSumMs, timedCount }) => quotient(ttftSumMs, timedCount),
    hint: ({ timedCount }) => `mean of ${wholeText(timedCount)} calls`,
  },
];

const TOKENS: readonly Figure[] = [
  tokens("Input tokens", ({ inputTokens }) => inputTokens),
  tokens("Output tokens", ({ outputTokens }) => outputTokens),
  tokens("Cache write tokens", ({ cacheCreationInputTokens }) => cacheCreationInputTokens),
  tokens("Cache read tokens", ({ cacheReadInputTokens }) => cacheReadInputTokens),
];

/** The figures of a span, each against those of the span before it. */
export function Cards({ totals, before }: { readonly totals: UsageTotals; readonly before: UsageTotals }) {
  return (
    <>
      <FigureCards figures={FIGURES} totals={totals} before={before} />
      <FigureCards figures={TOKENS} totals={totals} before={before} />
    </>
  );
}

function FigureCards({ figures, totals, before }: {
  readonly figures: readonly Figure[];
  readonly totals: UsageTotals;
  readonly before: UsageTotals;
}) {
  return (
    <dl class="cards">
      {figures.map((figure) => (
        <div class="card">
          <dt>{figure.title}</dt>
          <dd class="value">{figure.cell(totals)}</dd>
          {figure.hint === undefined ? null : <dd class="hint">{figure.hint(totals)}</dd>}
          {before.requestCount === 0
            ? null
            : <dd class="hint">before {figure.cell(before)}{changeText(figure, totals, before)}</dd>}
        </div>
      ))}
    </dl>
  );
}

/** Calls without a price are not a spend of $0, even beside failed calls that cost nothing. */
export function Spend({ totals: { cost, unpricedCount, unknownCount } }: { readonly totals: UsageTotals }) {
  if (cost === 0n && unpricedCount > 0) return <Dollars nano={null} />;
  if (cost === 0n && unknownCount > 0) return <span class="missing">unknown</span>;
  return <Dollars nano={cost} />;
}

export function MeanTime({ totals: { ttftSumMs, timedCount } }: { readonly totals: UsageTotals }) {
  const mean = quotient(ttftSumMs, timedCount);
  return mean === null ? <span class="missing">–</span> : <>{durationText(mean)}</>;
}

/** Everything that a prompt consists of, cached or not. */
export function promptTokens({ inputTokens, cacheCreationInputTokens, cacheReadInputTokens }: UsageTotals): bigint {
  return inputTokens + cacheCreationInputTokens + cacheReadInputTokens;
}

export function quotient(part: number | bigint, whole: number | bigint): number | null {
  return BigInt(whole) === 0n ? null : Number(part) / Number(whole);
}

/** What the spend leaves out or is not sure of; nothing if every call is priced exactly. */
export function Certainty({ totals }: { readonly totals: UsageTotals }) {
  const { unpricedCount, unknownCount, partlyPricedCount, estimatedCount, estimatedCost, cost, retryCount, retriedCost } = totals;
  const lines: readonly (readonly [count: number, line: Child])[] = [
    [unpricedCount, `Without a price: ${calls(unpricedCount)}, missing in the spend and not $0.`],
    [unknownCount, `With unknown usage: ${calls(unknownCount)}, missing in tokens and spend.`],
    [partlyPricedCount, `Partly without a price: ${calls(partlyPricedCount)}. The spend has the rest of each.`],
    [
      estimatedCount,
      <>
        Estimated: {calls(estimatedCount)}, <Dollars nano={estimatedCost} />, {shareText(estimatedCost, cost)} of the spend.
      </>,
    ],
    [
      retryCount,
      <>
        Retries: {calls(retryCount)}. The attempts before them cost <Dollars nano={retriedCost} />.
      </>,
    ],
  ];
  const found = lines.filter(([count]) => count > 0);
  if (found.length === 0) return <p class="hint">Every call is priced, and its usage is exact.</p>;
  return (
    <section class="panel" aria-label="What is not certain">
      <ul>{found.map(([, line]) => <li>{line}</li>)}</ul>
    </section>
  );
}

function calls(count: number): string {
  return count === 1 ? "1 call" : `${wholeText(count)} calls`;
}

function tokens(title: string, of: (totals: UsageTotals) => bigint): Figure {
  return { title, cell: (totals) => <Count value={of(totals)} isShort />, value: (totals) => Number(of(totals)) };
}

function spendHint({ unpricedCount, unknownCount }: UsageTotals): Child {
  const left = unpricedCount + unknownCount;
  return left === 0 ? "US dollars" : <span class="warn">without {calls(left)}</span>;
}

/** ` (+12.3 %)`, or ` (-0.4 points)` of a share. */
function changeText({ value, isShare }: Figure, totals: UsageTotals, before: UsageTotals): string {
  const [now, then] = [value(totals), value(before)];
  if (now === null || then === null) return "";
  if (isShare) return ` (${signed((now - then) * 100)}\u00a0points)`;
  return then === 0 ? "" : ` (${signed((now - then) / then * 100)}\u00a0%)`;
}

function signed(change: number): string {
  const text = change.toFixed(1);
  return change > 0 && text !== "0.0" ? `+${text}` : text === "-0.0" ? "0.0" : text;
}
