import type { Ask } from "./answers.ts";
import { type DialectName, DIALECTS } from "./dialects.ts";
import { JS_TAPS } from "./contenders.ts";
import type { Plan } from "./load.ts";
import { BASELINE, ONE_DIALECT } from "./outsiders.ts";
import type { Place } from "./processes.ts";

export interface Load extends Plan {
  /** As `--loads` names it. */
  readonly key: string;
  readonly title: string;
  /** What CPU is given for. */
  readonly unit: "call" | "event";
  readonly contenders: readonly string[];
}

/** Loads whose contenders are all alive at once, from fresh. */
export interface Suite {
  /** `--loads` takes it for all its loads. */
  readonly key: string;
  readonly loads: readonly Load[];
  /** The key of the load that one is compared with. Null: contenders are compared. */
  readonly measure: ((load: Load) => string) | null;
  /** Where relays run; upstream and generator have another core if it is `relays`. */
  readonly place: Place;
  readonly rounds: number;
  /** On each contender before the first round, of each load; bounded in time. */
  readonly warmUpCalls: number;
}

const FEW = ["direct", "relay-untouched", BASELINE, "unrecorded", "llmproxy"];
const PEERS = ["direct", "relay-untouched", "relay-byob", "nginx", "go", BASELINE, "unrecorded", "llmproxy"];
/** A compiler speeds a proxy up during its first thousands of calls. */
const WARM_UP_CALLS = 5_000;
/** In use at once, unless the load says otherwise. */
const CONNECTIONS = 16;
const SMALL_BYTES = 10_000;
const DIALECT_CONTENDERS = ["direct", "llmproxy-dialects"];
/** There are many loads, and most of the code is the same for all. */
const DIALECT_WARM_UP_CALLS = 1_500;

const common = { atOnce: CONNECTIONS, bodyBytes: SMALL_BYTES, openSeconds: 0, unit: "call", contenders: FEW } as const;

/** Every load of the bench. `isQuick` shortens each. */
export function suitesOf(isQuick: boolean): readonly Suite[] {
  const seconds = isQuick ? 0.3 : 0.6;
  const call = { ...common, ask: { kind: "unary" }, seconds } as const;
  const alone = { atOnce: 1, seconds: seconds / 2 };
  const stream = { ...common, ask: { kind: "stream", events: 300 }, seconds, unit: "event" } as const;
  const burst = { ...common, ask: { kind: "burst", events: 300 }, seconds } as const;
  // Short rounds, because a shared machine changes its pace within seconds.
  const calls: readonly Load[] = [
    { ...call, ...alone, key: "small-alone", title: "call of 10 kB, one at a time", contenders: PEERS },
    { ...call, key: "small", title: "call of 10 kB, 16 at once", contenders: [...PEERS, ONE_DIALECT, "portkey"] },
    { ...call, key: "50k", title: "call of 50 kB, 16 at once", bodyBytes: 50_000 },
    { ...call, key: "200k", title: "call of 200 kB, 16 at once", bodyBytes: 200_000 },
    { ...call, key: "1m", title: "call of 1 MB, 16 at once", bodyBytes: 1_000_000 },
    { ...stream, ...alone, key: "stream-alone", title: "stream of 300 events, a write each, one at a time" },
    { ...stream, key: "stream", title: "stream of 300 events, a write each, 16 at once", contenders: PEERS },
    { ...burst, key: "burst", title: "stream of 300 events in one write, 16 at once", contenders: [...PEERS, ONE_DIALECT] },
  ];
  const ask: Ask = { kind: "paced", events: isQuick ? 30 : 60, perSecond: 20 };
  const paced = { ...common, ask, seconds: 0, openSeconds: 0.5, unit: "event" } as const;
  const titleOf = (streams: string) => `${streams} streams, 20 events/s each`;
  return [
    { key: "calls", loads: calls, measure: null, place: "relays", rounds: 7, warmUpCalls: isQuick ? 1 : WARM_UP_CALLS },
    {
      key: "dialects",
      loads: dialectLoads({ seconds, paced: { ...paced, atOnce: 100, contenders: DIALECT_CONTENDERS } }),
      place: "relays",
      measure: ({ key }) => key.replace(/^.*-/, "anthropic-"),
      rounds: 7,
      warmUpCalls: isQuick ? 1 : DIALECT_WARM_UP_CALLS,
    },
    {
      key: "paced-500",
      loads: [{
        ...paced,
        key: "paced-500",
        title: titleOf("500"),
        atOnce: 500,
        contenders: ["direct", "relay-untouched", ...JS_TAPS, "nginx", "go", BASELINE, "unrecorded", "llmproxy"],
      }],
      place: "relays",
      measure: null,
      rounds: 5,
      warmUpCalls: 1,
    },
    {
      key: "paced-1000",
      loads: [{
        ...paced,
        key: "paced-1000",
        title: titleOf("1,000"),
        atOnce: 1000,
        contenders: ["direct", "relay-byob", "nginx", "go", BASELINE, "unrecorded", "llmproxy"],
      }],
      place: "relays",
      measure: null,
      rounds: 5,
      warmUpCalls: 1,
    },
    {
      key: "workers-1000",
      loads: [{
        ...paced,
        key: "workers-1000",
        title: `${titleOf("1,000")}, all cores for everyone`,
        atOnce: 1000,
        contenders: ["direct", "llmproxy", "llmproxy-workers"],
      }],
      place: "anywhere",
      measure: null,
      rounds: 5,
      warmUpCalls: 1,
    },
  ];
}

/** What is compared between dialects, as `--loads` and the targets name it behind the dialect. */
export const DIALECT_LOADS = ["small", "burst", "paced"] as const;

/** The same loads in each dialect, through one process. The first dialect is the measure. */
function dialectLoads({ seconds, paced }: { readonly seconds: number; readonly paced: Omit<Load, "key" | "title"> }): Load[] {
  const names = Object.keys(DIALECTS) as DialectName[];
  const call = { ...common, seconds, contenders: DIALECT_CONTENDERS } as const;
  return names.flatMap((dialect) => {
    const { title } = DIALECTS[dialect];
    const [small, burst, slow] = DIALECT_LOADS.map((load) => `${dialect}-${load}`);
    return [
      { ...call, key: small!, title: `${title}: call of 10 kB, 16 at once`, ask: { dialect, kind: "unary" } },
      {
        ...call,
        key: burst!,
        title: `${title}: stream of 300 events in one write`,
        ask: { dialect, kind: "burst", events: 300 },
      },
      { ...paced, key: slow!, title: `${title}: 100 streams, 20 events/s each`, ask: { ...paced.ask, dialect } },
    ];
  });
}
