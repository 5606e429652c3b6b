import type { Billing, Billings } from "../domain/price.ts";
import { CLAUDE_API } from "./anthropic/billing.ts";
import { CLAUDE_ON_BEDROCK } from "./bedrock/billing.ts";
import { GEMINI_API } from "./gemini/billing.ts";
import { OPENAI_API } from "./openai/billing.ts";
import { VERTEX_AI } from "./vertex/billing.ts";

/**
 * How each seller bills, by the name that the semantic conventions for generative AI have for it
 * (`gen_ai.provider.name`). It stands in rows as their `provider`.
 */
export const BILLINGS: Billings = new Map<string, Billing>([
  ["anthropic", CLAUDE_API],
  ["openai", OPENAI_API],
  ["aws.bedrock", CLAUDE_ON_BEDROCK],
  ["gcp.vertex_ai", VERTEX_AI],
  ["gcp.gemini", GEMINI_API],
]);
