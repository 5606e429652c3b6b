import type { Billing, Priced } from "../../domain/price.ts";
import { baseModel, CLAUDE } from "../anthropic/billing.ts";
import { DEARER_IN_ONE_PLACE, isSameEverywhere } from "../anthropic/resold.ts";
import { geminiNamesOf, GOOGLE_TIERS } from "../gemini/billing.ts";
import { PLAIN } from "../plain_call.ts";

/**
 * Anthropic's prices hold in `locations/global`, those of the Gemini API in all locations. Google
 * sells other tiers by commitment; they have no price.
 */
export const VERTEX_AI = {
  seller: { name: "Google Cloud", service: "Vertex AI" },
  billsInterrupted: false,
  callsOf: (priced) => billingOf(priced).callsOf(priced),
  kinds: [...new Set([...CLAUDE.kinds, ...PLAIN.kinds])],
  tokensOf: (priced) => billingOf(priced).tokensOf(priced),
  namesOf: (served) => isGemini(served) ? geminiNamesOf(served) : [baseModel(served)],
  serviceTiers: GOOGLE_TIERS,
  factors: DEARER_IN_ONE_PLACE,
  isSameEverywhere: (served) => isGemini(served) || isSameEverywhere(served),
} as const satisfies Billing;

function billingOf({ servedModel }: Priced): Pick<Billing, "callsOf" | "tokensOf"> {
  return servedModel !== null && isGemini(servedModel) ? PLAIN : CLAUDE;
}

function isGemini(served: string): boolean {
  return /(^|\/)gemini-/.test(served);
}
