/** Says whether a figure stayed flat, and draws it. */

export interface Rule {
  /** The mean of the last quarter may be so many times that of the second. */
  readonly ratio: number;
  /** And so much more, for figures so small that chance outweighs a ratio. */
  readonly slack: number;
}

export interface Verdict {
  readonly second: number;
  readonly last: number;
  readonly isFlat: boolean;
}

/** Compares the last quarter with the second: in the first, pools, caches and heaps still fill. */
export function verdictOf(series: readonly number[], { ratio, slack }: Rule): Verdict {
  const quarter = Math.floor(series.length / 4);
  const second = meanOf(series.slice(quarter, 2 * quarter));
  const last = meanOf(series.slice(series.length - quarter));
  return { second, last, isFlat: last <= second * ratio + slack };
}

export interface ChartOptions {
  readonly title: string;
  readonly minutes: number;
  /** How many points to draw; each is the mean of as many values as come to it. */
  readonly points: number;
}

/** A chart in the language of https://mermaid.js.org/syntax/xyChart.html, in a fenced block. */
export function chartOf(series: readonly number[], { title, minutes, points }: ChartOptions): string {
  const count = Math.min(points, series.length);
  const at = (n: number) => Math.round(n * series.length / count);
  const line = Array.from({ length: count }, (_, n) => Math.round(meanOf(series.slice(at(n), at(n + 1)))));
  const top = Math.max(10, Math.ceil(Math.max(...line) * 1.2 / 10) * 10);
  return [
    "```mermaid",
    "xychart-beta",
    `    title "${title}"`,
    `    x-axis "minutes" 0 --> ${minutes}`,
    `    y-axis 0 --> ${top}`,
    `    line [${line.join(", ")}]`,
    "```",
  ].join("\n");
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
