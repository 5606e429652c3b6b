/**
 * llmproxy with everything on, but a ledger that forgets. The difference is the price of recording.
 */
import { assemble } from "../src/server/assemble.ts";
import { loadConfigFromEnv } from "../src/config/config.ts";
import { systemOf } from "../src/server/system.ts";
import type { Ledger } from "../src/domain/ledger.ts";
import { adminRequests } from "../src/http/admin_requests.ts";
import { listen } from "../src/server/listener.ts";
import { proxyHandler } from "../src/http/proxy.ts";
import * as dialects from "../src/providers/providers.ts";

const source = {
  env: (name: string) => Deno.env.get(name),
  names: Object.keys(Deno.env.toObject()),
  readFile: (path: string) => Deno.readTextFileSync(path),
};
const config = loadConfigFromEnv(source);
const assembly = await assemble(config, systemOf(source));
const forgetful: Ledger = {
  ...assembly.front!.deps.ledger,
  open: () => Promise.resolve("opened"),
  close: () => Promise.resolve(),
  join: () => Promise.resolve(),
  countRefusals: () => Promise.resolve(),
  trouble: () => null,
};
const readiness = () => ({ status: "ok", reason: null } as const);
const { proxy: { address, allowPaths: allowedPaths, stallMs }, admin } = config;
const { handle, refuseHead } = proxyHandler({
  deps: { ...assembly.front!.deps, ledger: forgetful },
  dialects: Object.values(dialects),
  allowedPaths,
  readiness,
  stallMs,
});
const common = { headMs: 60_000, idleMs: 60_000, maxConnections: 10_000, onTrouble: () => {} };
await listen({ ...common, setting: "LLMPROXY_LISTEN_ADDR", address, handle, refuseHead });
if (admin.address !== "same") {
  await listen({ ...common, setting: "LLMPROXY_ADMIN_ADDR", address: admin.address, ...adminRequests(assembly.admin) });
}
