import type { Factors } from "../../domain/price.ts";
import { baseModel } from "./billing.ts";

/**
 * Sonnet 4.5 and all later models cost 10 % more in one region or geography than anywhere in the
 * world: so Amazon's page about global inference, and Anthropic's page about Vertex AI. The figure
 * for Vertex AI is from memory.
 */
export const DEARER_IN_ONE_PLACE = {
  geoPercent: { global: 100 },
  otherGeoPercent: 110,
  unnamedGeoPercent: null,
  mostGeoPercent: 110,
} as const satisfies Factors;

/** Those with prices before Sonnet 4.5. */
const SAME_EVERYWHERE = ["opus-4-1", "opus-4", "opus-4-0", "sonnet-4", "sonnet-4-0", "3-5-haiku"].map((name) => `claude-${name}`);

/** `model` has no seller's own marks. */
export function isSameEverywhere(model: string): boolean {
  return SAME_EVERYWHERE.includes(baseModel(model));
}
