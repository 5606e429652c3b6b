import type { Billing } from "../../domain/price.ts";
import { baseModel, CLAUDE } from "../anthropic/billing.ts";
import { DEARER_IN_ONE_PLACE, isSameEverywhere } from "../anthropic/resold.ts";

/** The geographies of profiles, and a region for a model without a profile. */
const PLACES = ["us", "us-gov", "ca", "eu", "jp", "au", "apac", "regional"];

/**
 * Anthropic's prices hold for the profile `global`. For the service tiers `flex`, `priority` and
 * `reserved` no factor is known. Whether a declined call is billed is not known either.
 */
export const CLAUDE_ON_BEDROCK = {
  ...CLAUDE,
  seller: { name: "AWS", service: "Amazon Bedrock" },
  billsInterrupted: true,
  namesOf: (served) => [claudeOf(served), baseModel(claudeOf(served))],
  serviceTiers: new Map([
    ["default", "standard"],
    ["standard", "standard"],
    ["flex", "flex"],
    ["priority", "priority"],
    ["batch", "batch"],
  ]),
  factors: {
    ...DEARER_IN_ONE_PLACE,
    geoPercent: { ...DEARER_IN_ONE_PLACE.geoPercent, ...Object.fromEntries(PLACES.map((place) => [place, 110])) },
    // As with no place: it is Anthropic's word and not Amazon's.
    otherGeoPercent: null,
  },
  isSameEverywhere: (served) => isSameEverywhere(claudeOf(served)),
} as const satisfies Billing;

/**
 * `us.anthropic.claude-sonnet-4-5-20250929-v1:0` is `claude-sonnet-4-5-20250929`, also at the end
 * of the ARN of a model or of a profile of the system.
 */
function claudeOf(served: string): string {
  return served.replace(/^arn:aws[\w-]*:bedrock:[^/]*:(foundation-model|inference-profile)\//, "")
    .replace(/^([a-z]{2,6}(-gov)?\.)?anthropic\./, "")
    .replace(/-v\d+(:\d+)?$/, "");
}
