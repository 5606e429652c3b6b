import { createHash } from "node:crypto";

/** SHA-256 (hex) of the whole token: what a token is kept and cached under. */
export function sha256OfToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
