/**
 * Measures what dashboards wait for, and how fast rows are shipped, on a generated year of a fleet,
 * at a tenth of the size and at full size.
 *
 *     deno task bench:store [--store=sqlite|postgres] [--rows=N] [--keep=PLACE] [--queries=TEXT]
 *         [--quick]
 *
 * `--rows`: at full size; by default 5,000,000 in SQLite and 10,000,000 in PostgreSQL, with a tenth
 * as many traces, in 2,000 workspaces. `--keep`: a folder, or for PostgreSQL the URL of a server.
 * The databases stay there for the next run. `--queries`: only those whose names contain it, and no
 * shipping. `--quick`: a few asks of each.
 *
 * Method. Both sizes are filled by SQL on the product's own schema. Each query goes through the
 * store's own verbs, as the admin API asks them: SQLite's in its Worker, PostgreSQL's by its pool.
 * Each query is asked of both sizes in turn with the same parameters, which differ from ask to ask,
 * so the machine's other work slows both alike. The first ask of each is not counted. Shipping is
 * `recordUsage` with 500 rows, in turn too. `!` marks what misses the target: median 50 ms, p99
 * 200 ms, and 1.5 times the median at a tenth if that is over 5 ms.
 */
import { type Filled, filledDatabase, type Technology } from "./store_databases.ts";
import { dashboardQueries, type Query, shipment } from "./store_queries.ts";
import { medianOf, printTable, quantile, quotient, show } from "./table.ts";
import { FLEET } from "./store_fleet.ts";

const FULL_SIZE = { sqlite: 5_000_000, postgres: 10_000_000 } as const satisfies Record<Technology, number>;
const TARGET = { medianMs: 50, p99Ms: 200, growth: 1.5, noiseMs: 5 } as const;
/** Each query is asked so often at each size, or for so long. */
const isQuick = Deno.args.includes("--quick");
const ASKS = isQuick ? { most: 3, fewest: 3, budgetMs: 0 } : { most: 101, fewest: 7, budgetMs: 8_000 };
const SHIPMENTS = { count: isQuick ? 2 : 40, rows: 500 };

const technology = (argument("store") ?? "sqlite") as Technology;
const fullRows = Number(argument("rows") ?? FULL_SIZE[technology]);
const only = argument("queries");

const sizes: { readonly queries: readonly Query[]; readonly filled: Filled }[] = [];
try {
  for (const rows of [Math.ceil(fullRows / 10), fullRows]) {
    const filled = await filledDatabase(technology, { rows, keep: argument("keep") });
    sizes.push({ queries: queriesAt(rows), filled });
    console.log(`${technology}, ${rows} rows: ${Math.round(filled.bytes / rows)} bytes a row`);
  }
  const lines: Readonly<Record<string, string>>[] = [];
  for (const { name } of queriesAt(fullRows)) {
    lines.push(await lineOf(name));
    // A run takes minutes.
    console.error(Object.values(lines.at(-1)!).join(" | "));
  }
  printTable(lines);
  if (only === null) printTable(await shipped());
} finally {
  for (const { filled } of sizes) await filled.end();
}

function queriesAt(rows: number): readonly Query[] {
  const all = dashboardQueries(Math.ceil(rows / FLEET.rowsOfTrace));
  return only === null ? all : all.filter(({ name }) => name.includes(only));
}

async function lineOf(name: string): Promise<Readonly<Record<string, string>>> {
  const [tenth, full] = await timesOf(name);
  const growth = quotient(medianOf(full!), medianOf(tenth!));
  const [median, p99] = [medianOf(full!)!, quantile(full!, 0.99)];
  const grows = growth! > TARGET.growth && median > TARGET.noiseMs;
  return {
    query: name,
    "1/10 median": show(medianOf(tenth!)),
    "p99": show(quantile(tenth!, 0.99)),
    "full least": show(Math.min(...full!)),
    "full median": show(median),
    "full p99": show(p99),
    growth: show(growth),
    missed: `${median > TARGET.medianMs ? "median! " : ""}${p99 > TARGET.p99Ms ? "p99! " : ""}${grows ? "growth!" : ""}`,
  };
}

/** Milliseconds of each ask, for each size. */
async function timesOf(name: string): Promise<readonly (readonly number[])[]> {
  const times = sizes.map((): number[] => []);
  const until = performance.now() + ASKS.budgetMs;
  for (let ask = 0; ask < ASKS.most && (ask < ASKS.fewest || performance.now() < until); ask++) {
    for (const [n, { queries, filled }] of sizes.entries()) {
      const query = queries.find((query) => query.name === name)!;
      const before = performance.now();
      await query.ask(filled.store, randomFrom(ask + 1));
      if (ask > 0) times[n]!.push(performance.now() - before);
    }
  }
  return times;
}

/** Rows a second at each size. */
async function shipped(): Promise<readonly Readonly<Record<string, string>>[]> {
  const run = String(Date.now()).slice(-10);
  const times = sizes.map((): number[] => []);
  for (let number = 0; number < SHIPMENTS.count; number++) {
    for (const [n, { filled }] of sizes.entries()) {
      const rows = shipment(run, { number, rows: SHIPMENTS.rows });
      const before = performance.now();
      await filled.store.recordUsage(rows);
      times[n]!.push(performance.now() - before);
    }
  }
  const perSecond = times.map((ms) => SHIPMENTS.rows / medianOf(ms)! * 1_000);
  return [{
    shipping: `recordUsage, ${SHIPMENTS.rows} rows`,
    "1/10 rows/s": show(perSecond[0]!),
    "full rows/s": show(perSecond[1]!),
    ratio: show(quotient(perSecond[1]!, perSecond[0]!)),
  }];
}

/** Numbers from 0 to before 1, the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function argument(name: string): string | null {
  return Deno.args.find((given) => given.startsWith(`--${name}=`))?.slice(name.length + 3) ?? null;
}
