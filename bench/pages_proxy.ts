/**
 * `llmproxy serve` with another clock: it begins at a time, because a fleet's year ends on a day.
 *
 * deno run -A bench/pages_proxy.ts MILLISECONDS_SINCE_THE_EPOCH
 */
import { monotonicFactory } from "ulid";
import { loadConfigFromEnv } from "../src/config/config.ts";
import { serve } from "../src/server/serve.ts";
import { systemOf } from "../src/server/system.ts";

const source = {
  env: (name: string) => Deno.env.get(name),
  names: Object.keys(Deno.env.toObject()),
  readFile: (path: string) => Deno.readTextFileSync(path),
};
const [begin, beganAt] = [Number(Deno.args[0]), performance.now()];
const now = () => Math.floor(begin + performance.now() - beganAt);
const nextId = monotonicFactory();
Deno.exit(await serve(loadConfigFromEnv(source), { ...systemOf(source), now, newId: () => nextId(now()) }));
