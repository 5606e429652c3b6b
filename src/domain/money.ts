const NANO_DIGITS = 9;

/**
 * Nano-dollars as US dollars with nine places, exactly: `"0.012345678"`. RangeError for a fraction.
 */
export function costUsd(nanoDollars: number | bigint): string {
  const whole = BigInt(nanoDollars);
  const digits = String(whole < 0n ? -whole : whole).padStart(NANO_DIGITS + 1, "0");
  return `${whole < 0n ? "-" : ""}${digits.slice(0, -NANO_DIGITS)}.${digits.slice(-NANO_DIGITS)}`;
}

/**
 * The reverse of `costUsd`: whole nano-dollars of a decimal such as `5`, `0.1` or `12.50`; null for
 * any other text.
 */
export function nanoDollarsOf(text: string): number | null {
  const [, whole, fraction = ""] = /^(\d{1,7})(?:\.(\d{1,9}))?$/.exec(text) ?? [];
  if (whole === undefined) return null;
  const nano = Number(whole + fraction.padEnd(NANO_DIGITS, "0"));
  return Number.isSafeInteger(nano) ? nano : null;
}
