const NANO_DIGITS = 9;

/**
 * Nano-dollars as US dollars with nine places, exactly: `"0.012345678"`. RangeError for a fraction.
 */
export function costUsd(nanoDollars: number | bigint): string {
  const whole = BigInt(nanoDollars);
  const digits = String(whole < 0n ? -whole : whole).padStart(NANO_DIGITS + 1, "0");
  return `${whole < 0n ? "-" : ""}${digits.slice(0, -NANO_DIGITS)}.${digits.slice(-NANO_DIGITS)}`;
}
