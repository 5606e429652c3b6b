import type { IdleShares, StartTimes } from "./lifetime.ts";
import type { Sample } from "./measure.ts";
import { JS_TAPS } from "./contenders.ts";
import { DIALECTS } from "./dialects.ts";
import { DIALECT_LOADS } from "./loads.ts";
import { BASELINE, ONE_DIALECT } from "./outsiders.ts";
import { medianOf, quotient, show } from "./table.ts";

/** All that a run measured: the rounds of a load by contender, by the load's key. */
export interface Results {
  readonly rounds: ReadonlyMap<string, ReadonlyMap<string, readonly Sample[]>>;
  readonly idle: IdleShares;
  readonly starts: StartTimes;
}

type Value = (sample: Sample) => number | null;

const VALUES = {
  cpu: (sample) => sample.cpuUs,
  rate: (sample) => sample.calls / sample.seconds,
  eventP99: (sample) => sample.event.p99,
  firstByteP50: (sample) => sample.firstByte.p50,
  rss: (sample) => sample.rssMb,
} as const satisfies Record<string, Value>;

/** A row of the table of issue 10, or a part of issue 13's acceptance 8. */
export interface TargetRow {
  readonly work: string;
  readonly limit: { readonly atMost: number } | { readonly atLeast: number };
  /** Null if this run did not measure it. */
  readonly figure: (results: Results) => number | null;
}

const LLMPROXY = "llmproxy";
const UNTOUCHED = "relay-untouched";

/** Whose rate the upstream sets: recording then shows in CPU alone. */
const PACED = ["paced-500", "paced-1000"];
const RECORDED = ["small-alone", "small", "50k", "200k", "1m", "stream-alone", "stream", "burst", ...PACED];

export const TARGETS: readonly TargetRow[] = [
  against("CPU per small call, against e945b04", { load: "small", value: "cpu", to: [BASELINE], atMost: 0.48 }),
  against("CPU per small call, against the untouched relay", { load: "small", value: "cpu", to: [UNTOUCHED], atMost: 2.5 }),
  against("CPU per call of 200 kB, against the untouched relay", { load: "200k", value: "cpu", to: [UNTOUCHED], atMost: 2 }),
  against("CPU per call of 1 MB, against the untouched relay", { load: "1m", value: "cpu", to: [UNTOUCHED], atMost: 2 }),
  against("streams of 300 events in one write a second, against the BYOB relay", {
    load: "burst",
    value: "rate",
    to: ["relay-byob"],
    atLeast: 0.7,
  }),
  against("the same, against the Go proxy", { load: "burst", value: "rate", to: ["go"], atLeast: 1.2 }),
  against("CPU per paced event, against the best tap", { load: "paced-500", value: "cpu", to: JS_TAPS, atMost: 1.2 }),
  plain("1,000 paced streams: event late p99, ms", { value: "eventP99", atMost: 60 }),
  plain("1,000 paced streams: first byte p50, ms", { value: "firstByteP50", atMost: 120 }),
  plain("1,000 paced streams: RSS, MB", { value: "rss", atMost: 260 }),
  against("small calls a second, against Portkey", { load: "small", value: "rate", to: ["portkey"], atLeast: 9 }),
  ...RECORDED.map(recording),
  {
    work: "workers against one, 1,000 paced streams: event late p99",
    limit: { atMost: 0.5 },
    figure: ({ rounds }) => ratioOf(rounds.get("workers-1000"), { value: "eventP99", of: "llmproxy-workers", to: LLMPROXY }),
  },
  { work: "idle CPU, percent of a core", limit: { atMost: 0.3 }, figure: ({ idle }) => idle.get(LLMPROXY) ?? null },
  {
    work: "start to first answered call, from source, ms",
    limit: { atMost: 600 },
    figure: ({ starts }) => starts.get(LLMPROXY)?.ms ?? null,
  },
  {
    work: "start to first answered call, compiled, ms",
    limit: { atMost: 200 },
    figure: ({ starts }) => starts.get("llmproxy-executable")?.ms ?? null,
  },
  ...["small", "burst"].map((load) =>
    against(`CPU of Anthropic's ${load}, against ${ONE_DIALECT}`, { load, value: "cpu", to: [ONE_DIALECT], atMost: 1.02 })
  ),
  ...Object.keys(DIALECTS).slice(1).flatMap((dialect) => DIALECT_LOADS.map((load) => besideAnthropic(dialect, load))),
];

/** Lines for `printTable`. */
export function targetLines(results: Results): Readonly<Record<string, string>>[] {
  return TARGETS.map(({ work, limit, figure }) => {
    const got = figure(results);
    const isMet = got === null ? null : "atMost" in limit ? got <= limit.atMost : got >= limit.atLeast;
    const target = "atMost" in limit ? `<= ${limit.atMost}` : `>= ${limit.atLeast}`;
    return {
      "target of issues 10 and 13": work,
      target,
      figure: show(got),
      met: isMet === null ? "NOT MEASURED" : isMet ? "yes" : "no",
    };
  });
}

type ValueName = keyof typeof VALUES;
type Limit = { readonly atMost: number } | { readonly atLeast: number };

/** With several contenders in `to` it compares with the one whose median is lowest. */
function against(
  work: string,
  options: { readonly load: string; readonly value: ValueName; readonly to: readonly string[] } & Limit,
): TargetRow {
  const { load, value, to } = options;
  const figure = ({ rounds }: Results) => {
    const those = rounds.get(load);
    const cost = (name: string) => medianOf(those?.get(name)?.map(VALUES[value]) ?? []) ?? Infinity;
    const best = to.toSorted((a, b) => cost(a) - cost(b))[0]!;
    return ratioOf(those, { value, of: LLMPROXY, to: best });
  };
  return { work, limit: options, figure };
}

function plain(work: string, options: { readonly value: ValueName } & Limit): TargetRow {
  const figure = ({ rounds }: Results) => medianOf(rounds.get("paced-1000")?.get(LLMPROXY)?.map(VALUES[options.value]) ?? []);
  return { work, limit: options, figure };
}

function recording(load: string): TargetRow {
  const isPaced = PACED.includes(load);
  const work = `recording against not, ${isPaced ? "CPU, inverse" : "calls a second"}: ${load}`;
  const figure = ({ rounds }: Results) => {
    const those = rounds.get(load);
    if (isPaced) return ratioOf(those, { value: "cpu", of: "unrecorded", to: LLMPROXY });
    return ratioOf(those, { value: "rate", of: LLMPROXY, to: "unrecorded" });
  };
  return { work, limit: { atLeast: 0.92 }, figure };
}

/** In the same process and round. */
function besideAnthropic(dialect: string, load: string): TargetRow {
  const figure = ({ rounds }: Results) => {
    const samplesOf = (name: string) => rounds.get(`${name}-${load}`)?.get("llmproxy-dialects");
    const [own, measure] = [samplesOf(dialect), samplesOf("anthropic")];
    if (own === undefined || measure === undefined) return null;
    return ratioOf(new Map([[dialect, own], ["anthropic", measure]]), { value: "cpu", of: dialect, to: "anthropic" });
  };
  return { work: `CPU of ${dialect}-${load}, against Anthropic's`, limit: { atMost: 1.15 }, figure };
}

/** The median of the ratios within a round. */
function ratioOf(
  rounds: ReadonlyMap<string, readonly Sample[]> | undefined,
  options: { readonly value: ValueName; readonly of: string; readonly to: string },
): number | null {
  const value = VALUES[options.value];
  const [of, to] = [rounds?.get(options.of), rounds?.get(options.to)];
  if (of === undefined || to === undefined) return null;
  return medianOf(of.map((sample, round) => quotient(value(sample), value(to[round]!))));
}
