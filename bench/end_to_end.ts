/**
 * Measures the cost of a call, beside other ways to the upstream, and prints what the targets of
 * issues 10 and 13 ask for. llmproxy runs with everything on: SQLite ledger, local token, metering,
 * a log line a call.
 *
 *     deno task bench [--quick] [--loads=small,burst,idle] [--contenders=llmproxy,go] [--rounds=9]
 *                     [--restarts=1] [--workers=2] [--executable=PATH]
 *
 * `loads.ts` has the loads and their groups, besides `idle` and `start`; `contenders.ts` has the
 * contenders. What this machine does not have is named and left out. `--restarts=5` does all of it
 * five times, with fresh processes: two of one commit differ by 5 %.
 *
 * Method. Loads are grouped. A group's contenders are all alive at once, each in its own process,
 * started for the group. The upstream (`upstream.ts`) is another process, and the load generator
 * (`load.ts`) is this one. If the machine has two cores and `taskset`, relays share the first core,
 * upstream and generator the second. Calls a second depend on other work of the machine, CPU per
 * call hardly does. After a warm-up rounds are interleaved: each load on each contender, then the
 * next round. Every figure is the median over the rounds, every ratio the median of the ratios
 * within a round.
 *
 * - `added` is the contender's quantile less that of `direct`: with many calls at once mostly
 *   queueing, with one at a time the path itself.
 * - An event is late by its arrival less the time that the upstream wrote in it.
 * - CPU is user and system time of the relay's process with its children (/proc/PID/stat). RSS is
 *   the largest in the load.
 * - `generator %` is what generator and upstream used of a core. Near 100 they limit the figures.
 * - `others %` is what programs outside the bench used of the machine. With much of it, only ratios
 *   of CPU mean something.
 *
 * Request bodies differ from call to call and belong to 200 sessions. The bench compares every
 * answer byte for byte with what the upstream sent (of Portkey, which rewrites answers, text and
 * usage). It compares the ledger's calls with the calls it made. It prints tables and, as the last
 * line, one JSON object.
 *
 * Linux only.
 */
import { CONTENDERS, startContenders, startUpstream } from "./contenders.ts";
import { type IdleShares, idleShares, type StartTimes, startTimes } from "./lifetime.ts";
import { type Load, type Suite, suitesOf } from "./loads.ts";
import { measure, type Sample } from "./measure.ts";
import { canPin, moveSelf, type Running, stopAll } from "./processes.ts";
import { comparedLine, lineOf, summariesOf, type Summary } from "./report.ts";
import { type Contender, type Site } from "./site.ts";
import { printTable, show } from "./table.ts";
import { targetLines } from "./targets.ts";

/** How long the last rows may take to come to the store. */
const RECORDED_MS = 30_000;
const QUICK_ROUNDS = 3;
const START_ROUNDS = 5;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;
const INTERRUPTED = 130;

const isQuick = Deno.args.includes("--quick");
const chosenLoads = argument("loads")?.split(",");
const chosenContenders = argument("contenders")?.split(",");
const chosenRounds = argument("rounds");
const restarts = Number(argument("restarts") ?? 1);

/** The samples of a load by contender, of all restarts. */
type Pooled = Map<Load, Map<string, readonly Sample[]>>;

const rounds = new Map<string, ReadonlyMap<string, readonly Sample[]>>();
const missing = new Map<string, string>();
const loads: { readonly load: string; readonly rounds: number; readonly contenders: readonly Summary[] }[] = [];
const ledgers: { readonly contender: string; readonly made: number; readonly recorded: number }[] = [];
let idle: IdleShares = new Map();
let starts: StartTimes = new Map();

if (!canPin) console.log("This machine has one core or no taskset: relays, upstream and generator share all cores.");
refuseUnknown();
for (const suite of suitesOf(isQuick).map(chosenOf)) {
  const pooled: Pooled = new Map();
  for (let start = 0; suite.loads.length > 0 && start < restarts; start++) {
    await inSite(suite, (site, upstream) => runSuite(suite, { site, upstream, pooled }));
  }
  print(suite, pooled);
}
if (isChosen("idle")) await inSite({ place: "anywhere" }, async (site) => idle = await idleShares({ site, missing }));
if (isChosen("start")) {
  const rounds = Number(chosenRounds ?? START_ROUNDS);
  await inSite({ place: "anywhere" }, async (site) => starts = await startTimes(rounds, { site, missing }));
}
report();

function argument(name: string): string | undefined {
  return Deno.args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
}

function isChosen(load: string, suite: Pick<Suite, "key"> | null = null): boolean {
  return chosenLoads === undefined || chosenLoads.includes(load) || (suite !== null && chosenLoads.includes(suite.key));
}

function refuseUnknown(): void {
  const keys = [...suitesOf(isQuick).flatMap((suite) => [suite.key, ...suite.loads.map(({ key }) => key)]), "idle", "start"];
  const options = ["quick", "loads", "contenders", "rounds", "restarts", "workers", "executable"];
  const wrong = [
    ...Deno.args.filter((arg) => !options.includes(arg.replace(/^--/, "").replace(/=.*/, ""))),
    ...(chosenLoads ?? []).filter((name) => !keys.includes(name)),
    ...(chosenContenders ?? []).filter((name) => !(name in CONTENDERS)),
  ];
  if (wrong.length === 0) return;
  console.error(
    `Cannot read ${wrong.join(", ")}. Loads: ${[...new Set(keys)].join(", ")}. Contenders: ${
      Object.keys(CONTENDERS).join(", ")
    }.`,
  );
  Deno.exit(2);
}

function chosenOf(suite: Suite): Suite {
  const contendersOf = (load: Load) => chosenContenders === undefined ? load.contenders : ["direct", ...chosenContenders];
  return {
    ...suite,
    rounds: Number(chosenRounds ?? (isQuick ? QUICK_ROUNDS : suite.rounds)),
    loads: suite.loads.filter(({ key }) => isChosen(key, suite)).map((load) => ({ ...load, contenders: contendersOf(load) })),
  };
}

/** Gives a folder and an upstream, and ends everything that was started there. */
async function inSite({ place }: Pick<Suite, "place">, run: (site: Site, upstream: Running) => Promise<unknown>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "llmproxy_bench_" });
  const after: (() => Promise<void>)[] = [];
  const end = async () => {
    await stopAll();
    for (const one of after) await one();
    await Deno.remove(dir, { recursive: true });
  };
  const interrupt = () => void end().finally(() => Deno.exit(INTERRUPTED));
  for (const signal of SIGNALS) Deno.addSignalListener(signal, interrupt);
  await moveSelf(place === "relays" ? "generator" : "anywhere");
  try {
    const upstream = await startUpstream({ dir, place });
    const workers = argument("workers") ?? "2";
    const executable = argument("executable") ?? null;
    await run({ upstreamPort: upstream.port, dir, place, workers, executable, after }, upstream.process);
  } finally {
    for (const signal of SIGNALS) Deno.removeSignalListener(signal, interrupt);
    await end();
  }
}

async function runSuite(
  suite: Suite,
  { site, upstream, pooled }: { readonly site: Site; readonly upstream: Running; readonly pooled: Pooled },
): Promise<void> {
  const contenders = await startContenders(suite.loads.flatMap((load) => load.contenders), { site, missing });
  const callsMade = new Map<Contender, number>();
  const samples = await measure(suite, { contenders, rounds: suite.rounds, upstreamPid: upstream.pid, callsMade });
  for (const [load, those] of samples) {
    const before = pooled.get(load) ?? new Map();
    pooled.set(load, before);
    for (const [{ name }, rows] of those) before.set(name, [...before.get(name) ?? [], ...rows]);
  }
  for (const contender of contenders.filter(({ recordedCalls }) => recordedCalls !== null)) {
    const made = callsMade.get(contender)!;
    const deadline = performance.now() + RECORDED_MS;
    let recorded = await contender.recordedCalls!();
    while (recorded !== made && performance.now() < deadline) recorded = await contender.recordedCalls!();
    console.log(`${contender.name}: ${made} calls made, ${recorded} on record${made === recorded ? "" : ": NOT THE SAME"}`);
    ledgers.push({ contender: contender.name, made, recorded });
  }
}

function print(suite: Suite, pooled: Pooled): void {
  for (const [load, those] of pooled) {
    rounds.set(load.key, those);
    const summaries = summariesOf(those);
    loads.push({ load: load.key, rounds: suite.rounds * restarts, contenders: summaries });
    if (suite.measure !== null) continue;
    console.log(`\n${load.key}: ${load.title} (medians of ${suite.rounds * restarts} rounds)`);
    printTable(summaries.map((row) => lineOf(row, load)));
  }
  if (suite.measure === null || pooled.size === 0) return;
  console.log(`\n${suite.key}: medians of ${suite.rounds * restarts} rounds`);
  printTable([...pooled].map(([load, those]) => comparedLine(load, { those, measure: rounds.get(suite.measure!(load)) })));
}

/**
 * Prints the targets and the JSON line. Sets the exit code if an answer is wrong or a row missing.
 */
function report(): void {
  for (const [name, share] of idle) console.log(`idle: ${name} uses ${show(share)} % of a core`);
  for (const [name, { ms, cpuMs }] of starts) {
    console.log(`start: ${name} answers its first call after ${show(ms)} ms, ${show(cpuMs)} ms of CPU`);
  }
  console.log("");
  const targets = targetLines({ rounds, idle, starts });
  printTable(targets);
  for (const [name, reason] of missing) console.log(`LEFT OUT: ${name}: ${reason}`);
  const errors = loads.flatMap(({ load, contenders }) =>
    contenders.filter((row) => row.errors > 0).map((row) =>
      `${row.contender}, ${load}: ${row.errors} wrong answers, the first: ${row.firstError}`
    )
  );
  for (const line of errors) console.log(line);
  if (errors.length > 0 || ledgers.some(({ made, recorded }) => made !== recorded)) Deno.exitCode = 1;
  const rounded = (_key: string, value: unknown) => typeof value === "number" ? Number(value.toPrecision(4)) : value;
  const figures = { loads, idle: Object.fromEntries(idle), starts: Object.fromEntries(starts), targets, ledgers };
  const left = Object.fromEntries(missing);
  console.log("\n" + JSON.stringify({ bench: "end_to_end", deno: Deno.version.deno, missing: left, ...figures }, rounded));
}
