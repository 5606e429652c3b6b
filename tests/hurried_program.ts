/** `llmproxy serve` as a process, with a pace at which a test can wait for a batch. */
import { loadConfigFromEnv } from "../src/config/config.ts";
import { systemOf } from "../src/server/system.ts";
import { serve } from "../src/server/serve.ts";
import { HURRIED } from "./hurried_pace.ts";

const source = {
  env: (name: string) => Deno.env.get(name),
  names: Object.keys(Deno.env.toObject()),
  readFile: (path: string) => Deno.readTextFileSync(path),
};
Deno.exit(await serve(loadConfigFromEnv(source), { ...systemOf(source), batchPace: HURRIED }));
