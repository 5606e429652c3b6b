/**
 * Serves a mixed load for minutes and checks that nothing leaks: answers of all lengths, bodies of
 * 1 kB to 20 MB, clients that leave, stall or read slowly, and an upstream that resets connections.
 *
 *     deno task bench:mixed [--minutes=10] [--workers=1] [--seed=N] [--rate=30]
 *
 * Method. llmproxy runs with everything on (SQLite, local token, metering, a log line a call) in
 * its own process, `mixed_upstream.ts` in another, and the clients (`mixed_calls.ts`) in this one.
 * Calls begin at a steady rate, whatever became of those before. The seed makes the plan of calls;
 * its default is random and printed. `--rate` should leave the machine at 50 to 70 %: figures must
 * show leaks, not overload.
 *
 * Every 5 s the bench reads the figures. Then it stops the load, waits until all calls have ended,
 * and looks again after a minute of quiet. It exits with 1 if a check fails. It prints a table, the
 * charts of the decision and, as the last line, one JSON object.
 *
 * Linux only.
 */
import { DatabaseSync } from "node:sqlite";
import { CONTENDERS } from "./contenders.ts";
import { type Behaviour, BEHAVIOUR_NAMES, type Callee, make, nextCall, prepareBodies } from "./mixed_calls.ts";
import { chartOf, type Rule, verdictOf } from "./mixed_series.ts";
import { answering, cpuMs, family, freePorts, MACHINE_CORES, machineMs, rssMb, startDeno, stopAll } from "./processes.ts";
import { randomFrom } from "./questions.ts";
import type { Contender } from "./site.ts";
import { printTable, show } from "./table.ts";

const SAMPLE_MS = 5_000;
const QUIET_MS = 60_000;
/** The longest call takes 40 s; the proxy reads unstreamed answers to the end for 60 s. */
const END_MS = 120_000;
const POINTS = 40;
const TABLE_LINES = 20;
const CLOSED_MS = 120_000;
const INTERRUPTED = 130;
/** More descriptors than at the start: pooled connections that are not closed yet. */
const DESCRIPTORS_SLACK = 5;

interface Figures {
  readonly minute: number;
  readonly rssMb: number;
  readonly descriptors: number;
  readonly openRows: number;
  readonly inFlight: number;
  readonly bufferedMb: number;
  readonly heapMb: number;
  readonly calls: number;
}

/**
 * Memory may swing by 10 %: V8 frees it when it likes. The other two count calls under way, so
 * chance moves them more. A leak of one in a hundred calls adds more in half a run than that.
 */
const RULES = {
  rssMb: { ratio: 1.1, slack: 0 },
  descriptors: { ratio: 1.25, slack: 10 },
  openRows: { ratio: 1.25, slack: 10 },
} as const satisfies Partial<Record<keyof Figures, Rule>>;
const TITLES = { rssMb: "RSS of all processes, MB", descriptors: "open descriptors", openRows: "open rows" } as const;

const minutes = Number(argument("minutes") ?? 10);
const workers = argument("workers") ?? "1";
const rate = Number(argument("rate") ?? 30);
const seed = Number(argument("seed") ?? crypto.getRandomValues(new Uint32Array(1))[0]);

const made = new Map<Behaviour, number>(BEHAVIOUR_NAMES.map((name) => [name, 0]));
const faults = new Map<string, number>();
const underWay = new Set<Promise<void>>();
const dir = await Deno.makeTempDir({ prefix: "llmproxy_mixed_" });
console.log(`seed ${seed}: ${minutes} minutes of ${rate} calls a second, ${workers} worker(s)`);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => void end().finally(() => Deno.exit(INTERRUPTED)));
}
try {
  await run();
} finally {
  await end();
}
// A call that never ends would keep the process alive.
Deno.exit();

async function end(): Promise<void> {
  await stopAll();
  await Deno.remove(dir, { recursive: true });
}

function argument(name: string): string | undefined {
  return Deno.args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
}

async function run(): Promise<void> {
  const [upstreamPort] = freePorts(1);
  prepareBodies();
  const upstream = startDeno(["bench/mixed_upstream.ts", String(upstreamPort)], {
    log: `${dir}/upstream.log`,
    env: {},
    place: "anywhere",
  });
  await answering(upstreamPort!, "/seen");
  const name = workers === "1" ? "llmproxy" : "llmproxy-workers";
  const site = { upstreamPort: upstreamPort!, dir, place: "anywhere", workers, executable: null, after: [] } as const;
  const proxy = await CONTENDERS[name]!({ ...site, after: [] });
  const client = Deno.createHttpClient({ http2: false });
  // Workers for queries and exports start a moment after the proxy listens.
  await pause(SAMPLE_MS);
  const start = await figuresOf(proxy, 0);
  const series: Figures[] = [];
  const began = performance.now();
  const cpuOf = () => ({
    machine: machineMs(),
    proxy: cpuMs(family(proxy.process!.pid)),
    others: cpuMs([Deno.pid, upstream.pid]),
  });
  const before = cpuOf();
  const elapsed = () => performance.now() - began;
  const load = callFor(minutes * 60_000, { port: proxy.port, token: proxy.token, client });
  for (let next = SAMPLE_MS; next <= minutes * 60_000; next += SAMPLE_MS) {
    await pause(next - elapsed());
    series.push(await figuresOf(proxy, elapsed() / 60_000));
  }
  const after = cpuOf();
  const share = (after.machine - before.machine) / elapsed() / MACHINE_CORES;
  const [proxyShare, othersShare] = [(after.proxy - before.proxy) / elapsed(), (after.others - before.others) / elapsed()];
  await load;
  await Promise.race([Promise.all(underWay), pause(END_MS)]);
  client.close();
  const stuck = underWay.size;
  const ended = await figuresWhen(proxy, ({ inFlight, openRows }) => inFlight === 0 && openRows === 0, END_MS);
  await pause(QUIET_MS);
  const limit = start.descriptors + DESCRIPTORS_SLACK;
  const quiet = await figuresOf(proxy, elapsed() / 60_000);
  const last = await figuresWhen(proxy, ({ descriptors }) => descriptors <= limit, CLOSED_MS);
  const seen: [number, number][] = await (await fetch(`http://127.0.0.1:${upstreamPort}/seen`)).json();
  await proxy.process!.stop();
  const rows = rowsOf(`${dir}/${name}/llmproxy.db`);

  const verdicts = Object.entries(RULES).map(([key, rule]) => {
    const verdict = verdictOf(series.map((figures) => figures[key as keyof typeof RULES]), rule);
    return [key, verdict] as const;
  });
  const lost = seen.filter(([number]) => rows.get(number)?.closed !== 1);
  const checks: Readonly<Record<string, boolean>> = {
    ...Object.fromEntries(
      verdicts.map((
        [key, { second, last, isFlat }],
      ) => [`${TITLES[key as keyof typeof TITLES]}: flat (${show(second)}, then ${show(last)})`, isFlat]),
    ),
    "calls in flight and open rows went to 0": ended.inFlight === 0 && ended.openRows === 0,
    "no bytes of bodies are held": last.bufferedMb === 0,
    [`descriptors went back (${start.descriptors} at the start, ${last.descriptors} after)`]: last.descriptors <= limit,
    [`each of ${seen.length} calls at the upstream has one closed row`]: lost.length === 0,
    "no call has two rows, and no row is open": [...rows.values()].every(({ all, closed }) => all === 1 && closed === 1),
    "no call came to the upstream twice": seen.every(([, times]) => times === 1),
    "every client's call ended": stuck === 0,
    "every answer was as it should be": faults.size === 0,
  };
  const step = Math.max(1, Math.ceil(series.length / TABLE_LINES));
  printTable([start, ...series.filter((_, n) => (n + 1) % step === 0), ended, quiet, last].map(lineOf));
  console.log(
    `\nbusy: the machine ${percent(share)}; of a core: the proxy ${percent(proxyShare)}, the bench ${percent(othersShare)}`,
  );
  console.log([...made].map(([behaviour, count]) => `${behaviour} ${count}`).join(", "));
  for (const [words, count] of faults) console.log(`${count} times: ${words}`);
  for (const [check, holds] of Object.entries(checks)) console.log(`${holds ? "ok    " : "FAILED"}  ${check}`);
  for (const key of Object.keys(RULES) as (keyof typeof RULES)[]) {
    console.log("\n" + chartOf(series.map((figures) => figures[key]), { title: TITLES[key], minutes, points: POINTS }));
  }
  if (Object.values(checks).includes(false)) Deno.exitCode = 1;
  const figures = {
    start,
    ended,
    quiet,
    last,
    verdicts: Object.fromEntries(verdicts),
    share,
    proxyShare,
    othersShare,
    checks,
    series,
  };
  const counts = { made: Object.fromEntries(made), faults: Object.fromEntries(faults) };
  const rounded = (_key: string, value: unknown) =>
    Number.isInteger(value) || typeof value !== "number" ? value : Number(value.toPrecision(4));
  console.log(
    "\n" + JSON.stringify({ bench: "mixed", seed: String(seed), minutes, workers, rate, ...counts, ...figures }, rounded),
  );
}

/** Begins calls at the steady rate. */
async function callFor(ms: number, to: Callee): Promise<void> {
  const random = randomFrom(seed);
  const began = performance.now();
  for (let number = 1; (number - 1) * 1000 / rate < ms; number++) {
    await pause((number - 1) * 1000 / rate - (performance.now() - began));
    const call = nextCall(number, random);
    made.set(call.behaviour, made.get(call.behaviour)! + 1);
    const one = make(call, to).catch((error) => {
      const words = `${call.behaviour}: ${error.message}`;
      faults.set(words, (faults.get(words) ?? 0) + 1);
    }).finally(() => underWay.delete(one));
    underWay.add(one);
  }
}

async function figuresOf(proxy: Contender, minute: number): Promise<Figures> {
  const pids = family(proxy.process!.pid);
  const text = await proxy.metrics!();
  const metric = (name: string) => Number(text.match(new RegExp(`^llmproxy_${name} (\\S+)$`, "m"))?.[1]);
  return {
    minute,
    rssMb: rssMb(pids),
    descriptors: pids.reduce((sum, pid) => sum + [...Deno.readDirSync(`/proc/${pid}/fd`)].length, 0),
    openRows: metric("open_rows"),
    inFlight: metric("calls_in_flight"),
    bufferedMb: metric("buffered_bytes") / 2 ** 20,
    heapMb: metric("heap_used_bytes") / 2 ** 20,
    calls: [...made.values()].reduce((sum, count) => sum + count, 0),
  };
}

/** The figures when they are so, or at the end of that time. */
async function figuresWhen(proxy: Contender, isSo: (figures: Figures) => boolean, withinMs: number): Promise<Figures> {
  const began = performance.now();
  for (;;) {
    const figures = await figuresOf(proxy, NaN);
    if (isSo(figures) || performance.now() - began > withinMs) return figures;
    await pause(SAMPLE_MS / 5);
  }
}

/** By the call's number. */
function rowsOf(path: string): ReadonlyMap<number, { readonly all: number; readonly closed: number }> {
  const database = new DatabaseSync(path, { readOnly: true });
  const rows = database.prepare("SELECT prompt_id, count(*) AS total, count(outcome) AS closed FROM usage GROUP BY prompt_id")
    .all();
  database.close();
  return new Map(rows.map((row) => [Number(row["prompt_id"]), { all: Number(row["total"]), closed: Number(row["closed"]) }]));
}

function lineOf({ minute, ...rest }: Figures): Readonly<Record<string, string>> {
  const { rssMb, descriptors, openRows, inFlight, bufferedMb, heapMb, calls } = rest;
  return {
    minute: Number.isNaN(minute) ? "after" : minute.toFixed(1),
    "RSS MB": show(rssMb),
    descriptors: String(descriptors),
    "open rows": String(openRows),
    "in flight": String(inFlight),
    "buffered MB": show(bufferedMb),
    "heap MB": show(heapMb),
    calls: String(calls),
  };
}

function percent(share: number): string {
  return `${show(share * 100)} %`;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
