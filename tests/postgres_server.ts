/** A real PostgreSQL server for tests, on loopback. It ends with the process that started it. */
import postgres from "postgres";
import { isThere, keepFolder, testCacheFolder } from "./test_cache.ts";
import { makeFolder, type PostgresFolder, type PostgresProcess, run, startPostgresProcess } from "./postgres_process.ts";
import { postgresPrograms } from "./postgres_programs.ts";
import { certificates } from "./tls_upstream.ts";

/** Below the ports that systems give to clients, so that a stopped server finds its port free. */
const PORTS = { from: 20_000, to: 30_000 };
const PORT_TRIES = 20;
const USER = "postgres";
const PASSWORD = "in-tests-only";

export type Row = Readonly<Record<string, unknown>>;

export interface PostgresOptions {
  /** Never that of `TEST_POSTGRES_URL`: for a test that stops, kills or freezes its server. */
  readonly own?: boolean;
  /** Takes TLS connections only, with a certificate that `caPem` signed. Always its own server. */
  readonly ssl?: boolean;
  /** Of postgresql.conf, such as `{max_connections: "10"}`. Always a server of its own. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Databases on a server. */
export interface PostgresDatabases extends AsyncDisposable {
  /** A fresh, empty database: `postgres://user:password@127.0.0.1:port/name`. */
  readonly url: string;
  /** The URL of a new database: empty, or a copy of one that has no connections. */
  newDatabase(template?: string): Promise<string>;
  /** Runs SQL on its own connection. Returns the rows; of several statements, one array each. */
  psql(sql: string, url?: string): Promise<Row[]>;
  /** Ends everybody else's connections (57P01); gives how many there were. */
  cutConnections(): Promise<number>;
}

/**
 * With `TEST_POSTGRES_URL` the verbs of a server's life throw, as they do where it is not running;
 * a test that calls them asks for `own`.
 */
export interface PostgresServer extends PostgresDatabases {
  /** Null where the server is not ours. */
  readonly folder: PostgresFolder | null;
  /** PEM; null without `ssl`. */
  readonly caPem: string | null;
  readonly port: number;
  /** Fast, in order: connections end with 57P01. */
  stop(): Promise<void>;
  /** SIGKILL for every process of it. */
  kill(): Promise<void>;
  /** SIGSTOP for all processes: connections stay open and silent, the kernel accepts new ones. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Again, with the same folder and port; recovers what a crash left. */
  start(): Promise<void>;
  /** Its log since the last start. */
  log(): string;
}

/**
 * The server of `TEST_POSTGRES_URL`, whose user must be allowed to create databases; they are
 * dropped at the end. Without it, a server in a temporary folder. If that cannot be had, it throws
 * and says what to install: tests never skip.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const shared = Deno.env.get("TEST_POSTGRES_URL");
  const { own = false, ssl = false, settings } = options;
  if (shared === undefined || shared === "" || own || ssl || settings !== undefined) return await startOwn(ssl, settings ?? {});
  const databases = await databasesOn(shared, null);
  return {
    ...databases,
    folder: null,
    caPem: null,
    port: Number(new URL(shared).port || 5432),
    stop: refuse,
    kill: refuse,
    freeze: refuse,
    thaw: refuse,
    start: refuse,
    log: () => "",
    [Symbol.asyncDispose]: () => databases[Symbol.asyncDispose](),
  };
}

function refuse(): Promise<void> {
  return Promise.reject(new Error("Cannot do this to the server of TEST_POSTGRES_URL: ask for startPostgres({ own: true })"));
}

/** Tests kill processes and never the machine: commits survive that without a flush. */
const HASTE = { fsync: "off", full_page_writes: "off" };

async function startOwn(ssl: boolean, settings: Readonly<Record<string, string>>): Promise<PostgresServer> {
  const folder = await makeFolder(await postgresPrograms());
  try {
    await layOutData(folder);
    const caPem = ssl ? await writeTls(folder) : null;
    const tls = ssl ? { ssl: "on", ssl_cert_file: `${folder.path}/cert.pem`, ssl_key_file: `${folder.path}/key.pem` } : {};
    const { port, process } = await startOnFreePort(folder, { ...tls, ...settings });
    return await serverIn(folder, { port, process, caPem, settings: { ...tls, ...settings } });
  } catch (error) {
    await folder.remove();
    throw error;
  }
}

/** One `initdb` takes a second of processor time, so its result is kept per version and copied. */
async function layOutData(folder: PostgresFolder): Promise<void> {
  const args = [`--username=${USER}`, "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"];
  const version = await run(folder.program("postgres"), { args: ["--version"], folder });
  const kept = `${testCacheFolder()}/postgres/${version.trim().replaceAll(/[^\w.]+/g, "-")}`;
  if (!isThere(`${kept}/PG_VERSION`)) {
    const password = folder.write("password", PASSWORD);
    await run(folder.program("initdb"), { args: ["--pgdata=data", `--pwfile=${password}`, ...args], folder });
    await keepFolder(`${folder.path}/data`, kept);
    return;
  }
  await run("cp", { args: ["-R", kept, `${folder.path}/data`] });
  const { uid, gid } = folder.user;
  if (uid !== undefined) await run("chown", { args: ["-R", `${uid}:${gid}`, `${folder.path}/data`] });
  Deno.chmodSync(`${folder.path}/data`, 0o700);
}

async function writeTls(folder: PostgresFolder): Promise<string> {
  const { caPem, cert, key } = await certificates();
  folder.write("cert.pem", cert);
  folder.write("key.pem", key);
  folder.write(
    "data/pg_hba.conf",
    ["all", "replication"].map((what) => `hostssl ${what} all 127.0.0.1/32 scram-sha-256\n`).join(""),
  );
  return caPem;
}

/** Starts the server whose data are in the folder. */
export async function startOnFreePort(
  folder: PostgresFolder,
  settings: Readonly<Record<string, string>>,
): Promise<{ readonly port: number; readonly process: PostgresProcess }> {
  for (let tries = 1;; tries++) {
    const port = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from));
    try {
      return { port, process: await startPostgresProcess(folder, argsOf(folder, { port, settings })) };
    } catch (error) {
      if (tries === PORT_TRIES || !String(error).includes("Address already in use")) throw error;
    }
  }
}

function argsOf(
  folder: PostgresFolder,
  { port, settings }: { readonly port: number; readonly settings: Readonly<Record<string, string>> },
): string[] {
  const place = { listen_addresses: "127.0.0.1", port: String(port), unix_socket_directories: folder.path };
  const all = { ...place, ...HASTE, ...settings };
  return ["-D", "data", ...Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`])];
}

interface Started {
  readonly port: number;
  readonly process: PostgresProcess;
  readonly caPem: string | null;
  readonly settings: Readonly<Record<string, string>>;
}

async function serverIn(folder: PostgresFolder, { port, process: first, caPem, settings }: Started): Promise<PostgresServer> {
  let [running, log]: [PostgresProcess | null, () => string] = [first, first.log];
  function alive(): PostgresProcess {
    if (running === null) throw new Error("Cannot do this to a PostgreSQL server that is not running");
    return running;
  }
  async function ended(how: (process: PostgresProcess) => Promise<void>): Promise<void> {
    const process = alive();
    running = null;
    await how(process);
  }
  async function dispose(): Promise<void> {
    await (running === null ? folder.remove() : ended((process) => process.discard()));
  }
  try {
    const maintenance = `postgres://${USER}:${PASSWORD}@127.0.0.1:${port}/postgres`;
    const { [Symbol.asyncDispose]: _, ...databases } = await databasesOn(maintenance, caPem);
    return {
      ...databases,
      folder,
      caPem,
      port,
      stop: async () => await ended((process) => process.stop()),
      kill: async () => await ended((process) => process.kill()),
      freeze: async () => await alive().freeze(),
      thaw: async () => await alive().thaw(),
      start: async () => {
        if (running !== null) throw new Error("Cannot start a PostgreSQL server that is running");
        running = await startPostgresProcess(folder, argsOf(folder, { port, settings }));
        log = running.log;
      },
      log: () => log(),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await ended((process) => process.stop());
    throw error;
  }
}

async function databasesOn(maintenance: string, caPem: string | null): Promise<PostgresDatabases> {
  const made: string[] = [];
  /** PostgreSQL 15 and later: copying the template's files takes half as long as logging them. */
  let strategy: string | null = null;
  async function psql(sql: string, url: string = maintenance): Promise<Row[]> {
    await using connection = connectionTo(url, caPem);
    return await connection.sql.unsafe<Row[]>(sql);
  }
  async function newDatabase(template?: string): Promise<string> {
    const name = `test_${crypto.randomUUID().replaceAll("-", "")}`;
    strategy ??= Number((await psql("SHOW server_version_num"))[0]!.server_version_num) < 150_000 ? "" : "STRATEGY FILE_COPY";
    const from = template === undefined ? "template0" : new URL(template).pathname.slice(1);
    await psql(`CREATE DATABASE ${name} TEMPLATE ${from} ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' ${strategy}`);
    made.push(name);
    const url = new URL(maintenance);
    url.pathname = `/${name}`;
    return url.href;
  }
  const url = await newDatabase();
  return {
    url,
    newDatabase,
    psql: (sql, to = url) => psql(sql, to),
    cutConnections: async () => {
      const names = made.map((name) => `'${name}'`).join(", ");
      const rows = await psql(`
        SELECT pg_terminate_backend(pid)
          FROM pg_stat_activity
         WHERE datname IN (${names}) AND pid <> pg_backend_pid()`);
      return rows.length;
    },
    [Symbol.asyncDispose]: async () => {
      for (const name of made) await psql(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    },
  };
}

function connectionTo(url: string, caPem: string | null): AsyncDisposable & { readonly sql: postgres.Sql } {
  const ssl = caPem === null ? {} : { ssl: { ca: caPem } };
  const sql = postgres(url, { max: 1, onnotice: () => {}, ...ssl });
  return { sql, [Symbol.asyncDispose]: () => sql.end() };
}
