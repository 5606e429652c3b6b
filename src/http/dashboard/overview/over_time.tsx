import { periodStart } from "../../../domain/calendar.ts";
import { NO_TOTALS, type UsageTotals } from "../../../domain/totals.ts";
import type { InternalStore } from "../../admin_usage.ts";
import { Chart, type Series } from "../chart.tsx";
import { type Column, csvResponse, DataTable, sortedRows, tableOrderOf } from "../data_table.tsx";
import { Time } from "../figures.tsx";
import type { Range } from "../range.tsx";
import { queryOf, type Selection } from "./selection.tsx";
import { IN_FILES, ON_PAGES } from "./totals_columns.tsx";

/** The totals of one hour or day. */
export interface Step extends UsageTotals {
  readonly at: number;
}

type Asked = Pick<InternalStore, "queryUsage">;

const STEP_MS = { hour: 3_600_000, day: 86_400_000 } as const;
/** More than a span of hours or days has. */
const MOST_STEPS = 100_000;
/** A chart has colours for so many and all others. */
const MOST_MODELS = 5;
const ROWS_A_PAGE = 31;

/** Every hour or day of the span, also those without calls. */
export async function stepsOf(selection: Selection, store: Asked): Promise<readonly Step[]> {
  const { range: { since, until, step } } = selection;
  const { usage } = await store.queryUsage(queryOf(selection, { groupBy: [step], limit: MOST_STEPS }));
  const found = new Map(usage.map((group) => [group[step], group]));
  const first = periodStart(step, since);
  return Array.from({ length: Math.ceil((until - first) / STEP_MS[step]) }, (_, n) => {
    const at = first + n * STEP_MS[step];
    return { ...NO_TOTALS, ...found.get(at), at };
  });
}

/**
 * What the models that cost most have cost by the step, and all others together. `models`: all; an
 * empty name is that of calls that name none, which no filter finds.
 */
export async function spendOf(
  selection: Selection,
  { steps, models }: { readonly steps: readonly Step[]; readonly models: readonly string[] },
  store: Asked,
): Promise<readonly Series[]> {
  const named = models.filter((model) => model !== "").slice(0, MOST_MODELS);
  const costs = await Promise.all(named.map(async (model) => {
    return (await stepsOf({ ...selection, model }, store)).map(({ cost }) => cost);
  }));
  const series = named.map((name, n) => ({ name, values: costs[n]!.map(dollars) }));
  if (named.length === models.length) return series;
  const others = steps.map(({ cost }, n) => dollars(costs.reduce((rest, ofModel) => rest - ofModel[n]!, cost)));
  return [...series, { name: "all others", values: others }];
}

export function TimeCharts({ step, steps, spend }: {
  readonly step: Range["step"];
  readonly steps: readonly Step[];
  readonly spend: readonly Series[];
}) {
  const common = { kind: "bars", step, at: steps.map(({ at }) => at) } as const;
  const calls = [
    { name: "others", values: steps.map(({ failedCount, requestCount }) => requestCount - failedCount) },
    { name: "failed", values: steps.map(({ failedCount }) => failedCount) },
  ];
  return (
    <div class="charts">
      <Chart title={`Spend by ${step} and model, US dollars`} unit="usd" series={spend} {...common} />
      <Chart title={`Calls by ${step}`} unit="count" series={calls} {...common} />
    </div>
  );
}

/** The charts' numbers, the newest first. Throws `AdminRefusal` for an unknown order. */
export function TimeTable({ url, zone, step, steps }: {
  readonly url: URL;
  readonly zone: string;
  readonly step: Range["step"];
  readonly steps: readonly Step[];
}) {
  const columns: readonly Column<Step>[] = [
    { ...at(step), cell: (row) => <StepStart at={row.at} {...{ step, zone }} /> },
    ...ON_PAGES,
  ];
  const order = tableOrderOf(url, columns, { byDefault: { key: "at", isAscending: false }, name: "time" });
  const first = Number(/^\d{1,6}$/.exec(url.searchParams.get("time_cursor") ?? "")?.[0] ?? 0);
  const next = first + ROWS_A_PAGE;
  return (
    <DataTable
      caption={step === "hour" ? "Hours" : "Days (UTC)"}
      name="time"
      rows={sortedRows(steps, columns, order).slice(first, next)}
      next={next < steps.length ? String(next) : null}
      empty="There is no such page."
      {...{ url, columns, order }}
    />
  );
}

export function timeCsv(step: Range["step"], steps: readonly Step[]): Response {
  return csvResponse(`usage-by-${step}`, [at(step), ...IN_FILES], [steps]);
}

function at(step: Range["step"]): Column<Step> {
  return { key: "at", title: step === "hour" ? "Hour" : "Day", value: ({ at }) => new Date(at).toISOString() };
}

function StepStart({ at, step, zone }: { readonly at: number; readonly step: Range["step"]; readonly zone: string }) {
  return step === "hour" ? <Time at={at} zone={zone} /> : <>{new Date(at).toISOString().slice(0, "2026-01-31".length)}</>;
}

function dollars(nano: bigint): number {
  return Number(nano) / 1e9;
}
