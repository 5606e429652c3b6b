import type { Load } from "./loads.ts";
import type { Sample } from "./measure.ts";
import { medianOf, quotient, show } from "./table.ts";

/** The samples of one load, by contender. */
export type SamplesOf = ReadonlyMap<string, readonly Sample[]>;
export type Summary = ReturnType<typeof summariesOf>[number];

/** Of one load: the medians of each contender. Ratios are made within a round. */
export function summariesOf(rounds: SamplesOf) {
  const of = (name: string) => rounds.get(name) ?? null;
  const direct = of("direct")!;
  const floor = of("relay-untouched") ?? of("unrecorded");
  return [...rounds].map(([contender, rows]) => {
    const median = (value: (row: Sample) => number | null) => medianOf(rows.map(value));
    const ratio = (value: (row: Sample) => number | null, to: readonly Sample[] | null) =>
      to === null ? null : medianOf(rows.map((row, round) => quotient(value(row), value(to[round]!))));
    const added = (value: (row: Sample) => number) =>
      contender === "direct" ? null : medianOf(rows.map((row, round) => value(row) - value(direct[round]!)));
    return {
      contender,
      calls: rows.reduce((sum, row) => sum + row.calls, 0),
      errors: rows.reduce((sum, row) => sum + row.errors, 0),
      firstError: rows.find((row) => row.firstError !== null)?.firstError ?? null,
      callsPerSecond: median((row) => row.calls / row.seconds),
      rateToDirect: ratio((row) => row.calls / row.seconds, direct),
      rateToFloor: ratio((row) => row.calls / row.seconds, floor),
      wholeMs: { p50: median((row) => row.whole.p50), p99: median((row) => row.whole.p99) },
      addedWholeMs: { p50: added((row) => row.whole.p50), p99: added((row) => row.whole.p99) },
      firstByteMs: { p50: median((row) => row.firstByte.p50), p99: median((row) => row.firstByte.p99) },
      addedFirstByteMs: { p50: added((row) => row.firstByte.p50), p99: added((row) => row.firstByte.p99) },
      eventMs: { p50: median((row) => row.event.p50), p99: median((row) => row.event.p99) },
      addedEventMs: { p50: added((row) => row.event.p50), p99: added((row) => row.event.p99) },
      chunksPerEvent: median((row) => row.events === 0 ? null : row.chunks / row.events),
      cpuUs: median((row) => row.cpuUs),
      cpuToFloor: ratio((row) => row.cpuUs, floor),
      rssMb: median((row) => row.rssMb),
      generatorUs: median((row) => row.generatorUs),
      upstreamUs: median((row) => row.upstreamUs),
      generatorShare: median((row) => row.generatorShare),
      othersShare: median((row) => row.othersShare),
    };
  });
}

/** One line of a table, by column name. */
export function lineOf(row: Summary, load: Load): Readonly<Record<string, string>> {
  const pair = ({ p50, p99 }: { readonly p50: number | null; readonly p99: number | null }) => `${show(p50)} / ${show(p99)}`;
  const rate = { "calls/s": show(row.callsPerSecond), "of direct": show(row.rateToDirect), "of floor": show(row.rateToFloor) };
  const noise = { "generator %": percent(row.generatorShare), "others %": percent(row.othersShare) };
  const costs = {
    [`CPU us/${load.unit}`]: show(row.cpuUs),
    "CPU to floor": show(row.cpuToFloor),
    "RSS MB": show(row.rssMb),
    ...noise,
  };
  const times = { "ms p50 / p99": pair(row.wholeMs), "added ms": pair(row.addedWholeMs) };
  const first = { "first byte ms": pair(row.firstByteMs), "added to it": pair(row.addedFirstByteMs) };
  const event = { "event ms p50 / p99": pair(row.eventMs), "added ms": pair(row.addedEventMs) };
  const chunks = { "chunks/event": show(row.chunksPerEvent) };
  if (load.ask.kind === "unary") return { "": row.contender, ...rate, ...times, ...costs };
  if (load.ask.kind === "paced") return { "": row.contender, ...event, ...first, ...chunks, ...costs };
  return { "": row.contender, ...rate, ...times, ...first, ...chunks, ...costs };
}

/** One line of a table of loads on one contender. `measure`: the load that it is compared with. */
export function comparedLine(
  { key, title, unit }: Load,
  { those, measure }: { readonly those: SamplesOf; readonly measure: SamplesOf | undefined },
): Readonly<Record<string, string>> {
  const [name, rows] = [...those].at(-1)!;
  const ratio = (value: (row: Sample) => number | null) =>
    show(medianOf(rows.map((row, round) => quotient(value(row), value(measure?.get(name)?.[round] ?? row)))));
  return {
    [`on ${name}`]: `${key}: ${title}`,
    "CPU us": `${show(medianOf(rows.map(({ cpuUs }) => cpuUs)))} / ${unit}`,
    "to the first": measure === undefined ? "-" : ratio(({ cpuUs }) => cpuUs),
    "calls/s": show(medianOf(rows.map((row) => row.calls / row.seconds))),
    "others %": percent(medianOf(rows.map(({ othersShare }) => othersShare))),
  };
}

function percent(share: number | null): string {
  return share === null ? "-" : (share * 100).toFixed(0);
}
