const MB = 1024 * 1024;

/**
 * A request may hold 50 MB of files, which is 67 million characters of base64
 * (https://platform.openai.com/docs/guides/pdf-files). No limit of the whole body is documented.
 */
export const MAX_BODY_BYTES = 64 * MB;

/** Marks where a prefix ends that is to be cached. */
export const CACHE_MARK_KEY = "prompt_cache_breakpoint";

export function plainTextOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

export function maxTokensOf(value: unknown): number | null {
  return Number.isSafeInteger(value) && value as number >= 0 ? value as number : null;
}

/**
 * What names the session of some clients: Codex's `client_metadata` as JSON text, otherwise the
 * `prompt_cache_key` as it is.
 */
export function userTextOf(values: ReadonlyMap<string, unknown>): string | null {
  const metadata = values.get("client_metadata");
  if (typeof metadata === "object" && metadata !== null) return JSON.stringify(metadata);
  return plainTextOf(values.get("prompt_cache_key"));
}
