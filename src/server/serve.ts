import { settlesWithin } from "../async/deadline.ts";
import { SchemaTooNew } from "../stores/migrations.ts";
import { DatabaseDamaged } from "../stores/sqlite/damage.ts";
import { DataDirLocked, DataDirUnusable } from "../stores/sqlite/data_dir.ts";
import { assemble, type Assembly } from "./assemble.ts";
import type { Config } from "../config/config.ts";
import type { Address, SettingName } from "../config/settings.ts";
import { ConfigProblems, SettingsRefused } from "../config/settings_reader.ts";
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
const ADMIN_PATH = /^https?:\/\/[^/]*\/(?:internal|metrics|dashboard)(?:[/?]|$)/;
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
      stop: stopOnce(assembly, config.drain, { proxy, admin }),
    };
  } catch (error) {
    for (const listener of listeners) await listener.shutdown();
    await assembly.end();
    throw error;
  }
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

/** Throws an error for the operator. It may pass, if another process is about to end. */
function listen(
  { setting, address }: { readonly setting: SettingName; readonly address: Address },
  handler: (request: Request, info: Deno.ServeHandlerInfo<Deno.NetAddr>) => Response | Promise<Response>,
): Deno.HttpServer<Deno.NetAddr> {
  // Deno reports streams that broke. The call broke them on purpose and has logged it.
  const onError = () => new Response(null, { status: 500 });
  try {
    return Deno.serve({ ...address, automaticCompression: false, onError, onListen: () => {} }, handler);
  } catch (cause) {
    const at = `${address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname}:${address.port}`;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`Cannot listen on ${at}: ${reason}. ${setting} must name a free address of this machine`, { cause });
  }
}

interface Listeners {
  readonly proxy: Deno.HttpServer<Deno.NetAddr>;
  readonly admin: Deno.HttpServer<Deno.NetAddr>;
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
