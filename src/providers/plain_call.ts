import type { BilledCall, Billing, Priced, TokenCounts } from "../domain/price.ts";
import { countOf, smaller } from "./token_counts.ts";

/** How a row is billed that is one call, and whose `tokenParts` say what of it has other prices. */
export const PLAIN = {
  callsOf: (priced) => [plainCallOf(priced)],
  kinds: ["input", "write30m", "write12h", "read", "output", "audioInput", "audioOutput", "cachedAudio"],
  tokensOf,
} as const satisfies Partial<Billing>;

/**
 * What the model got from tools, as `tokenParts` names it. It is counted as input, and no source
 * says whether it is billed.
 */
const TOOL_USE = "toolUseInput";
const KNOWN_PARTS = ["write30m", "write12h", "audioInput", "audioOutput", "cachedAudio", TOOL_USE];

function plainCallOf(priced: Priced): BilledCall {
  const tokens = tokensOf(priced);
  const parts = Object.entries(priced.tokenParts).filter(([, count]) => countOf(count) > 0n).map(([name]) => name);
  return {
    ...tokens,
    model: priced.servedModel,
    prompt: tokens.input + tokens.audioInput + tokens.write30m + tokens.write12h + tokens.read + tokens.cachedAudio,
    outcome: "answered",
    hasUnknownKind: parts.some((name) => !KNOWN_PARTS.includes(name)),
    mayCostLess: parts.includes(TOOL_USE),
  };
}

/** A part is never more than its whole. Writes whose life is not named live for 30 minutes. */
function tokensOf({ tokenParts: parts, ...priced }: Priced) {
  const [input, output] = [countOf(priced.inputTokens), countOf(priced.outputTokens)];
  const [reads, writes] = [countOf(priced.cacheReadInputTokens), countOf(priced.cacheCreationInputTokens)];
  const [audioInput, audioOutput] = [smaller(countOf(parts.audioInput), input), smaller(countOf(parts.audioOutput), output)];
  const [cachedAudio, write12h] = [smaller(countOf(parts.cachedAudio), reads), smaller(countOf(parts.write12h), writes)];
  return {
    ...{ input: input - audioInput, output: output - audioOutput, audioInput, audioOutput },
    ...{ read: reads - cachedAudio, cachedAudio, write30m: writes - write12h, write12h },
  } satisfies TokenCounts;
}
