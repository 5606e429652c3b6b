/**
 * Measures the cost of a call: `direct` (no relay), a minimal Deno relay (the runtime's floor),
 * nginx if it is installed (the peer), and llmproxy with everything on: SQLite ledger, local token,
 * metering, a log line a call.
 *
 * deno task bench [--quick] [--only=minimal-relay,nginx,llmproxy] deno task bench --suite=taps
 * the ways to watch a stream, for src/wire/tap.ts deno task bench --suite=recording   llmproxy
 * without ledger (the floor), embedded, with PostgreSQL
 *
 * Method. One run with all peers alive at once, each relay in its own process. The upstream
 * (`upstream.ts`) is another process, and the load generator (`load.ts`) is this one. All share the
 * machine's cores: calls a second depend on its other work, CPU per call hardly does. After a
 * warm-up rounds are interleaved: each load on each peer, then the next round. Every figure is the
 * median over the rounds, every ratio the median of the ratios within a round. `added` is the
 * peer's quantile less that of `direct`: with many calls at once mostly queueing, with one at a
 * time the path itself. CPU is user and system time of the relay's process with its children
 * (/proc/PID/stat), RSS the largest in the load. The bench compares every answer byte for byte with
 * what the upstream sent, and at the end the ledger's calls with the calls it made. It prints a
 * table and, as the last line, one JSON object.
 *
 * Linux only.
 */
import type { Ask } from "./answers.ts";
import { type Outcome, type Plan, runLoad } from "./load.ts";
import { type Peer, PEERS, type Site, startUpstream } from "./peers.ts";
import { cpuMs, family, rssMb, stopAll } from "./processes.ts";
import { medianOf, printTable, quotient, show } from "./table.ts";

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
  /** The same for the generator and the upstream. */
  readonly generatorUs: number;
  readonly upstreamUs: number;
}

type Samples = ReadonlyMap<Load, ReadonlyMap<Peer, readonly Sample[]>>;

const RSS_POLL_MS = 250;
const SETTLE_MS = 150;
/** How long the last rows may take to come to a shared database. */
const RECORDED_MS = 30_000;

const suite = argument("suite") ?? "peers";
const isQuick = Deno.args.includes("--quick");
// Short rounds, because a shared machine changes its pace within seconds. Many rounds, if the peers
// differ by hundredths.
const rounds = isQuick ? 3 : suite === "recording" ? 31 : 9;
const loads = loadsFor(isQuick ? { short: 0.2, long: 0.6, pacedEvents: 30 } : { short: 0.3, long: 0.7, pacedEvents: 40 });

const dir = await Deno.makeTempDir({ prefix: "llmproxy_bench_" });
const peers: Peer[] = [];
const after: (() => Promise<void>)[] = [];
const callsMade = new Map<Peer, number>();
try {
  const upstream = await startUpstream(dir);
  await startPeers({ upstreamPort: upstream.port, dir, after });
  const samples = await measure(upstream.process.pid);
  await report(samples);
} finally {
  await stopAll();
  for (const end of after) await end();
  await Deno.remove(dir, { recursive: true });
}

function loadsFor(seconds: { readonly short: number; readonly long: number; readonly pacedEvents: number }): Load[] {
  const unary: Ask = { kind: "unary" };
  const stream: Ask = { kind: "stream", events: 300 };
  const many = { name: "500 streams at once, 20 events/s each", atOnce: 500, seconds: 0, unit: "event" } as const;
  const paced: Ask = { kind: "paced", events: seconds.pacedEvents, perSecond: 20 };
  return [
    { name: "small unary call, one at a time", ask: unary, atOnce: 1, seconds: seconds.short, unit: "call" },
    { name: "small unary call, 16 at once", ask: unary, atOnce: 16, seconds: seconds.long, unit: "call" },
    { name: "stream of 300 events, one at a time", ask: stream, atOnce: 1, seconds: seconds.short, unit: "event" },
    { name: "stream of 300 events, 16 at once", ask: stream, atOnce: 16, seconds: seconds.long, unit: "event" },
    // The upstream sets its pace, so it says nothing about the cost of recording.
    ...(suite === "recording" ? [] : [{ ...many, ask: paced }]),
  ];
}

async function startPeers(site: Site): Promise<void> {
  const only = argument("only")?.split(",");
  for (const { name, start, suite: theirs } of PEERS) {
    if (name !== "direct" && !(only?.includes(name) ?? theirs === suite)) continue;
    const peer = await start(site);
    if (peer === null) console.log(`${name} is not installed here and is left out.`);
    else peers.push(peer);
  }
}

function argument(name: string): string | undefined {
  return Deno.args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
}

async function measure(upstreamPid: number): Promise<Samples> {
  const samples = new Map(loads.map((load) => [load, new Map(peers.map((peer) => [peer, [] as Sample[]]))]));
  for (const load of loads.filter(({ seconds }) => seconds > 0)) {
    for (const peer of peers) await sampleOf(load, { peer, upstreamPid });
  }
  for (let round = 0; round < rounds; round++) {
    // In turns forward and backward, so that no peer always follows the same one.
    const order = round % 2 === 0 ? peers : peers.toReversed();
    for (const load of loads) {
      for (const peer of order) samples.get(load)!.get(peer)!.push(await sampleOf(load, { peer, upstreamPid }));
    }
  }
  return samples;
}

async function sampleOf(load: Load, options: { readonly peer: Peer; readonly upstreamPid: number }): Promise<Sample> {
  const { peer, upstreamPid } = options;
  // The load before may have left work, such as closing connections.
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const relay = peer.process === null ? [] : family(peer.process.pid);
  const cpu = () => ({ relay: cpuMs(relay), generator: cpuMs([Deno.pid]), upstream: cpuMs([upstreamPid]) });
  const before = cpu();
  let rss = 0;
  const watching = setInterval(() => rss = Math.max(rss, rssMb(relay)), RSS_POLL_MS);
  const outcome = await runLoad(peer, load);
  clearInterval(watching);
  const after = cpu();
  callsMade.set(peer, (callsMade.get(peer) ?? 0) + outcome.calls + outcome.errors);
  const units = load.unit === "call" ? outcome.calls : outcome.events;
  const perUnit = (ms: number) => ms * 1000 / units;
  return {
    ...outcome,
    cpuUs: peer.process === null ? null : perUnit(after.relay - before.relay),
    rssMb: peer.process === null ? null : Math.max(rss, rssMb(relay)),
    generatorUs: perUnit(after.generator - before.generator),
    upstreamUs: perUnit(after.upstream - before.upstream),
  };
}

/**
 * Prints the tables and the JSON line. Sets the exit code if an answer is wrong or a row missing.
 */
async function report(samples: Samples): Promise<void> {
  const summary = loads.map((load) => ({ load: load.name, peers: summariesOf(samples.get(load)!) }));
  for (const [index, { load, peers }] of summary.entries()) {
    console.log(`\n${load} (medians of ${rounds} rounds)`);
    printTable(peers.map((row) => lineOf(row, loads[index]!)));
  }
  const ledgers = await Promise.all(
    peers.filter((peer) => peer.recordedCalls !== null).map(async (peer) => {
      const made = callsMade.get(peer)!;
      const deadline = performance.now() + RECORDED_MS;
      let recorded = await peer.recordedCalls!();
      while (recorded !== made && performance.now() < deadline) recorded = await peer.recordedCalls!();
      console.log(`\n${peer.name}: ${made} calls made, ${recorded} on record${made === recorded ? "" : ": NOT THE SAME"}`);
      return { peer: peer.name, made, recorded };
    }),
  );
  const errors = summary.flatMap(({ load, peers }) =>
    peers.filter((row) => row.errors > 0).map((row) =>
      `${row.peer}, ${load}: ${row.errors} wrong answers, the first: ${row.firstError}`
    )
  );
  for (const line of errors) console.log(line);
  if (errors.length > 0 || ledgers.some(({ made, recorded }) => made !== recorded)) Deno.exitCode = 1;
  const rounded = (_key: string, value: unknown) => typeof value === "number" ? Number(value.toPrecision(4)) : value;
  console.log("\n" + JSON.stringify({ bench: "end_to_end", deno: Deno.version.deno, rounds, loads: summary, ledgers }, rounded));
}

function summariesOf(byPeer: ReadonlyMap<Peer, readonly Sample[]>) {
  const of = (name: string) => [...byPeer].find(([peer]) => peer.name === name)?.[1] ?? null;
  const direct = of("direct")!;
  const floor = of("minimal-relay") ?? of("relay-untouched") ?? of("unrecorded");
  return [...byPeer].map(([peer, rows]) => {
    const median = (value: (row: Sample) => number | null) => medianOf(rows.map(value));
    const ratio = (value: (row: Sample) => number | null, to: readonly Sample[] | null) =>
      to === null ? null : medianOf(rows.map((row, round) => quotient(value(row), value(to[round]!))));
    const added = (value: (row: Sample) => number) =>
      peer.process === null ? null : medianOf(rows.map((row, round) => value(row) - value(direct[round]!)));
    return {
      peer: peer.name,
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
    };
  });
}

/** One line of a table, by column name. */
function lineOf(row: ReturnType<typeof summariesOf>[number], load: Load): Readonly<Record<string, string>> {
  const pair = ({ p50, p99 }: { readonly p50: number | null; readonly p99: number | null }) => `${show(p50)} / ${show(p99)}`;
  const rate = { "calls/s": show(row.callsPerSecond), "of direct": show(row.rateToDirect), "of floor": show(row.rateToFloor) };
  const costs = { [`CPU us/${load.unit}`]: show(row.cpuUs), "CPU to floor": show(row.cpuToFloor), "RSS MB": show(row.rssMb) };
  const times = { "ms p50 / p99": pair(row.wholeMs), "added ms": pair(row.addedWholeMs) };
  const first = { "first byte ms": pair(row.firstByteMs), "added to it": pair(row.addedFirstByteMs) };
  const event = { "event ms p50 / p99": pair(row.eventMs), "added ms": pair(row.addedEventMs) };
  const chunks = { "chunks/event": show(row.chunksPerEvent) };
  if (load.ask.kind === "unary") return { "": row.peer, ...rate, ...times, ...costs };
  if (load.ask.kind === "stream") return { "": row.peer, ...rate, ...times, ...first, ...chunks, ...costs };
  return { "": row.peer, ...event, ...first, ...chunks, ...costs };
}
