/** The median; null without values. */
export function medianOf(values: readonly (number | null)[]): number | null {
  const sorted = values.filter((value) => value !== null && Number.isFinite(value)).toSorted((a, b) => a! - b!) as number[];
  const middle = sorted.length / 2;
  if (sorted.length === 0) return null;
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Of one value at least. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

export function quotient(value: number | null, by: number | null): number | null {
  return value === null || by === null || by === 0 ? null : value / by;
}

/** Three digits, or all digits before the point. */
export function show(value: number | null): string {
  if (value === null) return "-";
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** Prints lines under the keys of the first; the first column to the left, numbers to the right. */
export function printTable(lines: readonly Readonly<Record<string, string>>[]): void {
  const columns = Object.keys(lines[0] ?? {});
  const widths = columns.map((column) => Math.max(column.length, ...lines.map((line) => line[column]!.length)));
  const row = (cells: readonly string[]) =>
    cells.map((cell, index) => index === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[index]!)).join("  ");
  console.log(row(columns));
  for (const line of lines) console.log(row(columns.map((column) => line[column]!)));
}
