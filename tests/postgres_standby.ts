/** An asynchronous standby of a test's PostgreSQL server. */
import { makeFolder, run } from "./postgres_process.ts";
import { postgresPrograms } from "./postgres_programs.ts";
import { type PostgresServer, startOnFreePort } from "./postgres_server.ts";
import { waitFor } from "./wait.ts";

const CATCH_UP_MS = 20_000;

export interface PostgresStandby extends AsyncDisposable {
  /** The same database here, by its URL at the primary. */
  urlOf(url: string): string;
  /** Resolves when everything that is committed at the primary now is here too. */
  caughtUp(): Promise<void>;
  /** From now on it hears nothing from its primary. */
  cutOff(): Promise<void>;
  /** From now on it is a primary. */
  promote(): Promise<void>;
}

/** A copy that follows the server, which must be `own` and is restarted for it. */
export async function startStandby(primary: PostgresServer): Promise<PostgresStandby> {
  if (primary.folder === null) throw new Error("Cannot copy a server that is not the test's own");
  const folder = await makeFolder(await postgresPrograms());
  await primary.stop();
  await run("cp", { args: ["-R", `${primary.folder.path}/data`, `${folder.path}/data`], folder });
  await primary.start();
  const { hostname, username, password } = new URL(primary.url);
  const connection = `host=${hostname} port=${primary.port} user=${username} password=${password}`;
  folder.write("data/postgresql.auto.conf", `primary_conninfo = '${connection}'\n`);
  folder.write("data/standby.signal", "");
  const { port, process } = await startOnFreePort(folder, { hot_standby: "on" });

  function urlOf(url: string): string {
    const here = new URL(url);
    here.port = String(port);
    return here.href;
  }
  async function ask(sql: string): Promise<unknown> {
    const [row] = await primary.psql(sql, urlOf(primary.url));
    return Object.values(row ?? {})[0];
  }
  async function sinceThen(sql: string, what: string): Promise<void> {
    await waitFor(async () => await ask(sql) === true, { what, deadlineMs: CATCH_UP_MS });
  }
  return {
    urlOf,
    caughtUp: async () => {
      const [now] = await primary.psql("SELECT pg_current_wal_lsn() AS lsn");
      await sinceThen(`SELECT pg_last_wal_replay_lsn() >= '${now!.lsn}'::pg_lsn`, "the standby to catch up");
    },
    cutOff: async () => {
      await ask("ALTER SYSTEM SET primary_conninfo = ''");
      await ask("SELECT pg_reload_conf()");
      await sinceThen("SELECT count(*) = 0 FROM pg_stat_wal_receiver", "the standby to hear nothing more");
    },
    promote: async () => {
      await ask("SELECT pg_promote()");
      await sinceThen("SELECT NOT pg_is_in_recovery()", "the standby to be a primary");
    },
    [Symbol.asyncDispose]: () => process.discard(),
  };
}
