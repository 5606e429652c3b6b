/**
 * The real proxy over loopback sockets, in this process or as a process of its own, with a fake
 * upstream behind it.
 */
import { DatabaseSync } from "node:sqlite";
import { loadConfigFromEnv } from "../src/config/config.ts";
import { type ServerSystem, systemOf } from "../src/server/system.ts";
import { type Running, start } from "../src/server/serve.ts";
import type { Closing } from "../src/domain/usage.ts";
import { CALL_COLUMNS, CLOSING_COLUMNS, sqliteValues, storedCall, storedClosing, SWEPT } from "../src/stores/usage_row.ts";
import { type FakeUpstream, startFakeUpstream } from "./fake_upstream.ts";
import { waitFor } from "./wait.ts";

/** The operator's key: it must come out nowhere but at the upstream. */
export const OPERATOR_KEY = "sk-ant-operator-0123456789abcdef";
const ADMIN_TOKEN = "admin-token-of-the-tests-0123456789";

/** A row of `usage` as it stands in the database: snake_case columns. */
export type Row = Readonly<Record<string, string | number | bigint | null>>;

export interface ProxyUnderTest extends AsyncDisposable {
  /** The proxy listener's base URL. */
  readonly url: string;
  readonly adminUrl: string;
  readonly adminToken: string;
  readonly upstream: FakeUpstream;
  readonly dataDir: string;
  /** Everything that was logged so far. */
  readonly logs: readonly string[];
  readonly running: Running;
  /** A new local token. */
  readonly token: (workspaceId?: string, sandboxId?: string) => Promise<string>;
  /** JSON of the admin API; throws where it is not a 2xx. */
  readonly ask: (path: string) => Promise<Record<string, unknown>>;
  /** The same as it is written. */
  readonly text: (path: string) => Promise<string>;
  /** All rows of `usage`, oldest first, open ones too. */
  readonly rows: () => readonly Row[];
  /** The rows, as soon as there are that many and all are closed. */
  readonly closedRows: (count: number) => Promise<readonly Row[]>;
}

export interface ProxyOptions {
  /**
   * Settings over those that the tests need; an empty value unsets one. A function makes them, once
   * the upstream is there.
   */
  readonly env?:
    | Readonly<Record<string, string>>
    | ((known: { readonly upstreamUrl: string }) => Readonly<Record<string, string>>);
  readonly system?: Partial<ServerSystem>;
  readonly dataDir?: string;
}

/** Starts the proxy in this process, on free ports, with an empty data directory. */
export async function startProxy(options: ProxyOptions = {}): Promise<ProxyUnderTest> {
  const upstream = await startFakeUpstream();
  const dataDir = options.dataDir ?? await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const over = typeof options.env === "function" ? options.env({ upstreamUrl: upstream.url }) : options.env;
  const env = settingsOf(upstream.url, dataDir, over);
  const source = {
    env: (name: string) => env[name],
    names: Object.keys(env),
    readFile: (path: string) => Deno.readTextFileSync(path),
  };
  const logs: string[] = [];
  const system = {
    ...systemOf(source),
    startsWorkers: false,
    writeLog: (line: string) => void logs.push(line),
    ...options.system,
  };
  const running = await start(loadConfigFromEnv(source), system);
  const url = `http://127.0.0.1:${running.proxyAddress.port}`;
  const adminUrl = `http://127.0.0.1:${running.adminAddress.port}`;
  const admin = adminOf(adminUrl, running.adminToken());
  const rows = () => readRows(dataDir);
  return {
    url,
    adminUrl,
    adminToken: running.adminToken(),
    upstream,
    dataDir,
    logs,
    running,
    ...admin,
    rows,
    closedRows: (count) => closedRows(dataDir, count),
    [Symbol.asyncDispose]: async () => {
      await upstream[Symbol.asyncDispose]();
      await running.stop();
      if (options.dataDir === undefined) await Deno.remove(dataDir, { recursive: true });
    },
  };
}

/** The settings with which tests start a proxy, as environment variables. */
export function settingsOf(
  upstreamUrl: string,
  dataDir: string,
  over: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return {
    ANTHROPIC_API_KEY: OPERATOR_KEY,
    ANTHROPIC_BASE_URL: upstreamUrl,
    LLMPROXY_LISTEN_ADDR: "127.0.0.1:0",
    LLMPROXY_ADMIN_ADDR: "127.0.0.1:0",
    LLMPROXY_ADMIN_TOKEN: ADMIN_TOKEN,
    LLMPROXY_DATA_DIR: dataDir,
    LLMPROXY_DRAIN_LEAD_SECONDS: "0",
    LLMPROXY_DRAIN_SECONDS: "5",
    ...over,
  };
}

export function adminOf(adminUrl: string, adminToken: string): Pick<ProxyUnderTest, "token" | "ask" | "text"> {
  const authorization = `Bearer ${adminToken}`;
  const textOf = async (path: string, init: RequestInit = {}) => {
    const answer = await fetch(adminUrl + path, { ...init, headers: { authorization, "content-type": "application/json" } });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path} answers ${answer.status}: ${text}`);
    return text;
  };
  return {
    text: (path) => textOf(path),
    ask: async (path) => JSON.parse(await textOf(path)),
    token: async (workspaceId = "w1", sandboxId = "s1") => {
      const made = await textOf("/internal/tokens", { method: "POST", body: JSON.stringify({ workspaceId, sandboxId }) });
      return String(JSON.parse(made).token);
    },
  };
}

/** All rows in a data directory, oldest first: in the database, or still in the spool. */
export function readRows(dataDir: string): readonly Row[] {
  // The spool first: what leaves it meanwhile is in the database.
  const spooled = spooledRows(dataDir);
  const stored = storedRows(dataDir);
  const ids = new Set(stored.map(({ id }) => id));
  return [...stored, ...spooled.filter(({ id }) => !ids.has(id))].sort((a, b) =>
    Number(a.created_at) - Number(b.created_at) || (String(a.id) < String(b.id) ? -1 : 1)
  );
}

/** The rows, as soon as there are that many, all are closed, and none waits for the database. */
export function closedRows(dataDir: string, count: number): Promise<readonly Row[]> {
  const isShared = () => read(`${dataDir}/spool-0.db`, "SELECT store FROM shipped")[0]?.store === "shared";
  return waitFor(() => {
    const spooled = spooledRows(dataDir);
    const rows = isShared() ? readRows(dataDir) : storedRows(dataDir);
    const ids = new Set(rows.map(({ id }) => id));
    return rows.length >= count && spooled.every((row) => row.outcome !== null && ids.has(row.id!)) && rows;
  }, { what: `${count} closed rows` });
}

function storedRows(dataDir: string): readonly Row[] {
  return isFile(`${dataDir}/llmproxy.db`) ? read(`${dataDir}/llmproxy.db`, "SELECT * FROM usage ORDER BY created_at, id") : [];
}

/** As the database would have them, without what it adds itself. */
function spooledRows(dataDir: string): readonly Row[] {
  const spools = [...Deno.readDirSync(dataDir)].filter(({ name }) => /^spool-\d+\.db$/.test(name));
  const sql =
    "SELECT opened, NULL AS closing, 0 AS revision FROM open_calls UNION ALL SELECT opened, closing, revision FROM closed_calls";
  const spooled = spools.flatMap(({ name }) => read(`${dataDir}/${name}`, sql));
  return spooled.map(({ opened, closing, revision }): Row => {
    const { call } = JSON.parse(String(opened));
    const end: Closing = closing === null ? SWEPT : JSON.parse(String(closing));
    const values = sqliteValues([...storedCall(call), ...storedClosing(end)]);
    const columns = [...CALL_COLUMNS, ...CLOSING_COLUMNS].map((column, n) => [column, values[n]!]);
    return {
      ...Object.fromEntries(columns),
      revision: revision!,
      ...(closing === null ? { outcome: null } : {}),
      retry_of: null,
      asked_again: 0,
    };
  });
}

function read(path: string, sql: string): readonly Row[] {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
  try {
    return database.prepare(sql).all() as unknown as readonly Row[];
  } finally {
    database.close();
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** A call to `POST /v1/messages` of one user text. */
export function messageCall(token: string, options: {
  readonly text?: string;
  readonly stream?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
} = {}): RequestInit {
  const { text = "hello", stream = false, headers = {} } = options;
  return {
    method: "POST",
    headers: { "x-api-key": token, "anthropic-version": "2023-06-01", "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: "claude-haiku-4-5", max_tokens: 64, stream, messages: [{ role: "user", content: text }] }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  };
}

/**
 * What came of an answer's body, and the error that broke it off; null where it ended tidily.
 * `onText` is told all that has come so far, whenever more has.
 */
export async function received(
  answer: Response,
  onText: (text: string) => void = () => {},
): Promise<{ readonly text: string; readonly error: unknown }> {
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const chunk of answer.body ?? []) onText(text += decoder.decode(chunk, { stream: true }));
    return { text, error: null };
  } catch (error) {
    return { text, error: error ?? new Error("broken without a word") };
  }
}
