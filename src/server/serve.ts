import { rawPath } from "../call/target.ts";
import { adminRequests } from "../http/admin_requests.ts";
import { settlesWithin } from "../async/deadline.ts";
import { SchemaTooNew } from "../stores/migrations.ts";
import { DatabaseDamaged } from "../stores/sqlite/damage.ts";
import { DataDirLocked, DataDirUnusable } from "../stores/sqlite/data_dir.ts";
import { assemble, type Assembly } from "./assemble.ts";
import type { Config } from "../config/config.ts";
import { ConfigProblems, SettingsRefused } from "../config/settings_reader.ts";
import { listen, type Listener } from "./listener.ts";
import type { ServerSystem } from "./system.ts";

/** A proxy that listens. */
export interface Running {
  readonly proxyAddress: Deno.NetAddr;
  /** The proxy's if `LLMPROXY_ADMIN_ADDR` is `same`. */
  readonly adminAddress: Deno.NetAddr;
  readonly adminToken: () => string;
  /** Reads secrets and prices again. Broken ones change nothing, and the log says why. */
  readonly reload: () => void;
  /**
   * Drains and ends. Resolves when everything is recorded and closed, except connections whose
   * clients take no more bytes: they end with the process. A second call cuts the running calls.
   */
  readonly stop: () => Promise<void>;
}

/** The admin API's paths on the proxy's listener, if `LLMPROXY_ADMIN_ADDR` is `same`. */
const ADMIN_PATH = /^\/(?:internal|metrics|dashboard)(?:\/|$)/;
/** Starting again does not cure them. */
const FOR_THE_OPERATOR = [DataDirLocked, DataDirUnusable, DatabaseDamaged, SchemaTooNew];
/** How long cut calls may take to write their rows, and clients to read the admin API's answers. */
const CUT_MS = 2_000;

/**
 * Serves until SIGTERM or SIGINT; a second one cuts the running calls. Resolves to the exit code,
 * or rejects with `SettingsRefused`. The log is written by then, unless its reader has stopped.
 */
export async function serve(config: Config, system: ServerSystem): Promise<number> {
  // The settings are read already: a secret may change while the databases are being opened.
  const hangUps: { reload: (() => void) | null; early: number } = { reload: null, early: 0 };
  const onHangUp = () => hangUps.reload === null ? void hangUps.early++ : hangUps.reload();
  Deno.addSignalListener("SIGHUP", onHangUp);
  const running = await start(config, system).catch(async (error) => {
    await system.flushLog();
    throw FOR_THE_OPERATOR.some((kind) => error instanceof kind) ? new SettingsRefused(error.message, { cause: error }) : error;
  });
  const stopped = Promise.withResolvers<void>();
  const onStop = () => void running.stop().then(stopped.resolve, stopped.reject);
  for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, onStop);
  hangUps.reload = running.reload;
  if (hangUps.early > 0) running.reload();
  try {
    await stopped.promise.finally(system.flushLog);
    return 0;
  } finally {
    for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.removeSignalListener(signal, onStop);
    Deno.removeSignalListener("SIGHUP", onHangUp);
  }
}

/** Opens everything and listens. Rejects if it cannot; then it leaves nothing open. */
export async function start(config: Config, system: ServerSystem): Promise<Running> {
  const assembly = await assemble(config, system);
  const { observe } = assembly;
  const { headMs, keepAliveMs, maxConnections } = config.proxy;
  const common = {
    ...{ headMs, idleMs: keepAliveMs },
    onTrouble: (message: string, fields: Readonly<Record<string, unknown>>) => observe.note("warn", message, fields),
  };
  const admins = adminRequests(assembly.admin);
  const isSame = config.admin.address === "same";
  const listeners: Listener[] = [];
  try {
    const proxy = await listen({
      ...common,
      ...{ setting: "LLMPROXY_LISTEN_ADDR", address: config.proxy.address },
      refuseHead: assembly.proxy.refuseHead,
      maxConnections: maxConnections ?? connectionsFor(system.openFileLimit()),
      handle: (incoming, outgoing, expects) =>
        isSame && ADMIN_PATH.test(rawPath({ url: incoming.url ?? "" }))
          ? admins.handle(incoming, outgoing, expects)
          : assembly.proxy.handle(incoming, outgoing, expects),
    });
    listeners.push(proxy);
    const admin = config.admin.address === "same" ? proxy : await listen({
      ...common,
      ...{ setting: "LLMPROXY_ADMIN_ADDR", address: config.admin.address },
      maxConnections: ADMIN_CONNECTIONS,
      ...admins,
    });
    listeners.push(admin);
    for (const warning of config.warnings) observe.note("warn", warning);
    observe.note("info", "listening", { proxy: proxy.address, admin: admin.address });
    return {
      proxyAddress: proxy.address,
      adminAddress: admin.address,
      adminToken: assembly.adminToken,
      reload: () => reload(assembly, system),
      stop: stopOnce(assembly, config.drain, { proxy, admin }),
    };
  } catch (error) {
    for (const listener of listeners) await listener.shutdown();
    await assembly.end();
    throw error;
  }
}

const ADMIN_CONNECTIONS = 100;
/** For databases, files and the admin listener's connections. */
const OTHER_FILES = 100;
/** If the system does not say how many files may be open. */
const UNKNOWN_LIMIT = 1_024;

/** Each call needs a connection to the upstream too. */
function connectionsFor(openFiles: number | null): number {
  return Math.max(1, Math.floor(((openFiles ?? UNKNOWN_LIMIT) - OTHER_FILES) / 2));
}

/** Secrets and prices change independently: a broken file must not keep the other from changing. */
function reload({ observe, rotate, reprice }: Assembly, system: ServerSystem): void {
  function attempt(what: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof ConfigProblems)) throw error;
      observe.note("error", `cannot read the ${what} again; the old ones stay`, { problems: error.problems });
    }
  }
  attempt("secrets", () => {
    const fresh = system.rereadSecrets();
    rotate(fresh);
    observe.note("info", "the secrets were read again", { credentialId: fresh.credential.id });
  });
  attempt("prices", () => {
    const prices = system.rereadPrices();
    if (reprice(prices)) observe.note("info", "the prices were read again", { priceVersion: prices.version });
  });
}

interface Listeners {
  readonly proxy: Listener;
  readonly admin: Listener;
}

/**
 * Shuts down: refuses calls, then connections, waits for running calls, cuts the rest, writes and
 * closes; the admin listener last.
 */
function stopOnce(assembly: Assembly, drain: Config["drain"], { proxy, admin }: Listeners): () => Promise<void> {
  const { traffic } = assembly.deps;
  const hurry = Promise.withResolvers<void>();
  let stopped: Promise<void> | null = null;

  async function stop(): Promise<void> {
    traffic.drain();
    assembly.observe.note("info", "draining", { inFlight: traffic.inFlight });
    await settlesWithin(hurry.promise, drain.leadMs);
    const over = Promise.all([proxy.shutdown(), traffic.idle()]);
    await settlesWithin(Promise.race([over, hurry.promise]), drain.runningMs);
    traffic.cut();
    await settlesWithin(over, CUT_MS);
    await assembly.end();
    if (admin !== proxy) await settlesWithin(admin.shutdown(), CUT_MS);
  }

  return () => {
    if (stopped !== null) hurry.resolve();
    stopped ??= stop();
    return stopped;
  };
}
