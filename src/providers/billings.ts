import type { Billings } from "../domain/price.ts";
import { CLAUDE_API } from "./anthropic/billing.ts";

/**
 * How each seller bills, by the name that the semantic conventions for generative AI have for it
 * (`gen_ai.provider.name`). It stands in rows as their `provider`.
 */
export const BILLINGS: Billings = new Map([
  ["anthropic", CLAUDE_API],
]);
