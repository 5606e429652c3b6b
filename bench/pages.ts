/**
 * Measures how long the dashboard's pages take on a fleet's year, and with `--live` what it costs
 * to follow calls in flight.
 *
 *     deno task bench:pages [--store=sqlite|postgres] [--rows=N] [--keep=PLACE] [--asks=N]
 *         [--pages=TEXT]
 *     deno task bench:pages --live [--calls=N] [--rounds=N] [--seconds=N]
 *
 * `--store`, `--rows`, `--keep`: the databases of `bench:store`, filled here if they are not there.
 * `--asks`: of each view, 21 by default. `--pages`: only views whose page or query contains it.
 *
 * Method. A proxy in its own process has the database, and its clock begins in the afternoon of
 * the fleet's last day. The bench signs in and opens each page as a browser does. From there it
 * takes every span, order and next page that the page itself links to, of the longest span too.
 * Then it asks all views in turn, one at a time, so that the machine's other work slows all alike.
 * Each time another workspace, sandbox or trace is asked for. The first ask of each is not counted.
 * A time is from the request to the last byte of the page, without its styles and scripts.
 * `!` marks what misses the target: p95 of 200 ms, and 150 kB with styles and scripts.
 *
 * With a kept database, each run adds one token and its line in the audit.
 */
import { parseArgs } from "node:util";
import { llmproxy } from "./contenders.ts";
import { type Browser, signIn } from "./dashboard.ts";
import { LIVE_DEFAULTS, measureLive } from "./pages_live.ts";
import { ASSETS } from "../src/http/dashboard/assets.ts";
import { type View, viewsOf } from "./pages_views.ts";
import { denoCommand, stopAll } from "./processes.ts";
import { filledDatabase, type Technology } from "./store_databases.ts";
import { FLEET } from "./store_fleet.ts";
import { medianOf, printTable, quantile, show } from "./table.ts";

const FULL_SIZE = { sqlite: 5_000_000, postgres: 10_000_000 } as const satisfies Record<Technology, number>;
const TARGET = { p95Ms: 200, kilobytes: 150 } as const;
const HOURS_BEFORE_END = 9;
const NOW = FLEET.until - HOURS_BEFORE_END * 3_600_000;

interface Asked {
  readonly ms: number[];
  /** With styles and scripts. */
  readonly kilobytes: number[];
}

const dir = await Deno.makeTempDir({ prefix: "llmproxy_bench_pages_" });
try {
  const options = readOptions();
  if (options.isLive) await measureLive(dir, options);
  else await measurePages(options);
} finally {
  await stopAll();
  await Deno.remove(dir, { recursive: true });
}

function readOptions() {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    options: {
      ...{ store: text, rows: text, keep: text, asks: text, pages: text, live: { type: "boolean" } },
      ...{ calls: text, rounds: text, seconds: text },
    },
  });
  const store = (values.store ?? "sqlite") as Technology;
  return {
    store,
    rows: Number(values.rows ?? FULL_SIZE[store]),
    keep: values.keep ?? null,
    asks: Number(values.asks ?? 21),
    only: values.pages,
    isLive: values.live === true,
    calls: Number(values.calls ?? LIVE_DEFAULTS.calls),
    rounds: Number(values.rounds ?? LIVE_DEFAULTS.rounds),
    seconds: Number(values.seconds ?? LIVE_DEFAULTS.seconds),
  };
}

async function measurePages({ store, rows, keep, asks, only }: ReturnType<typeof readOptions>): Promise<void> {
  const filled = await filledDatabase(store, { rows, keep });
  try {
    const browser = await browserOn(store, filled.where);
    const views = await viewsOf(browser, { rows, only });
    const results = await askAll(browser, views, asks);
    console.log(`${store}, ${rows} rows, ${views.length} views`);
    printTable([...results].map(([{ page, query }, asked]) => lineOf(page, { query, asked })));
    console.log();
    const pages = Map.groupBy(results.keys(), ({ page }) => page);
    printTable([...pages].map(([page, views]) => lineOf(page, { query: "all", asked: together(views, results) })));
  } finally {
    await stopAll();
    await filled.end();
  }
}

/** Signed in at a proxy that has the database. */
async function browserOn(store: Technology, where: string): Promise<Browser> {
  const name = "pages";
  Deno.mkdirSync(`${dir}/${name}`, { mode: 0o700 });
  if (store === "sqlite") Deno.symlinkSync(Deno.realPathSync(where), `${dir}/${name}/llmproxy.db`);
  const { admin } = await llmproxy(name, {
    command: denoCommand(["bench/pages_proxy.ts", String(NOW)]),
    env: store === "sqlite" ? {} : { LLMPROXY_DATABASE_URL: where },
    // No call is made.
    site: { upstreamPort: 9, dir, place: "anywhere", workers: "1", executable: null, after: [] },
  });
  return await signIn(admin!);
}

async function askAll({ get }: Browser, views: readonly View[], asks: number): Promise<ReadonlyMap<View, Asked>> {
  const results = new Map(views.map((view): [View, Asked] => [view, { ms: [], kilobytes: [] }]));
  for (let ask = 0; ask <= asks; ask++) {
    for (const [{ paths }, { ms, kilobytes }] of results) {
      const before = performance.now();
      const html = await get(paths[ask % paths.length]!);
      if (ask === 0) continue;
      ms.push(performance.now() - before);
      kilobytes.push(kilobytesOf(html));
    }
  }
  return results;
}

function together(views: readonly View[], results: ReadonlyMap<View, Asked>): Asked {
  const all = views.map((view) => results.get(view)!);
  return { ms: all.flatMap(({ ms }) => ms), kilobytes: all.flatMap(({ kilobytes }) => kilobytes) };
}

function lineOf(
  page: string,
  { query, asked: { ms, kilobytes } }: { readonly query: string; readonly asked: Asked },
): Readonly<Record<string, string>> {
  const [p95, largest] = [quantile(ms, 0.95), Math.max(...kilobytes)];
  const missed = [p95 > TARGET.p95Ms ? "p95!" : "", largest > TARGET.kilobytes ? "size!" : ""];
  return {
    page: query === "all" ? page : `${page} ${query}`.trim(),
    asks: String(ms.length),
    "least ms": show(Math.min(...ms)),
    "median ms": show(medianOf(ms)),
    "p95 ms": show(p95),
    "median kB": show(medianOf(kilobytes)),
    "most kB": show(largest),
    missed: missed.join(" ").trim(),
  };
}

/** Of the page, and of the styles and scripts that it names. */
function kilobytesOf(html: string): number {
  const texts = [html, ...Object.values(ASSETS).filter(({ path }) => html.includes(path)).map(({ text }) => text)];
  return texts.reduce((sum, text) => sum + new TextEncoder().encode(text).length, 0) / 1_000;
}
