/**
 * Proxies that share one PostgreSQL, each a process with a data directory of its own, which it
 * keeps through its deaths.
 */
import { DatabaseSync } from "node:sqlite";
import { type ProxyProcess, startProxyProcess } from "../proxy_process.ts";
import { waitFor } from "../wait.ts";

export interface End {
  readonly at: number;
  readonly signal: "SIGKILL" | "SIGTERM";
}

export interface Replica {
  readonly name: string;
  readonly dataDir: string;
  /** Null while it is dead. */
  readonly proxy: ProxyProcess | null;
  /** When it was ended, by `performance.now()`, and how. */
  readonly ends: readonly End[];
  start(): Promise<ProxyProcess>;
  /** kill -9. */
  kill(): Promise<void>;
  /** SIGTERM: it drains, and ends by itself. */
  stop(): Promise<void>;
  /** Ships everything that it keeps once more. */
  reship(): Promise<void>;
}

export interface ReplicasOptions {
  readonly count: number;
  readonly upstreamUrl: string;
  readonly databaseUrl: string;
  readonly env?: Readonly<Record<string, string>>;
}

const STOP_MS = 20_000;

/** Starts them all at once. Disposing kills them and removes their directories. */
export async function startReplicas(options: ReplicasOptions): Promise<AsyncDisposable & { readonly all: readonly Replica[] }> {
  const { count, upstreamUrl, databaseUrl, env = {} } = options;
  const all = Array.from({ length: count }, (_, n) => {
    const dataDir = Deno.makeTempDirSync({ prefix: "llmproxy-test-" });
    return new ReplicaProcess(`replica ${n + 1}`, {
      dataDir,
      upstreamUrl,
      env: { LLMPROXY_DATABASE_URL: databaseUrl, ...env },
    });
  });
  const end = async () => {
    for (const replica of all) {
      if (replica.proxy !== null) await replica.kill();
      await Deno.remove(replica.dataDir, { recursive: true });
    }
  };
  try {
    await Promise.all(all.map((replica) => replica.start()));
  } catch (error) {
    await end();
    throw error;
  }
  return { all, [Symbol.asyncDispose]: end };
}

class ReplicaProcess implements Replica {
  readonly name: string;
  readonly dataDir: string;
  proxy: ProxyProcess | null = null;
  readonly ends: End[] = [];
  readonly #upstreamUrl: string;
  readonly #env: Readonly<Record<string, string>>;

  constructor(
    name: string,
    options: { readonly dataDir: string; readonly upstreamUrl: string; readonly env: Readonly<Record<string, string>> },
  ) {
    this.name = name;
    this.dataDir = options.dataDir;
    this.#upstreamUrl = options.upstreamUrl;
    this.#env = options.env;
  }

  async start(): Promise<ProxyProcess> {
    this.proxy = await startProxyProcess({ upstreamUrl: this.#upstreamUrl, dataDir: this.dataDir, env: this.#env });
    return this.proxy;
  }

  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  async reship(): Promise<void> {
    const { adminUrl, env } = this.#alive();
    const headers = { authorization: `Bearer ${env.LLMPROXY_ADMIN_TOKEN}` };
    const answer = await fetch(`${adminUrl}/internal/reship?since=2020-01-01T00:00:00Z`, { method: "POST", headers });
    if (!answer.ok) throw new Error(`${this.name} does not ship once more: ${answer.status} ${await answer.text()}`);
    await answer.body?.cancel();
  }

  #alive(): ProxyProcess {
    if (this.proxy === null) throw new Error(`${this.name} is not running`);
    return this.proxy;
  }

  async #end(signal: End["signal"]): Promise<void> {
    const proxy = this.#alive();
    this.proxy = null;
    this.ends.push({ at: performance.now(), signal });
    proxy.kill(signal);
    await proxy.exited();
  }
}

/**
 * What a data directory has not shipped yet: rows, traces and counters, rows quarantined, and calls
 * still open.
 */
export function unshippedIn(dataDir: string): number {
  const database = new DatabaseSync(`${dataDir}/spool-0.db`, { readOnly: true, timeout: STOP_MS });
  try {
    return Number(database.prepare(UNSHIPPED).get()?.count);
  } finally {
    database.close();
  }
}

/** Waits until everything that was recorded has been shipped. */
export async function drained(replicas: readonly Replica[], deadlineMs: number): Promise<void> {
  for (const { name, dataDir } of replicas) {
    await waitFor(() => unshippedIn(dataDir) === 0, { what: `${name} to have shipped everything`, deadlineMs });
  }
}

const UNSHIPPED = `
  SELECT
    (SELECT count(*) FROM closed_calls WHERE number > shipped.calls) + (SELECT count(*) FROM notes WHERE number > shipped.notes) +
    (SELECT count(*) FROM quarantined) + (SELECT count(*) FROM open_calls) AS count
  FROM shipped`;
