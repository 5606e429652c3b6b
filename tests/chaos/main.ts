/**
 * `deno task chaos`: two minutes of faults, then what an outage costs 5,000 calls; exits with 1
 * where a promise was broken. `deno task chaos --seed 7 --seconds 30` repeats another run's faults,
 * or makes a shorter one.
 */
import { isKept, runChaos, tableOf } from "./chaos.ts";
import { measureOutage, wordsOfOutage } from "./outage.ts";

const OUTAGE_CALLS = 5_000;
const OUTAGE_TURNS = 5;
const MOST_SLOWER = 1.2;

const seed = numberAfter("--seed", Date.now() % 1_000_000);
const seconds = numberAfter("--seconds", 120);
console.log(`chaos with --seed ${seed} for ${seconds} s: 100 clients, 3 replicas, 1 PostgreSQL\n`);
const result = await runChaos({
  seed,
  durationMs: seconds * 1_000,
  clients: 100,
  replicas: 3,
  paceMs: 3_000,
  pauseMs: 250,
  say: (line) => console.log(line),
});
console.log(`\n${tableOf(result)}`);
let isWell = isKept(result);
for (const how of ["stop", "freeze"] as const) {
  const outage = await measureOutage({ how, calls: OUTAGE_CALLS, turns: OUTAGE_TURNS });
  console.log(`\nPostgreSQL away (${how}): ${wordsOfOutage(outage)}`);
  for (const words of outage.broken.slice(0, 10)) console.log(`  ${words}`);
  isWell &&= outage.broken.length === 0 && outage.ratios.every((ratio) => ratio <= MOST_SLOWER);
}
Deno.exit(isWell ? 0 : 1);

function numberAfter(flag: string, otherwise: number): number {
  const at = Deno.args.indexOf(flag);
  if (at < 0) return otherwise;
  const value = Number(Deno.args[at + 1]);
  if (!Number.isInteger(value) || value <= 0) throw new Error(`Cannot read ${flag} as a whole number above zero`);
  return value;
}
