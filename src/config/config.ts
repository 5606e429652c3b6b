import { createHash } from "node:crypto";
import type { Credential } from "../domain/provider.ts";
import { CLAUDE_PRICES } from "../pricing/claude_prices.ts";
import type * as providers from "../providers/providers.ts";
import type { PriceList } from "../pricing/price_list.ts";
import type { ForwardProxies } from "../wire/forward_proxy.ts";
import { type ConfigSource, EnvironmentReader } from "./environment.ts";
import { readForwardProxies } from "./forward_proxies.ts";
import { ConfigProblems } from "./config_problems.ts";
import { parsePriceList } from "./prices_file.ts";
import type { Address } from "./setting_kinds.ts";
import type { ValueOf } from "./settings.ts";
import { readDatabaseUrl, readDataDir, readStorage, type StorageConfig } from "./storage_config.ts";

/** Everything that `serve` is told, read once and grouped by the part that gets it. Parts get values, never the Config. */
export interface Config {
  readonly proxy: ProxyConfig;
  readonly admin: AdminConfig;
  readonly upstream: UpstreamConfig;
  /** Between us and the upstream, and between us and the control plane. */
  readonly forwardProxies: ForwardProxies;
  /** Null: only local tokens work. */
  readonly agentserver: AgentserverConfig | null;
  readonly storage: StorageConfig;
  readonly prices: PriceList;
  readonly drain: { readonly leadMs: number; readonly runningMs: number };
  readonly logLevel: ValueOf<"LLMPROXY_LOG_LEVEL">;
  /** What is odd but stops nothing, in words for the operator. */
  readonly warnings: readonly string[];
}

export interface ProxyConfig {
  readonly address: Address;
  readonly traceHeader: string;
  /** In which a server in front writes the client's address; null: no header is believed. */
  readonly clientIpHeader: string | null;
  /** For how long calls that name no session are one by their first message; 0: never. */
  readonly inferSessionMs: number;
  /** Prefixes that begin with `/v1/`, or `*`. */
  readonly allowPaths: readonly string[];
  readonly bodyMs: number;
  readonly bodyBudgetBytes: number;
  readonly bodyBudgetPerSandboxBytes: number;
}

export interface AdminConfig {
  /** `same`: on the proxy's listener. */
  readonly address: Address | "same";
  /** Null: the one in the data directory, made there at the first start. */
  readonly token: string | null;
  /** Lower-cased `Host` values that are answered besides the listener's own, each with a port or without. */
  readonly hosts: readonly string[];
}

/** A dialect that the proxy speaks. */
export type ProviderName = keyof typeof providers;

export interface UpstreamConfig {
  readonly provider: ProviderName;
  /** Without a slash at its end. */
  readonly baseUrl: string;
  readonly credential: Credential;
  readonly idleMs: number;
  /** PEM; null: the public certificates only. It is for the control plane too. */
  readonly caCertificates: string | null;
}

export interface AgentserverConfig {
  /** Without a slash at its end. */
  readonly url: string;
  readonly timeoutMs: number;
  readonly graceMs: number;
}

/** What the commands need that talk to a running proxy. No upstream's credential is asked of them. */
export interface ClientConfig {
  readonly proxyAddress: Address;
  readonly admin: Pick<AdminConfig, "address" | "token">;
  readonly dataDir: string;
}

/** The secrets that may change while the program runs. */
export interface Secrets {
  readonly credential: Credential;
  readonly adminToken: string | null;
  readonly databaseUrl: string | null;
}

const MS_PER_SECOND = 1_000;
const MS_PER_HOUR = 3_600_000;
const BYTES_PER_MB = 1_048_576;
/** Hostnames that stand for all addresses of the machine. */
const WILDCARDS = ["0.0.0.0", "::"];
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** The settings of `serve`. Throws `ConfigProblems` with all problems at once. */
export function loadConfigFromEnv(source: ConfigSource): Config {
  const reader = new EnvironmentReader(source);
  const config = {
    proxy: readProxy(reader),
    admin: readAdmin(reader),
    upstream: readUpstream(reader),
    forwardProxies: readForwardProxies(reader),
    agentserver: readAgentserver(reader),
    storage: readStorage(reader),
    prices: readPriceList(reader),
    drain: {
      leadMs: reader.read("LLMPROXY_DRAIN_LEAD_SECONDS") * MS_PER_SECOND,
      runningMs: reader.read("LLMPROXY_DRAIN_SECONDS") * MS_PER_SECOND,
    },
    logLevel: reader.read("LLMPROXY_LOG_LEVEL"),
  };
  refuseLimits(reader);
  compareAddresses(config.proxy.address, config.admin.address, { reader });
  return finished(reader, { ...config, warnings: warningsOf(reader, config.upstream.baseUrl) });
}

/** The settings of what works on the data directory. Throws `ConfigProblems`. */
export function loadStorageConfig(source: ConfigSource): StorageConfig {
  const reader = new EnvironmentReader(source);
  return finished(reader, readStorage(reader));
}

/** The settings of what talks to a running proxy. Throws `ConfigProblems`. */
export function loadClientConfig(source: ConfigSource): ClientConfig {
  const reader = new EnvironmentReader(source);
  return finished(reader, {
    proxyAddress: reader.read("LLMPROXY_LISTEN_ADDR"),
    admin: readAdmin(reader),
    dataDir: readDataDir(reader),
  });
}

/** The secrets again, from the files that hold them, on SIGHUP. Throws `ConfigProblems`; then the old ones stay. */
export function readSecrets(source: ConfigSource): Secrets {
  const reader = new EnvironmentReader(source);
  return finished(reader, {
    credential: readCredential(reader),
    adminToken: reader.read("LLMPROXY_ADMIN_TOKEN"),
    databaseUrl: readDatabaseUrl(reader),
  });
}

/** The prices again, on SIGHUP. Throws `ConfigProblems`; then the old ones stay. */
export function readPrices(source: ConfigSource): PriceList {
  const reader = new EnvironmentReader(source);
  return finished(reader, readPriceList(reader));
}

/** The built-in list, with the operator's own prices over it. A broken file is refused whole. */
function readPriceList(reader: EnvironmentReader): PriceList {
  const path = reader.read("LLMPROXY_PRICES_FILE");
  const text = path === null ? null : reader.readFile("LLMPROXY_PRICES_FILE", path);
  if (path === null || text === null) return CLAUDE_PRICES;
  try {
    return parsePriceList(text, { path, base: CLAUDE_PRICES });
  } catch (error) {
    if (!(error instanceof ConfigProblems)) throw error;
    reader.problems.push(...error.problems);
    return CLAUDE_PRICES;
  }
}

function readProxy(reader: EnvironmentReader): ProxyConfig {
  const budgetMb = reader.read("LLMPROXY_BODY_BUDGET_MB");
  const perSandboxMb = reader.read("LLMPROXY_BODY_BUDGET_PER_SANDBOX_MB");
  if (perSandboxMb > budgetMb && reader.isSet("LLMPROXY_BODY_BUDGET_PER_SANDBOX_MB")) {
    reader.complain(
      "LLMPROXY_BODY_BUDGET_PER_SANDBOX_MB",
      `Cannot hold LLMPROXY_BODY_BUDGET_PER_SANDBOX_MB: LLMPROXY_BODY_BUDGET_MB gives ${budgetMb} to all sandboxes together`,
    );
  }
  return {
    address: reader.read("LLMPROXY_LISTEN_ADDR"),
    traceHeader: reader.read("LLMPROXY_TRACE_HEADER"),
    clientIpHeader: reader.read("LLMPROXY_CLIENT_IP_HEADER"),
    inferSessionMs: reader.read("LLMPROXY_INFER_SESSION_HOURS") * MS_PER_HOUR,
    allowPaths: reader.read("LLMPROXY_ALLOW_PATHS") ?? [],
    bodyMs: reader.read("LLMPROXY_BODY_SECONDS") * MS_PER_SECOND,
    bodyBudgetBytes: budgetMb * BYTES_PER_MB,
    bodyBudgetPerSandboxBytes: Math.min(perSandboxMb, budgetMb) * BYTES_PER_MB,
  };
}

function readAdmin(reader: EnvironmentReader): AdminConfig {
  return {
    address: reader.read("LLMPROXY_ADMIN_ADDR"),
    token: reader.read("LLMPROXY_ADMIN_TOKEN"),
    hosts: reader.read("LLMPROXY_ADMIN_HOSTS") ?? [],
  };
}

function readUpstream(reader: EnvironmentReader): UpstreamConfig {
  return {
    provider: "anthropic",
    baseUrl: readBaseUrl(reader),
    credential: readCredential(reader),
    idleMs: reader.read("LLMPROXY_UPSTREAM_IDLE_SECONDS") * MS_PER_SECOND,
    caCertificates: readCaCertificates(reader),
  };
}

/** What the proxy puts behind the URLs itself, and what an operator may have copied with them. */
const API_PATH = /\/v1(\/(messages|complete|models|files)(\/.*)?)?$/i;
const VALIDATE_PATH = /\/internal(\/validate-proxy-token)?$/;

/** Clients of other kinds want `/v1` in their base URL; here every call would go to `/v1/v1/…`. */
function readBaseUrl(reader: EnvironmentReader): string {
  const url = reader.read("ANTHROPIC_BASE_URL");
  const path = API_PATH.exec(url)?.[0];
  if (path !== undefined) {
    reader.complain(
      "ANTHROPIC_BASE_URL",
      `Cannot use ANTHROPIC_BASE_URL: leave ${path} away, the proxy puts it behind the URL itself`,
    );
  }
  return url;
}

function readCredential(reader: EnvironmentReader): Credential {
  const isKey = reader.isSet("ANTHROPIC_API_KEY");
  const isToken = reader.isSet("ANTHROPIC_AUTH_TOKEN");
  if (isKey && isToken) reader.problems.push("Cannot use both ANTHROPIC_API_KEY and ANTHROPIC_AUTH_TOKEN: unset one of them");
  if (!isKey && !isToken) {
    reader.problems.push(
      "Cannot call the upstream without a credential: set ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN, or one's _FILE",
    );
  }
  const key = reader.read("ANTHROPIC_API_KEY");
  const token = reader.read("ANTHROPIC_AUTH_TOKEN");
  if (key !== null) return { header: "x-api-key", value: key, secret: key, id: `api-key-${fingerprint(key)}` };
  const secret = token ?? "";
  return { header: "authorization", value: `Bearer ${secret}`, secret, id: `auth-token-${fingerprint(secret)}` };
}

/** Tells two credentials apart in rows and logs; 32 bits of a hash say nothing of the key. */
function fingerprint(secret: string): string {
  return createHash("sha256").update(secret).digest("hex").slice(0, 8);
}

function readCaCertificates(reader: EnvironmentReader): string | null {
  const path = reader.read("LLMPROXY_CA_FILE");
  if (path === null) return null;
  const pem = reader.readFile("LLMPROXY_CA_FILE", path);
  if (pem !== null && !pem.includes("-----BEGIN CERTIFICATE-----")) {
    reader.complain("LLMPROXY_CA_FILE", "Cannot find a PEM certificate in the file that LLMPROXY_CA_FILE names");
  }
  return pem;
}

function readAgentserver(reader: EnvironmentReader): AgentserverConfig | null {
  const url = reader.read("LLMPROXY_AGENTSERVER_URL");
  const path = url === null ? undefined : VALIDATE_PATH.exec(url)?.[0];
  if (path !== undefined) {
    reader.complain(
      "LLMPROXY_AGENTSERVER_URL",
      `Cannot use LLMPROXY_AGENTSERVER_URL: leave ${path} away, the proxy puts it behind the URL itself`,
    );
  }
  const timeoutMs = reader.read("LLMPROXY_AGENTSERVER_TIMEOUT_SECONDS") * MS_PER_SECOND;
  const graceMs = reader.read("LLMPROXY_AGENTSERVER_GRACE_SECONDS") * MS_PER_SECOND;
  return url === null ? null : { url, timeoutMs, graceMs };
}

/** A limit that is set and not held would be a lie. */
function refuseLimits(reader: EnvironmentReader): void {
  if (reader.read("LLMPROXY_DEFAULT_MAX_RPD") === 0) return;
  reader.complain(
    "LLMPROXY_DEFAULT_MAX_RPD",
    "Cannot hold LLMPROXY_DEFAULT_MAX_RPD: this version holds no limits yet; unset it or set 0",
  );
}

function compareAddresses(proxy: Address, admin: Address | "same", { reader }: { readonly reader: EnvironmentReader }): void {
  if (admin === "same" || admin.port === 0 || admin.port !== proxy.port) return;
  if (admin.hostname !== proxy.hostname && !WILDCARDS.includes(admin.hostname) && !WILDCARDS.includes(proxy.hostname)) return;
  reader.complain(
    "LLMPROXY_ADMIN_ADDR",
    "Cannot listen twice on one port: give LLMPROXY_ADMIN_ADDR another one than LLMPROXY_LISTEN_ADDR, or set it to same",
  );
}

function warningsOf(reader: EnvironmentReader, baseUrl: string): readonly string[] {
  const warnings = reader.unknownNames().map((name) => `${name} is not a setting of llmproxy and is ignored`);
  const { protocol, hostname } = new URL(baseUrl);
  if (protocol === "http:" && !LOOPBACK.test(hostname)) {
    warnings.push("ANTHROPIC_BASE_URL is not https: the upstream's credential and all prompts travel unencrypted");
  }
  return warnings;
}

function finished<T>(reader: EnvironmentReader, value: T): T {
  if (reader.problems.length > 0) throw new ConfigProblems([...new Set(reader.problems)]);
  return value;
}
