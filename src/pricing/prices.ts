import { CLAUDE_PRICES } from "./claude_prices.ts";
import { GEMINI_PRICES } from "./gemini_prices.ts";
import { OPENAI_PRICES } from "./openai_prices.ts";
import type { PriceList } from "./price_list.ts";

/**
 * All built-in prices. The version is the day of the last change to one of them.
 *
 * Only Anthropic's tools have a price a use. OpenAI's searches differ by model, and Google's are
 * free up to a number a month, so that no single use has a price.
 */
export const PRICES: PriceList = {
  ...CLAUDE_PRICES,
  version: "2026-11-29",
  models: { ...CLAUDE_PRICES.models, ...OPENAI_PRICES, ...GEMINI_PRICES },
};
