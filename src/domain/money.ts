const NANO_DIGITS = 9;

/** Whole nano-dollars as a decimal of US dollars with nine places (`"0.012345678"`). Exact; throws a RangeError for a fraction. */
export function costUsd(nanoDollars: number | bigint): string {
  const whole = BigInt(nanoDollars);
  const digits = String(whole < 0n ? -whole : whole).padStart(NANO_DIGITS + 1, "0");
  return `${whole < 0n ? "-" : ""}${digits.slice(0, -NANO_DIGITS)}.${digits.slice(-NANO_DIGITS)}`;
}
