import { ASSETS } from "./assets.ts";

export interface Series {
  readonly name: string;
  /** One for each time; null: nothing is known. */
  readonly values: readonly (number | null)[];
}

export interface ChartParts {
  readonly title: string;
  /** `usd` in dollars, `ms`, or `count`. */
  readonly unit: "usd" | "ms" | "count";
  readonly kind: "lines" | "bars";
  /** Milliseconds since the epoch, ascending. */
  readonly at: readonly number[];
  /** Bars stand on one another. */
  readonly series: readonly Series[];
  /** What the bars or points span: an hour or a day. */
  readonly step: "hour" | "day";
}

const MOST_IN_A_SHORT_LEGEND = 3;

/**
 * A chart of values by time. The client draws it; its place has a fixed height, so that nothing
 * moves. The same numbers are in a table beside it on the page.
 */
export function Chart({ title, ...data }: ChartParts) {
  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <div
        class={data.series.length > MOST_IN_A_SHORT_LEGEND ? "plot many" : "plot"}
        data-chart={JSON.stringify(data)}
        data-library={ASSETS.charts.path}
        role="img"
        aria-label={title}
      >
      </div>
    </figure>
  );
}
