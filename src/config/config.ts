import type { UpstreamConfig } from "../domain/upstream.ts";
import { PRICES } from "../pricing/prices.ts";
import type { PriceList } from "../pricing/price_list.ts";
import { parsePostgresUrl } from "../stores/postgres/url.ts";
import type { TelemetryOptions } from "../telemetry/call_telemetry.ts";
import type { ForwardProxies } from "../wire/forward_proxy.ts";
import { readForwardProxies } from "./forward_proxies.ts";
import { type OidcConfig, readOidc } from "./oidc_settings.ts";
import { parsePriceList } from "./prices_file.ts";
import { BYTES_PER_MB } from "./setting_kinds.ts";
import type { Address, ValueOf } from "./settings.ts";
import { type ConfigSource, SettingsReader } from "./settings_reader.ts";
import { readTelemetry, readTelemetryHeaders, type TelemetryHeaders } from "./telemetry.ts";
import { readUpstreams, upstreamWarnings } from "./upstream_settings.ts";

/** The settings of `serve`, read once and grouped by part. Parts get values, never the Config. */
export interface Config {
  readonly proxy: Readonly<ReturnType<typeof readProxy>>;
  readonly admin: AdminConfig;
  /** Null: only tokens open the dashboard. */
  readonly oidc: OidcConfig | null;
  /** At least one; the first is the default. */
  readonly upstreams: readonly UpstreamConfig[];
  /** What all upstreams have in common. */
  readonly upstream: Readonly<ReturnType<typeof readUpstream>>;
  /** Between us and the upstream, and between us and the control plane. */
  readonly forwardProxies: ForwardProxies;
  /** Null: only local tokens work. */
  readonly agentserver: Readonly<ReturnType<typeof readAgentserver>>;
  readonly storage: StorageConfig;
  readonly prices: PriceList;
  readonly limits: Readonly<ReturnType<typeof readLimits>>;
  /** Processes that serve calls; 1: the program's own. `auto`: one for each core. */
  readonly workers: ValueOf<"LLMPROXY_WORKERS">;
  readonly drain: { readonly leadMs: number; readonly runningMs: number };
  readonly logLevel: ValueOf<"LLMPROXY_LOG_LEVEL">;
  /** Null: there is no telemetry besides the log and `/metrics`. */
  readonly telemetry: TelemetryOptions | null;
  readonly telemetryHeaders: TelemetryHeaders;
  /** For the operator; they do not stop the start. */
  readonly warnings: readonly string[];
}

export type AdminConfig = Readonly<ReturnType<typeof readAdmin>>;
export type StorageConfig = Readonly<ReturnType<typeof readStorage>>;
/** `url` holds a password. */
export type DatabaseConfig = Readonly<NonNullable<ReturnType<typeof readDatabase>>>;

/** For commands that talk to a running proxy. They need no credential of the upstream. */
export interface ClientConfig {
  readonly proxyAddress: Address;
  /** Of a proxy elsewhere, without a trailing slash; null: the one on this machine. */
  readonly adminUrl: string | null;
  /** PEM to trust besides the public certificates; null: none. */
  readonly caCertificates: string | null;
  readonly admin: Pick<AdminConfig, "address" | "token">;
  readonly dataDir: string;
}

/** The secrets that may change while the program runs. */
export interface Secrets {
  /** At least one; the first is the default. */
  readonly upstreams: readonly UpstreamConfig[];
  readonly adminToken: string | null;
  /** Null: there are no viewers. */
  readonly viewerToken: string | null;
  readonly oidcClientSecret: string | null;
  readonly databaseUrl: string | null;
  /** Signs webhooks. */
  readonly webhookSecret: string | null;
  /** For the receivers of telemetry. */
  readonly telemetryHeaders: TelemetryHeaders;
}

/** Hostnames that stand for all addresses of the machine. */
const WILDCARDS = ["0.0.0.0", "::"];
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;
/** Paths that the proxy adds to the URLs itself, and that an operator may have copied with them. */
const ADMIN_PATH = /\/(internal|dashboard)(\/.*)?$/;
const VALIDATE_PATH = /\/internal(\/validate-proxy-token)?$/;

/** The settings of `serve`. Throws `ConfigProblems` with all problems at once. */
export function loadConfigFromEnv(source: ConfigSource): Config {
  const reader = new SettingsReader(source);
  const config = {
    proxy: readProxy(reader),
    admin: readAdmin(reader),
    oidc: readOidc(reader),
    upstreams: readUpstreams(reader),
    upstream: readUpstream(reader),
    forwardProxies: readForwardProxies(reader),
    agentserver: readAgentserver(reader),
    storage: readStorage(reader),
    prices: readPriceList(reader),
    limits: readLimits(reader),
    workers: reader.read("LLMPROXY_WORKERS"),
    drain: { leadMs: reader.read("LLMPROXY_DRAIN_LEAD_SECONDS"), runningMs: reader.read("LLMPROXY_DRAIN_SECONDS") },
    logLevel: reader.read("LLMPROXY_LOG_LEVEL"),
    telemetry: readTelemetry(reader),
    telemetryHeaders: readTelemetryHeaders(reader),
  };
  refuseAdminInWorkers(reader);
  refuseSamePort(config.proxy.address, config.admin.address, reader);
  return reader.finish({ ...config, warnings: warningsOf(reader, config) });
}

/** The settings of commands that work on the data directory. Throws `ConfigProblems`. */
export function loadStorageConfig(source: ConfigSource): StorageConfig {
  const reader = new SettingsReader(source);
  return reader.finish(readStorage(reader));
}

/** The settings of commands that talk to a running proxy. Throws `ConfigProblems`. */
export function loadClientConfig(source: ConfigSource): ClientConfig {
  const reader = new SettingsReader(source);
  return reader.finish({
    proxyAddress: reader.read("LLMPROXY_LISTEN_ADDR"),
    adminUrl: readUrl("LLMPROXY_ADMIN_URL", ADMIN_PATH, reader),
    caCertificates: readCaCertificates(reader),
    admin: readAdmin(reader),
    dataDir: readDataDir(reader),
  });
}

/** The secrets again, on SIGHUP. Throws `ConfigProblems`; then the old ones stay. */
export function readSecrets(source: ConfigSource): Secrets {
  const reader = new SettingsReader(source);
  return reader.finish({
    upstreams: readUpstreams(reader),
    adminToken: reader.read("LLMPROXY_ADMIN_TOKEN"),
    viewerToken: reader.read("LLMPROXY_VIEWER_TOKEN"),
    oidcClientSecret: reader.read("LLMPROXY_OIDC_CLIENT_SECRET"),
    databaseUrl: readDatabaseUrl(reader),
    webhookSecret: reader.read("LLMPROXY_WEBHOOK_SECRET"),
    telemetryHeaders: readTelemetryHeaders(reader),
  });
}

/** The prices again, on SIGHUP. Throws `ConfigProblems`; then the old ones stay. */
export function readPrices(source: ConfigSource): PriceList {
  const reader = new SettingsReader(source);
  return reader.finish(readPriceList(reader));
}

/** The built-in list, with the operator's own prices over it. A broken file is refused whole. */
function readPriceList(reader: SettingsReader): PriceList {
  const path = reader.read("LLMPROXY_PRICES_FILE");
  const text = path === null ? null : reader.readFile("LLMPROXY_PRICES_FILE", path);
  if (path === null || text === null) return PRICES;
  return reader.collect(() => parsePriceList(text, { path, base: PRICES })) ?? PRICES;
}

function readProxy(reader: SettingsReader) {
  const bodyBudgetBytes = reader.read("LLMPROXY_BODY_BUDGET_MB");
  const perSandboxBytes = reader.read("LLMPROXY_BODY_BUDGET_PER_SANDBOX_MB");
  if (perSandboxBytes > bodyBudgetBytes && reader.isSet("LLMPROXY_BODY_BUDGET_PER_SANDBOX_MB")) {
    reader.complain(
      "LLMPROXY_BODY_BUDGET_PER_SANDBOX_MB",
      "Cannot hold LLMPROXY_BODY_BUDGET_PER_SANDBOX_MB: LLMPROXY_BODY_BUDGET_MB gives " +
        `${bodyBudgetBytes / BYTES_PER_MB} to all sandboxes together`,
    );
  }
  return {
    address: reader.read("LLMPROXY_LISTEN_ADDR"),
    traceHeader: reader.read("LLMPROXY_TRACE_HEADER"),
    /** Null: no header is believed. */
    clientIpHeader: reader.read("LLMPROXY_CLIENT_IP_HEADER"),
    /** 0: never. */
    inferSessionMs: reader.read("LLMPROXY_INFER_SESSION_HOURS"),
    allowPaths: reader.read("LLMPROXY_ALLOW_PATHS") ?? [],
    bodyMs: reader.read("LLMPROXY_BODY_SECONDS"),
    headMs: reader.read("LLMPROXY_HEAD_SECONDS"),
    keepAliveMs: reader.read("LLMPROXY_KEEP_ALIVE_SECONDS"),
    stallMs: reader.read("LLMPROXY_CLIENT_STALL_SECONDS"),
    /** Null: as many as the limit of descriptors allows. */
    maxConnections: reader.read("LLMPROXY_MAX_CONNECTIONS"),
    brokenStream: reader.read("LLMPROXY_BROKEN_STREAM"),
    bodyBudgetBytes,
    bodyBudgetPerSandboxBytes: Math.min(perSandboxBytes, bodyBudgetBytes),
  };
}

function readAdmin(reader: SettingsReader) {
  const dashboardUrl = reader.read("LLMPROXY_DASHBOARD_URL");
  return {
    address: reader.read("LLMPROXY_ADMIN_ADDR"),
    /** Null: the one in the data directory, which the first start makes. */
    token: reader.read("LLMPROXY_ADMIN_TOKEN"),
    viewerToken: reader.read("LLMPROXY_VIEWER_TOKEN"),
    /** `Host` values in lower case, each with a port or without. */
    hosts: [...reader.read("LLMPROXY_ADMIN_HOSTS") ?? [], ...(dashboardUrl === null ? [] : [new URL(dashboardUrl).hostname])],
    /** Browsers reach it by https only. */
    isSecure: dashboardUrl?.startsWith("https:") === true,
  };
}

function readUpstream(reader: SettingsReader) {
  return {
    idleMs: reader.read("LLMPROXY_UPSTREAM_IDLE_SECONDS"),
    waitMs: reader.read("LLMPROXY_UPSTREAM_WAIT_SECONDS"),
    /** PEM, for the upstream and the control plane; null: the public certificates only. */
    caCertificates: readCaCertificates(reader),
  };
}

/** A URL without a trailing slash. The proxy would add the path a second time: `/v1/v1/…`. */
function readUrl<N extends "LLMPROXY_AGENTSERVER_URL" | "LLMPROXY_ADMIN_URL">(
  name: N,
  addedPath: RegExp,
  reader: SettingsReader,
): ValueOf<N> {
  const url = reader.read(name);
  const path = typeof url === "string" ? addedPath.exec(url)?.[0] : undefined;
  if (path !== undefined) reader.complain(name, `Cannot use ${name}: remove ${path}, the proxy adds it itself`);
  return url;
}

function readCaCertificates(reader: SettingsReader): string | null {
  const path = reader.read("LLMPROXY_CA_FILE");
  const pem = path === null ? null : reader.readFile("LLMPROXY_CA_FILE", path);
  if (pem !== null && !pem.includes("-----BEGIN CERTIFICATE-----")) {
    reader.complain("LLMPROXY_CA_FILE", "Cannot find a PEM certificate in the file that LLMPROXY_CA_FILE names");
  }
  return pem;
}

function readAgentserver(reader: SettingsReader) {
  const url = readUrl("LLMPROXY_AGENTSERVER_URL", VALIDATE_PATH, reader);
  const timeoutMs = reader.read("LLMPROXY_AGENTSERVER_TIMEOUT_SECONDS");
  const graceMs = reader.read("LLMPROXY_AGENTSERVER_GRACE_SECONDS");
  return url === null ? null : { url, timeoutMs, graceMs };
}

function readStorage(reader: SettingsReader) {
  return {
    dataDir: readDataDir(reader),
    sync: reader.read("LLMPROXY_LEDGER_SYNC"),
    /** The shared database; null: everything is in the data directory. */
    database: readDatabase(reader),
    /** Older rows are dropped; null: all are kept. */
    retentionMs: reader.read("LLMPROXY_RETENTION_DAYS"),
  };
}

function readDatabase(reader: SettingsReader) {
  const url = readDatabaseUrl(reader);
  const spool = {
    keepMs: reader.read("LLMPROXY_SPOOL_KEEP_HOURS"),
    maxBytes: reader.read("LLMPROXY_SPOOL_MAX_MB"),
    onFull: reader.read("LLMPROXY_SPOOL_FULL"),
  };
  const tokenGraceMs = reader.read("LLMPROXY_TOKEN_GRACE_SECONDS");
  return url === null ? null : { url, tokenGraceMs, spool };
}

/** No message of `parsePostgresUrl` holds the URL. */
function readDatabaseUrl(reader: SettingsReader): string | null {
  const url = reader.read("LLMPROXY_DATABASE_URL");
  try {
    if (url !== null) parsePostgresUrl(url);
    return url;
  } catch (error) {
    const why = (error as Error).message.replace("Cannot read the database's URL: ", "");
    reader.problems.push(`Cannot use LLMPROXY_DATABASE_URL: ${why}`);
    return null;
  }
}

/** systemd's STATE_DIRECTORY may name several folders; the first is ours (systemd.exec(5)). */
function readDataDir(reader: SettingsReader): string {
  const state = reader.variable("STATE_DIRECTORY")?.split(":")[0];
  return !reader.isSet("LLMPROXY_DATA_DIR") && state ? state : reader.read("LLMPROXY_DATA_DIR");
}

function readLimits(reader: SettingsReader) {
  return {
    /** Of each workspace without a limit of that kind; 0: none. */
    defaults: {
      rpd: reader.read("LLMPROXY_DEFAULT_MAX_RPD"),
      calls_per_minute: reader.read("LLMPROXY_TRACE_CALLS_PER_MINUTE"),
      cost_per_hour: reader.read("LLMPROXY_TRACE_COST_PER_HOUR"),
    },
    reserve: reader.read("LLMPROXY_RESERVE"),
    unpriced: reader.read("LLMPROXY_UNPRICED"),
    /** How long a call waits for a place among those that run. */
    queueMs: reader.read("LLMPROXY_QUEUE_SECONDS"),
    /** The same question so many times is a loop; 0: never. */
    loopCalls: reader.read("LLMPROXY_LOOP_CALLS"),
    pauseMs: reader.read("LLMPROXY_PAUSE_SECONDS"),
    warnPercents: reader.read("LLMPROXY_WARN_PERCENT"),
    /** Where the operator is told; null: in the log only. */
    webhookUrl: reader.read("LLMPROXY_WEBHOOK_URL"),
    webhookSecret: reader.read("LLMPROXY_WEBHOOK_SECRET"),
  };
}

/** The admin API on the proxy's listener would be in each worker, which cannot answer for all. */
function refuseAdminInWorkers(reader: SettingsReader): void {
  if (reader.read("LLMPROXY_WORKERS") === 1 || reader.read("LLMPROXY_ADMIN_ADDR") !== "same") return;
  reader.complain(
    "LLMPROXY_ADMIN_ADDR",
    "Cannot answer operators on the listener of several workers: give LLMPROXY_ADMIN_ADDR an address of its own, or set " +
      "LLMPROXY_WORKERS to 1",
  );
}

function refuseSamePort(proxy: Address, admin: Address | "same", reader: SettingsReader): void {
  if (admin === "same" || admin.port === 0 || admin.port !== proxy.port) return;
  if (admin.hostname !== proxy.hostname && !WILDCARDS.includes(admin.hostname) && !WILDCARDS.includes(proxy.hostname)) return;
  reader.complain(
    "LLMPROXY_ADMIN_ADDR",
    "Cannot listen twice on one port: give LLMPROXY_ADMIN_ADDR another port than LLMPROXY_LISTEN_ADDR, or set it to same",
  );
}

function warningsOf(
  reader: SettingsReader,
  { upstreams, oidc, telemetry, telemetryHeaders }: Pick<Config, "upstreams" | "oidc" | "telemetry" | "telemetryHeaders">,
): readonly string[] {
  const looksLikeOne = telemetry !== null ? /^(LLMPROXY|OTEL)_(?!DENO)/ : /^LLMPROXY_/;
  const warnings = reader.unknownNames(looksLikeOne).map((name) => `${name} is not a setting of llmproxy and is ignored`);
  warnings.push(...upstreamWarnings(upstreams));
  const isUnencrypted = (url: string) => {
    const { protocol, hostname } = new URL(url);
    return protocol === "http:" && !LOOPBACK.test(hostname);
  };
  if (upstreams.some(({ credentials }) => credentials.some(({ baseUrl }) => isUnencrypted(baseUrl)))) {
    const isByFile = reader.isSet("ANTHROPIC_API_KEYS_FILE") || reader.isSet("LLMPROXY_UPSTREAMS_FILE");
    const name = isByFile ? "A base URL of the upstream" : "ANTHROPIC_BASE_URL";
    warnings.push(`${name} is not https: the upstream's credential and all prompts are sent unencrypted`);
  }
  if (oidc !== null && isUnencrypted(oidc.issuer)) {
    warnings.push("LLMPROXY_OIDC_ISSUER is not https: who comes into the dashboard depends on answers that can be forged");
  }
  for (const signal of ["traces", "metrics"] as const) {
    const url = telemetry?.[signal]?.receiver.url;
    if (url === undefined || !isUnencrypted(url) || Object.keys(telemetryHeaders[signal]).length === 0) continue;
    warnings.push(`The receiver of ${signal} is not https: the headers that OTEL_EXPORTER_OTLP_HEADERS has are sent unencrypted`);
  }
  return warnings;
}
