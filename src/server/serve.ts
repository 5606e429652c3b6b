import { SchemaTooNew } from "../stores/migrations.ts";
import { DatabaseDamaged } from "../stores/sqlite/damage.ts";
import { DataDirLocked, DataDirUnusable } from "../stores/sqlite/data_dir.ts";
import { assemble, type Assembly } from "./assemble.ts";
import { type Config } from "../config/config.ts";
import { ConfigProblems, SettingsRefused } from "../config/settings_reader.ts";
import type { ServerSystem } from "./system.ts";
import type { Address } from "../config/settings.ts";
import type { SettingName } from "../config/settings.ts";

/** A proxy that listens. */
export interface Running {
  readonly proxyAddress: Deno.NetAddr;
  /** Where `LLMPROXY_ADMIN_ADDR` is `same`, the proxy's. */
  readonly adminAddress: Deno.NetAddr;
  readonly adminToken: () => string;
  /** Reads the secrets' files again; where something is wrong with them, the old secrets stay and the log says why. */
  readonly reload: () => void;
  /**
   * Drains and ends; resolves when everything is recorded and closed but for connections whose clients take no more bytes:
   * they end with the process. A second call cuts what is still under way.
   */
  readonly stop: () => Promise<void>;
}

/** What is answered on the proxy's listener where the admin one is mounted on it. */
const ADMIN_PATH = /^https?:\/\/[^/]*\/(?:internal|metrics|dashboard)(?:[/?]|$)/;
/** What starting again does not cure. */
const FOR_THE_OPERATOR = [DataDirLocked, DataDirUnusable, DatabaseDamaged, SchemaTooNew];
/** How long calls that were cut may take to write their rows, and answers of the admin listener to be taken. */
const CUT_MS = 2_000;

/**
 * Serves until SIGTERM or SIGINT; a second one cuts what is left. Resolves to the exit code; rejects with `SettingsRefused`.
 * Either way the log is written by then, unless nobody reads it.
 */
export async function serve(config: Config, system: ServerSystem): Promise<number> {
  // The settings are read already: a secret that changes while the databases are opened must not be missed.
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

/** Opens everything and listens. Rejects where the data directory or an address cannot be had; nothing is left open then. */
export async function start(config: Config, system: ServerSystem): Promise<Running> {
  const assembly = await assemble(config, system);
  const isSame = config.admin.address === "same";
  const listeners: Deno.HttpServer<Deno.NetAddr>[] = [];
  try {
    const proxy = listen(
      { setting: "LLMPROXY_LISTEN_ADDR", address: config.proxy.address },
      (request, info) => isSame && ADMIN_PATH.test(request.url) ? assembly.admin(request) : assembly.proxy(request, info),
    );
    listeners.push(proxy);
    const admin = config.admin.address === "same"
      ? proxy
      : listen({ setting: "LLMPROXY_ADMIN_ADDR", address: config.admin.address }, assembly.admin);
    listeners.push(admin);
    for (const warning of config.warnings) assembly.observe.note("warn", warning);
    assembly.observe.note("info", "listening", { proxy: proxy.addr, admin: admin.addr });
    return {
      proxyAddress: proxy.addr,
      adminAddress: admin.addr,
      adminToken: assembly.adminToken,
      reload: () => reload(assembly, system),
      stop: stopOnce(assembly, { config, proxy, admin }),
    };
  } catch (error) {
    for (const listener of listeners) await listener.shutdown();
    await assembly.end();
    throw error;
  }
}

/** Secrets and prices are read again each for itself: what is broken in one must not keep the other from changing. */
function reload(assembly: Assembly, system: ServerSystem): void {
  const fresh = system.rereadSecrets();
  if (fresh instanceof ConfigProblems) {
    assembly.observe.note("error", "the secrets could not be read again; the old ones stay", { problems: fresh.problems });
  } else {
    assembly.rotate(fresh);
    assembly.observe.note("info", "the secrets were read again", { credentialId: fresh.credential.id });
  }
  const prices = system.rereadPrices();
  if (prices instanceof ConfigProblems) {
    assembly.observe.note("error", "the prices could not be read again; the old ones stay", { problems: prices.problems });
  } else if (assembly.reprice(prices)) {
    assembly.observe.note("info", "the prices were read again", { priceVersion: prices.version });
  }
}

/** Throws an error for the operator where the address cannot be had, which may pass: another process may be about to end. */
function listen(
  { setting, address }: { readonly setting: SettingName; readonly address: Address },
  handler: (request: Request, info: Deno.ServeHandlerInfo<Deno.NetAddr>) => Response | Promise<Response>,
): Deno.HttpServer<Deno.NetAddr> {
  // What Deno reports here is a stream that broke: that is the journey's doing, and is logged there.
  const onError = () => new Response(null, { status: 500 });
  try {
    return Deno.serve({ ...address, automaticCompression: false, onError, onListen: () => {} }, handler);
  } catch (cause) {
    const at = `${address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname}:${address.port}`;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`Cannot listen on ${at}: ${reason}. ${setting} must name a free address of this machine`, { cause });
  }
}

/** Shuts down: refuse calls, then connections, wait for what runs, cut what is left, write, close; the admin listener last. */
function stopOnce(
  assembly: Assembly,
  options: {
    readonly config: Config;
    readonly proxy: Deno.HttpServer<Deno.NetAddr>;
    readonly admin: Deno.HttpServer<Deno.NetAddr>;
  },
): () => Promise<void> {
  const { traffic } = assembly.deps;
  const { drain } = options.config;
  const hurry = Promise.withResolvers<void>();
  let stopped: Promise<void> | null = null;

  async function stop(): Promise<void> {
    traffic.drain();
    assembly.observe.note("info", "draining", { inFlight: traffic.inFlight });
    await within(drain.leadMs, hurry.promise);
    const over = Promise.all([options.proxy.shutdown(), traffic.idle()]);
    await within(drain.runningMs, Promise.race([over, hurry.promise]));
    traffic.cut();
    await within(CUT_MS, over);
    await assembly.end();
    if (options.admin !== options.proxy) await within(CUT_MS, options.admin.shutdown());
  }

  return () => {
    if (stopped !== null) hurry.resolve();
    stopped ??= stop();
    return stopped;
  };
}

/** Waits for the work, but no longer than `ms`. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, ms);
  await Promise.race([work, late.promise]).finally(() => clearTimeout(timer));
}
