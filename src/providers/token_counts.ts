/** The value if it is a count, otherwise 0: what the upstream wrote is not trusted. */
export function countOf(value: unknown): bigint {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? BigInt(value) : 0n;
}

export function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

export function atLeastNothing(count: bigint): bigint {
  return count > 0n ? count : 0n;
}
