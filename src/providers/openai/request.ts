import type { BodyFacts } from "../../domain/provider.ts";
import type { UsageReading } from "../../domain/reading.ts";
import { OPENAI_API } from "./billing.ts";

const MB = 1024 * 1024;

/**
 * A request may hold 50 MB of files, which is 67 million characters of base64
 * (https://platform.openai.com/docs/guides/pdf-files). No limit of the whole body is documented.
 */
export const MAX_BODY_BYTES = 64 * MB;

/** The hosts that keep data in one region: `us.api.openai.com`, `eu.api.openai.com`. */
const REGIONAL_HOST = /^https:\/\/([a-z]{2,4})\.api\.openai\.com(?=[:/]|$)/;

/** The region, which costs more. */
export function geoOf(baseUrl: string): string | null {
  return REGIONAL_HOST.exec(baseUrl)?.[1] ?? null;
}

/** An answer does not name its region, and one that breaks names no service tier: the asked one. */
export function unsaid({ speed, inferenceGeo }: BodyFacts): Partial<UsageReading> {
  const tier = OPENAI_API.serviceTiers.get(speed ?? "standard");
  return { inferenceGeo, ...(tier === undefined || tier === "standard" ? {} : { speed }) };
}

/** Marks where a prefix ends that is to be cached. */
export const CACHE_MARK_KEY = "prompt_cache_breakpoint";

export function plainTextOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

export function maxTokensOf(value: unknown): number | null {
  return Number.isSafeInteger(value) && value as number >= 0 ? value as number : null;
}
