/**
 * llmproxy with everything on, but a ledger that forgets. The difference is the price of recording.
 */
import { assemble } from "../src/server/assemble.ts";
import { loadConfigFromEnv } from "../src/config/config.ts";
import { systemOf } from "../src/server/system.ts";
import type { Ledger } from "../src/domain/ledger.ts";
import { proxyHandler } from "../src/http/proxy.ts";

const source = {
  env: (name: string) => Deno.env.get(name),
  names: Object.keys(Deno.env.toObject()),
  readFile: (path: string) => Deno.readTextFileSync(path),
};
const config = loadConfigFromEnv(source);
const assembly = await assemble(config, systemOf(source));
const forgetful: Ledger = {
  ...assembly.deps.ledger,
  open: () => Promise.resolve("opened"),
  close: () => Promise.resolve(),
  join: () => Promise.resolve(),
  countRefusals: () => Promise.resolve(),
  trouble: () => null,
};
const readiness = () => ({ status: "ok", reason: null } as const);
const proxy = proxyHandler({ deps: { ...assembly.deps, ledger: forgetful }, allowedPaths: [], readiness });
const quietly = { automaticCompression: false, onListen: () => {} };
Deno.serve({ ...config.proxy.address, ...quietly }, proxy);
if (config.admin.address !== "same") Deno.serve({ ...config.admin.address, ...quietly }, assembly.admin);
