import { adminRequests } from "../http/admin_requests.ts";
import { settlesWithin } from "../async/deadline.ts";
import { SchemaTooNew } from "../stores/migrations.ts";
import { DatabaseDamaged } from "../stores/sqlite/damage.ts";
import { DataDirLocked, DataDirUnusable } from "../stores/sqlite/data_dir.ts";
import { assemble, type Assembly, type Serving } from "./assemble.ts";
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

/** Starting again does not cure them. */
const FOR_THE_OPERATOR = [DataDirLocked, DataDirUnusable, DatabaseDamaged, SchemaTooNew];
/** How long clients may take to read the admin API's last answers. */
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
  const admins = adminRequests(assembly.admin);
  const { address } = config.admin;
  let serving: Serving | null = null;
  try {
    serving = await assembly.serve(address === "same" ? admins : null);
    const admin = address === "same" ? null : await listen({
      ...{ setting: "LLMPROXY_ADMIN_ADDR", address },
      ...{ headMs: config.proxy.headMs, idleMs: config.proxy.keepAliveMs, maxConnections: ADMIN_CONNECTIONS },
      ...admins,
      onTrouble: (message, fields) => observe.note("warn", message, fields),
    });
    for (const warning of config.warnings) observe.note("warn", warning);
    const adminAddress = admin?.address ?? serving.address;
    assembly.begin();
    observe.note("info", "listening", { proxy: serving.address, admin: adminAddress });
    return {
      proxyAddress: serving.address,
      adminAddress,
      adminToken: assembly.adminToken,
      reload: () => reload(assembly, system),
      stop: stopOnce(assembly, { serving, admin }),
    };
  } catch (error) {
    await serving?.stop(Promise.resolve());
    await assembly.end();
    throw error;
  }
}

const ADMIN_CONNECTIONS = 100;

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
    observe.note("info", "the secrets were read again", {
      credentialId: fresh.upstreams.flatMap(({ credentials }) => credentials.map(({ id }) => id)).join(", "),
    });
  });
  attempt("prices", () => {
    const prices = system.rereadPrices();
    if (reprice(prices)) observe.note("info", "the prices were read again", { priceVersion: prices.version });
  });
}

/** Shuts down: the side of the sandboxes first, the admin listener last. */
function stopOnce(
  assembly: Assembly,
  { serving, admin }: { readonly serving: Serving; readonly admin: Listener | null },
): () => Promise<void> {
  const hurry = Promise.withResolvers<void>();
  let stopped: Promise<void> | null = null;

  async function stop(): Promise<void> {
    try {
      await serving.stop(hurry.promise);
    } finally {
      await assembly.end();
      if (admin !== null) await settlesWithin(admin.shutdown(), CUT_MS);
    }
  }

  return () => {
    if (stopped !== null) hurry.resolve();
    stopped ??= stop();
    return stopped;
  };
}
