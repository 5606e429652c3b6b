import { createHash } from "node:crypto";

/** Crockford's base32, as ULIDs have it. */
const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BITS_A_DIGIT = 5;
const HASH_BITS = 256;

/** The first `count` base32 digits of the SHA-256 of the values' JSON: the same everywhere. */
export function hashedDigits(values: readonly unknown[], count: number): string {
  const hash = createHash("sha256").update(JSON.stringify(values)).digest("hex");
  let bits = BigInt(`0x${hash}`) >> BigInt(HASH_BITS - BITS_A_DIGIT * count);
  let digits = "";
  for (let n = 0; n < count; n++) {
    digits = DIGITS[Number(bits & 31n)] + digits;
    bits >>= BigInt(BITS_A_DIGIT);
  }
  return digits;
}
