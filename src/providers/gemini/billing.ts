import type { Billing, ServiceTier } from "../../domain/price.ts";
import { PLAIN } from "../plain_call.ts";

/** As `usageMetadata` names them: `serviceTier` of the Gemini API, `trafficType` of Vertex AI. */
export const GOOGLE_TIERS: ReadonlyMap<string, ServiceTier | "standard"> = new Map([
  ["standard", "standard"],
  ["priority", "priority"],
  ["flex", "flex"],
  ["batch", "batch"],
  ["ON_DEMAND", "standard"],
  ["ON_DEMAND_PRIORITY", "priority"],
  ["ON_DEMAND_FLEX", "flex"],
]);

/** The prompt on the wire includes what was cached, and the output does not include thoughts. */
export const GEMINI_API = {
  ...PLAIN,
  seller: { name: "Google", service: "Gemini API" },
  billsInterrupted: true,
  namesOf: geminiNamesOf,
  serviceTiers: GOOGLE_TIERS,
  factors: { geoPercent: {} },
} as const satisfies Billing;

/**
 * `models/gemini-2.5-flash-001` means `gemini-2.5-flash`. A preview has prices of its own: of
 * `-preview-09-2025` only the date is taken off.
 */
export function geminiNamesOf(served: string): readonly string[] {
  const name = served.replace(/^.*\//, "");
  return [name, name.replace(/-\d{3}$/, "").replace(/(?<=-preview)-\d\d-20\d\d$/, "")];
}
