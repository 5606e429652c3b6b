import { createHash, timingSafeEqual } from "node:crypto";

/** In constant time, whatever the lengths. An empty secret is never the same. */
export function isSameSecret(given: string, secret: string): boolean {
  return secret !== "" && timingSafeEqual(sha256(given), sha256(secret));
}

function sha256(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}
