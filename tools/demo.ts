/**
 * `deno task demo`: fills a database with a fleet's month and opens the proxy on it, with a
 * simulated upstream and some calls in flight. It is development code and not part of the
 * executable.
 */
import { parseArgs } from "node:util";
import { monotonicFactory } from "ulid";
import { costUsd } from "../src/domain/money.ts";
import { openOffline } from "../src/server/offline.ts";
import { openDataDir } from "../src/stores/sqlite/data_dir.ts";
import { fill } from "./demo/fill.ts";
import { callLive } from "./demo/live.ts";
import { demoMonth } from "./demo/month.ts";
import { startLocalProxy } from "./local_proxy.ts";

const HELP = `
deno task demo [options]

  --now <time>      end of the month, such as 2026-11-27T15:30:00Z; the clock goes on from there.
                    Without it, now
  --frozen          the clock stands still at the end of the month
  --seed <n>        another seed is another month (1)
  --sandboxes <n>   size of the fleet; a workspace has one at least (50)
  --days <n>        length of the month, at least 2 (30)
  --live <n>        calls in flight (12)
  --data-dir <dir>  where its database is; a demo that is there is replaced (./data/demo)
`;
/** In the folder of a demo, so that no other folder is ever emptied. */
const MARK = "is-demo";
/** Slow enough to be seen: an answer takes some twenty seconds. */
const WORD_MS = 450;

const options = readOptions();
const beganAt = performance.now();
const now = () => Math.floor(options.now + (options.isFrozen ? 0 : performance.now() - beganAt));
const nextId = monotonicFactory();

makeFolder(options.dataDir);
const month = demoMonth(options);
await write();
const proxy = await startLocalProxy({
  isSimulated: true,
  wordMs: WORD_MS,
  defaults: { LLMPROXY_LOG_LEVEL: "warn" },
  settings: { LLMPROXY_DATA_DIR: options.dataDir, LLMPROXY_DATABASE_URL: "", LLMPROXY_AGENTSERVER_URL: "" },
  system: { now, newId: () => nextId(now()) },
});
const live = await callLive(proxy, month, options.live);
proxy.onStop(live.stop);

const cost = costUsd(month.calls.reduce((sum, { closing }) => sum + BigInt(closing.cost ?? 0), 0n));
console.log(`
The demo is running: ${month.calls.length} calls of ${month.fleet.length} sandboxes, for $${cost}. Ctrl-C ends it.

  dashboard  ${proxy.adminUrl}/dashboard  (token in ${proxy.dataDir}/admin-token)
  proxy      ${proxy.url}
  in flight  ${live.count} calls
  yesterday  ${month.runaway.sandbox.sandboxId} spent most, in the session ${month.runaway.traceId}
`);

function readOptions() {
  const [text, flag] = [{ type: "string" }, { type: "boolean" }] as const;
  try {
    const { values } = parseArgs({
      options: { now: text, seed: text, sandboxes: text, days: text, live: text, "data-dir": text, frozen: flag, help: flag },
    });
    if (values.help) {
      console.log(HELP.trim());
      return Deno.exit(0);
    }
    return {
      now: values.now === undefined ? Date.now() : readTime(values.now),
      seed: readCount("seed", values.seed, { least: 0, standard: 1 }),
      sandboxes: readCount("sandboxes", values.sandboxes, { least: 1, standard: 50 }),
      days: readCount("days", values.days, { least: 2, standard: 30 }),
      live: readCount("live", values.live, { least: 0, standard: 12 }),
      isFrozen: values.frozen === true,
      dataDir: values["data-dir"] ?? "./data/demo",
    };
  } catch (error) {
    console.error(`${(error as Error).message}\n${HELP}`.trim());
    return Deno.exit(2);
  }
}

function readTime(text: string): number {
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) throw new Error(`Cannot read --now as a time such as 2026-11-27T15:30:00Z: current value is "${text}"`);
  return time;
}

function readCount(
  name: string,
  text: string | undefined,
  { least, standard }: { readonly least: number; readonly standard: number },
): number {
  if (text === undefined) return standard;
  if (/^\d{1,4}$/.test(text) && Number(text) >= least) return Number(text);
  throw new Error(`Cannot read --${name} as a whole number from ${least} to 9999: current value is "${text}"`);
}

/** Empties the folder if a demo is in it, and refuses if that runs, or if something else is. */
function makeFolder(path: string): void {
  Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
  const names = [...Deno.readDirSync(path)].map(({ name }) => name);
  if (names.length > 0 && !names.includes(MARK)) {
    console.error(`Cannot make a demo in ${path}: the folder has other files. Name another one with --data-dir`);
    Deno.exit(1);
  }
  try {
    openDataDir(path).release();
  } catch (error) {
    console.error((error as Error).message);
    Deno.exit(1);
  }
  for (const { name } of Deno.readDirSync(path)) Deno.removeSync(`${path}/${name}`, { recursive: true });
  Deno.writeTextFileSync(`${path}/${MARK}`, "deno task demo empties this folder\n");
}

async function write(): Promise<void> {
  const { records, end } = await openOffline({ dataDir: options.dataDir, database: null });
  try {
    await fill(records, month);
  } finally {
    await end();
  }
}
