import { type Outcome, runLoad } from "./load.ts";
import type { Load, Suite } from "./loads.ts";
import { cpuMs, family, MACHINE_CORES, machineMs, rssMb } from "./processes.ts";
import type { Contender } from "./site.ts";

/** One load on one contender in one round. */
export interface Sample extends Outcome {
  /** Of the contender's process, microseconds a unit; null for `direct`. */
  readonly cpuUs: number | null;
  readonly rssMb: number | null;
  /** The same for the generator and the upstream. */
  readonly generatorUs: number;
  readonly upstreamUs: number;
  /** Of one core, used by generator and upstream together. Near 1 they are what is measured. */
  readonly generatorShare: number;
  /** Of the machine, used by programs that are not part of the bench. */
  readonly othersShare: number;
}

/** The rounds of one load, by contender. */
export type Rounds = ReadonlyMap<Contender, readonly Sample[]>;

interface Options {
  readonly contenders: readonly Contender[];
  readonly rounds: number;
  readonly upstreamPid: number;
  /** Counts up all calls, the warm-up's too. */
  readonly callsMade: Map<Contender, number>;
}

const RSS_POLL_MS = 250;
const SETTLE_MS = 150;
const WARM_UP_STREAMS = 100;
const WARM_UP_MS = 6_000;

/** Runs a warm-up, and then each load on each contender, round by round. */
export async function measure(suite: Suite, options: Options): Promise<ReadonlyMap<Load, Rounds>> {
  const of = (load: Load) => options.contenders.filter(({ name }) => load.contenders.includes(name));
  const samples = new Map(suite.loads.map((load) => [load, new Map(of(load).map((one) => [one, [] as Sample[]]))]));
  for (const load of suite.loads) {
    const warmUp = { ...load, atOnce: Math.min(load.atOnce, WARM_UP_STREAMS) };
    for (const contender of of(load)) {
      const deadline = performance.now() + WARM_UP_MS;
      for (let calls = 0; calls < suite.warmUpCalls && performance.now() < deadline;) {
        calls += (await sampleOf(warmUp, { ...options, contender })).calls;
      }
    }
  }
  for (let round = 0; round < options.rounds; round++) {
    for (const load of suite.loads) {
      // In turns forward and backward, so that no contender always follows the same one.
      const order = round % 2 === 0 ? of(load) : of(load).toReversed();
      for (const contender of order) samples.get(load)!.get(contender)!.push(await sampleOf(load, { ...options, contender }));
    }
  }
  return samples;
}

async function sampleOf(load: Load, options: Options & { readonly contender: Contender }): Promise<Sample> {
  const { contender, upstreamPid, callsMade } = options;
  // The load before may have left work, such as closing connections.
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const relay = contender.process === null ? [] : family(contender.process.pid);
  const cpu = () => ({ relay: cpuMs(relay), generator: cpuMs([Deno.pid]), upstream: cpuMs([upstreamPid]), machine: machineMs() });
  const before = cpu();
  const start = performance.now();
  let rss = 0;
  const watching = setInterval(() => rss = Math.max(rss, rssMb(relay)), RSS_POLL_MS);
  const outcome = await runLoad(contender, load);
  clearInterval(watching);
  const after = cpu();
  const ms = performance.now() - start;
  callsMade.set(contender, (callsMade.get(contender) ?? 0) + outcome.calls + outcome.errors);
  const units = load.unit === "call" ? outcome.calls : outcome.events;
  const perUnit = (ms: number) => ms * 1000 / units;
  const ours = after.generator - before.generator + after.upstream - before.upstream;
  const others = after.machine - before.machine - ours - (after.relay - before.relay);
  return {
    ...outcome,
    cpuUs: contender.process === null ? null : perUnit(after.relay - before.relay),
    rssMb: contender.process === null ? null : Math.max(rss, rssMb(relay)),
    generatorUs: perUnit(after.generator - before.generator),
    upstreamUs: perUnit(after.upstream - before.upstream),
    generatorShare: ours / ms,
    othersShare: Math.max(0, others / ms / MACHINE_CORES),
  };
}
