/**
 * What a call costs on its way through: `direct` (no relay), a minimal Deno relay (the floor of the runtime), nginx where it is
 * installed (the peer), and llmproxy with everything on: SQLite ledger, local token, metering, a log line a call.
 *
 *     deno task bench [--quick] [--only=NAME,…] [--json]
 *
 * Method. One run, all peers alive at once, each relay its own process; the upstream (`upstream.ts`) is a further one, and the
 * load generator (`load.ts`) is this one. All share the machine's cores, so calls a second depend on what else the machine
 * does; CPU per call hardly does. Rounds are interleaved (each load on each peer, then the next round) after a warm-up. Every
 * figure is the median over the rounds, every ratio the median of the ratios within a round. `added` is the peer's
 * quantile less that of `direct`; with many calls at once it is mostly queueing, with one at a time it is the way itself.
 * CPU is user and system time of the relay's process with its children (/proc/PID/stat), RSS the largest seen in the load.
 * Every answer is compared byte for byte with what the upstream sent, and at the end the ledger's calls with those made.
 * Prints a table for people and, as the last line, one JSON object.
 *
 * Linux only.
 */
import type { Ask } from "./answers.ts";
import { type Outcome, type Plan, runLoad } from "./load.ts";
import { type Peer, PEERS, type Site, startUpstream } from "./peers.ts";
import { cpuMs, rssMb } from "./processes.ts";

interface Load extends Plan {
  readonly name: string;
  /** What CPU is given for. */
  readonly unit: "call" | "event";
}

/** One load on one peer in one round. */
interface Sample extends Outcome {
  /** Of the peer's process, microseconds a unit; null for `direct`. */
  readonly cpuUs: number | null;
  readonly rssMb: number | null;
  /** Shares of a core that the generator and the upstream took themselves. */
  readonly generatorCores: number;
  readonly upstreamCores: number;
}

const RSS_POLL_MS = 250;
const SETTLE_MS = 150;

const isQuick = Deno.args.includes("--quick");
const rounds = isQuick ? 2 : 3;
const loads = loadsFor(isQuick ? { short: 0.3, long: 0.8, pacedEvents: 50 } : { short: 0.7, long: 2.5, pacedEvents: 160 });

const dir = await Deno.makeTempDir({ prefix: "llmproxy_bench_" });
const upstream = await startUpstream(dir);
const peers: Peer[] = [];
const callsMade = new Map<string, number>();
try {
  await startPeers({ upstreamPort: upstream.port, dir });
  const samples = await measure();
  report(samples, await ledgerCheck());
} finally {
  await Promise.all([...peers.map((peer) => peer.process?.stop()), upstream.process.stop()]);
  await Deno.remove(dir, { recursive: true });
}

function loadsFor(seconds: { readonly short: number; readonly long: number; readonly pacedEvents: number }): Load[] {
  const unary: Ask = { kind: "unary" };
  const stream: Ask = { kind: "stream", events: 300 };
  const paced: Ask = { kind: "paced", events: seconds.pacedEvents, perSecond: 20 };
  return [
    { name: "small unary call, one at a time", ask: unary, atOnce: 1, seconds: seconds.short, unit: "call" },
    { name: "small unary call, 16 at once", ask: unary, atOnce: 16, seconds: seconds.long, unit: "call" },
    { name: "stream of 300 events, one at a time", ask: stream, atOnce: 1, seconds: seconds.short, unit: "event" },
    { name: "stream of 300 events, 16 at once", ask: stream, atOnce: 16, seconds: seconds.long, unit: "event" },
    { name: "500 streams at once, 20 events/s each", ask: paced, atOnce: 500, seconds: 0, unit: "event" },
  ];
}

async function startPeers(site: Site): Promise<void> {
  const only = Deno.args.find((arg) => arg.startsWith("--only="))?.slice("--only=".length).split(",");
  for (const start of PEERS) {
    if (only !== undefined && start.name !== "direct" && !only.includes(start.name)) continue;
    const peer = await start(site);
    if (peer === null) console.log(`${start.name} is not installed here: left out`);
    else peers.push(peer);
  }
}

async function measure(): Promise<ReadonlyMap<Load, ReadonlyMap<Peer, readonly Sample[]>>> {
  const samples = new Map(loads.map((load) => [load, new Map(peers.map((peer) => [peer, [] as Sample[]]))]));
  for (const load of loads.filter(({ seconds }) => seconds > 0)) {
    for (const peer of peers) await sample(load, peer);
  }
  for (let round = 0; round < rounds; round++) {
    for (const load of loads) {
      for (const peer of peers) samples.get(load)!.get(peer)!.push(await sample(load, peer));
    }
    console.error(`round ${round + 1} of ${rounds} is done`);
  }
  return samples;
}

async function sample(load: Load, peer: Peer): Promise<Sample> {
  // What the load before left to do, such as closing connections, is not this one's.
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const pids = { peer: peer.process?.pid ?? null, generator: Deno.pid, upstream: upstream.process.pid };
  const cpuOf = (pid: number | null) => pid === null ? 0 : pid === Deno.pid ? ownCpuMs() : cpuMs(pid);
  const before = { peer: cpuOf(pids.peer), generator: cpuOf(pids.generator), upstream: cpuOf(pids.upstream) };
  let rss = 0;
  const watching = setInterval(() => rss = Math.max(rss, pids.peer === null ? 0 : rssMb(pids.peer)), RSS_POLL_MS);
  const outcome = await runLoad(peer, load);
  clearInterval(watching);
  const units = load.unit === "call" ? outcome.calls : outcome.events;
  callsMade.set(peer.name, (callsMade.get(peer.name) ?? 0) + outcome.calls + outcome.errors);
  return {
    ...outcome,
    cpuUs: pids.peer === null ? null : (cpuOf(pids.peer) - before.peer) * 1000 / units,
    rssMb: pids.peer === null ? null : Math.max(rss, rssMb(pids.peer)),
    generatorCores: (cpuOf(pids.generator) - before.generator) / outcome.seconds / 1000,
    upstreamCores: (cpuOf(pids.upstream) - before.upstream) / outcome.seconds / 1000,
  };
}
