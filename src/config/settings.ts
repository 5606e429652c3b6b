import { z } from "zod";
import { nanoDollarsOf } from "../domain/money.ts";
import { type PeopleRule, peopleRuleOf } from "../identity/people.ts";
import {
  HEADER_NAME,
  hours,
  megabytes,
  oneOf,
  optional,
  parsed,
  path,
  readList,
  readUrl,
  seconds,
  secret,
  type Setting,
  setting,
  url,
  VISIBLE_ASCII,
  whole,
} from "./setting_kinds.ts";
import { TELEMETRY_SETTINGS } from "./telemetry_settings.ts";

/** Where to listen. Port 0 lets the system choose one. */
export interface Address {
  /** A name, an IPv4 address or an IPv6 address without brackets. A port alone means `0.0.0.0`. */
  readonly hostname: string;
  readonly port: number;
}

const HOST_NAME = /^(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:\d{1,5})?$/i;
const PATH_PREFIX = /^\/v1\/[A-Za-z0-9_~\-/.]*$/;
/** They carry credentials or frame the message: no trace id is taken from them. */
const PRIVATE_HEADER = /^(authorization|proxy-authorization|x-api-key|cookie|host|connection|content-length|transfer-encoding)$/i;
/** They describe the call and go upstream. A header that only a reverse proxy writes stops here. */
const CALL_HEADER = /^(content-|accept|anthropic-|user-agent$)/i;

const credential = z.string().regex(VISIBLE_ASCII, "visible ASCII characters that a header can carry");
const adminToken = z.string().regex(/^[\x21-\x7e]{16,}$/, "at least 16 visible ASCII characters");
const databaseUrl = z.string().regex(/^postgres(ql)?:\/\/\S+$/, "a URL that begins with postgres://");
const address = parsed("an address such as :8081, 127.0.0.1:8081 or [::1]:8081", readAddress);
const adminAddress = parsed<Address | "same">(
  "an address such as 127.0.0.1:8082, or same",
  (text) => text === "same" ? text : readAddress(text),
);
const hostNames = parsed(
  "host names with commas between them, such as proxy.internal,10.0.0.7:8082",
  (text) => readList(text.toLowerCase(), (item) => HOST_NAME.test(item)),
);
const pathPrefixes = parsed(
  "prefixes that begin with /v1/, with commas between them, or * for all",
  (text) => readList(text, (item) => item === "*" || isPathPrefix(item)),
);
const traceHeader = parsed(
  "the name of a header that carries no credential and no framing",
  (text) => HEADER_NAME.test(text) && !PRIVATE_HEADER.test(text) ? text : null,
);
const clientIpHeader = parsed(
  "the name of a header in which a server in front writes an address, such as X-Forwarded-For",
  (text) => HEADER_NAME.test(text) && !PRIVATE_HEADER.test(text) && !CALL_HEADER.test(text) ? text : null,
);
const MOST_WORKERS = 64;
const workers = parsed<number | "auto">(`a number from 1 to ${MOST_WORKERS}, or auto`, (text) => {
  if (text === "auto") return text;
  const count = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  return count >= 1 && count <= MOST_WORKERS ? count : null;
});
const logLevel = oneOf("trace", "debug", "info", "warn", "error", "fatal", "silent");
const days = whole("days", { min: 1, max: 36_500, unit: 24 * 3_600_000 });
const percents = parsed("whole numbers from 1 to 100 with commas between them", (text) => {
  const numbers = text.split(",").map((item) => /^ *\d{1,3} *$/.test(item) ? Number(item) : 0);
  return numbers.every((percent) => percent >= 1 && percent <= 100) ? numbers : null;
});
const dollars = parsed("dollars, such as 5 or 0.50", nanoDollarsOf);
const origin = parsed("an http or https URL without a path", (text) => {
  const read = readUrl(text);
  return read !== null && new URL(read).pathname === "/" ? read : null;
});
const issuer = parsed(
  "an http or https URL without credentials, query or fragment",
  (text) => readUrl(text) === null ? null : text,
);
const clientId = z.string().regex(/^[\x20-\x7e]+$/, "visible ASCII characters");
const people = parsed<readonly PeopleRule[]>(
  "e-mail addresses, *@domain or claim=value, with commas between them",
  (text) => {
    const rules = readList(text, () => true)!.map(peopleRuleOf);
    return rules.every((rule) => rule !== null) ? rules : null;
  },
);
const scopes = z.string().regex(/^(\S+ )*openid( \S+)*$/, "scopes with blanks between them, openid among them");
const webhookUrl = parsed("an http or https URL without user and password", readWebhookUrl);
/** 24 to 64 bytes (https://www.standardwebhooks.com, "Signature scheme"). */
const webhookSecret = z.string().regex(/^whsec_[A-Za-z0-9+/]{32,86}={0,2}$/, "whsec_ and the base64 of 24 to 64 bytes");
const count = z.string().regex(/^\d{1,15}$/, "a whole number").transform(Number);

/**
 * Every setting, in the order of docs/settings.md. A new setting is one row here and one there.
 * Durations are read as milliseconds and sizes as bytes.
 */
export const SETTINGS = {
  ANTHROPIC_API_KEY: secret(credential, "the upstream's key, sent as `x-api-key`; this or `ANTHROPIC_AUTH_TOKEN`"),
  ANTHROPIC_AUTH_TOKEN: secret(credential, "the upstream's token, sent as `Authorization: Bearer`"),
  ANTHROPIC_API_KEYS_FILE: optional(
    path("a JSON file of credentials"),
    "several keys in place of one, in a JSON file; read again on SIGHUP",
  ),
  ANTHROPIC_BASE_URL: setting(url, "https://api.anthropic.com", "where calls go, without `/v1`; may have a path prefix"),
  LLMPROXY_UPSTREAMS_FILE: optional(
    path("a JSON file of upstreams"),
    "more upstreams, such as OpenAI or Bedrock, in a JSON file; read again on SIGHUP",
  ),
  LLMPROXY_LISTEN_ADDR: setting(address, ":8081", "where sandboxes call; a port alone means all IPv4 addresses"),
  LLMPROXY_ADMIN_ADDR: setting(adminAddress, "127.0.0.1:8082", "where operators call; `same`: on the proxy's listener"),
  LLMPROXY_ADMIN_TOKEN: secret(adminToken, "what operators send; if unset, the proxy makes `admin-token` in the data directory"),
  LLMPROXY_VIEWER_TOKEN: secret(
    adminToken,
    "opens everything to those who only look, and changes nothing; if unset, there is no viewer",
  ),
  LLMPROXY_ADMIN_HOSTS: optional(hostNames, "more `Host` names that the admin listener answers to, comma-separated"),
  LLMPROXY_DASHBOARD_URL: optional(origin, "where operators' browsers find the admin listener; OpenID sign-in needs it"),
  LLMPROXY_OIDC_ISSUER: optional(issuer, "the OpenID provider at which people sign in to the dashboard, as it calls itself"),
  LLMPROXY_OIDC_CLIENT_ID: optional(clientId, "the dashboard's name at that provider"),
  LLMPROXY_OIDC_CLIENT_SECRET: secret(credential, "its secret; if unset, it is a public client"),
  LLMPROXY_OIDC_ADMINS: optional(people, "who may change things: e-mail addresses, `*@domain` or `claim=value`, comma-separated"),
  LLMPROXY_OIDC_VIEWERS: optional(people, "who may look, written like `LLMPROXY_OIDC_ADMINS`; all others are refused"),
  LLMPROXY_OIDC_SCOPES: setting(scopes, "openid email profile", "the scopes that are asked for, `openid` among them"),
  LLMPROXY_ADMIN_URL: optional(url, "where the command line asks; if unset, the proxy on this machine"),
  LLMPROXY_DATA_DIR: setting(path("a folder"), "./data", "a local, lasting volume; under systemd `$STATE_DIRECTORY`"),
  LLMPROXY_LOG_LEVEL: setting(logLevel, "info", "`trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`"),
  LLMPROXY_AGENTSERVER_URL: optional(url, "the control plane that knows proxy tokens; if unset, only local tokens work"),
  LLMPROXY_AGENTSERVER_TIMEOUT_SECONDS: setting(seconds(1), "5", "how long the control plane may take to check one token"),
  LLMPROXY_AGENTSERVER_GRACE_SECONDS: setting(seconds(0), "300", "how long known-good tokens work while it is down"),
  LLMPROXY_TRACE_HEADER: setting(traceHeader, "X-Trace-Id", "the request header whose value is the trace id"),
  LLMPROXY_CLIENT_IP_HEADER: optional(clientIpHeader, "the header with the client's address for log lines; if unset, none"),
  LLMPROXY_INFER_SESSION_HOURS: setting(hours(0), "12", "how long calls with the same first message are one session; `0`: never"),
  LLMPROXY_ALLOW_PATHS: optional(pathPrefixes, "more prefixes under `/v1/` that pass unmetered, comma-separated; `*` for all"),
  LLMPROXY_PRICES_FILE: optional(
    path("a JSON file of prices"),
    "adds to the built-in list or overrides it; read again on SIGHUP",
  ),
  LLMPROXY_CA_FILE: optional(path("a file of PEM certificates"), "PEM to trust besides the public ones, for all we call"),
  LLMPROXY_UPSTREAM_IDLE_SECONDS: setting(seconds(1), "660", "the idle timeout, after which the proxy breaks a silent call"),
  LLMPROXY_UPSTREAM_WAIT_SECONDS: setting(
    whole("seconds", { min: 0, max: 300, unit: 1_000 }),
    "60",
    "how long a call may wait if the upstream's rate limit is reached; then it gets 429",
  ),
  LLMPROXY_BODY_SECONDS: setting(seconds(1), "60", "how long reading a request's body may take"),
  LLMPROXY_HEAD_SECONDS: setting(seconds(1), "75", "how long a client may take to send a request's headers"),
  LLMPROXY_KEEP_ALIVE_SECONDS: setting(seconds(1), "75", "how long a client's connection may be idle between requests"),
  LLMPROXY_CLIENT_STALL_SECONDS: setting(seconds(1), "600", "a client that reads nothing for so long is disconnected"),
  LLMPROXY_MAX_CONNECTIONS: optional(
    whole("connections", { min: 1, max: 1_000_000, unit: 1 }),
    "clients' connections at a time; more are closed; if unset, what the open-file limit allows",
  ),
  LLMPROXY_WORKERS: setting(workers, "1", "processes that serve calls, or `auto`: as many as the machine has cores"),
  LLMPROXY_BROKEN_STREAM: setting(
    oneOf("reset", "event"),
    "reset",
    "what a client gets of a stream that breaks: `reset`, or first an error `event`",
  ),
  // A whole body of `POST /v1/messages` (32 MB) must fit.
  LLMPROXY_BODY_BUDGET_MB: setting(megabytes(32), "512", "request bodies in memory at a time, of all sandboxes together"),
  LLMPROXY_BODY_BUDGET_PER_SANDBOX_MB: setting(megabytes(32), "128", "request bodies in memory at a time, of one sandbox"),
  LLMPROXY_DRAIN_LEAD_SECONDS: setting(seconds(0), "5", "at shutdown, how long new calls get 503 before connections end"),
  LLMPROXY_DRAIN_SECONDS: setting(seconds(0), "120", "at shutdown, how long running calls may take to finish"),
  LLMPROXY_LEDGER_SYNC: setting(oneOf("normal", "full"), "normal", "`normal` survives a killed process, `full` also a power cut"),
  LLMPROXY_DATABASE_URL: secret(databaseUrl, "`postgres://…` that replicas share; if unset, everything is in the data directory"),
  LLMPROXY_SPOOL_KEEP_HOURS: setting(hours(1), "24", "how long the spool keeps shipped rows, for `llmproxy reship`"),
  LLMPROXY_SPOOL_MAX_MB: setting(megabytes(1), "4096", "the most that the spool holds while the shared database is down"),
  LLMPROXY_SPOOL_FULL: setting(oneOf("refuse", "serve"), "refuse", "`refuse` calls with 503, or `serve` them without a row"),
  LLMPROXY_TOKEN_GRACE_SECONDS: setting(seconds(0), "86400", "how long used local tokens work while the database is down"),
  LLMPROXY_RETENTION_DAYS: optional(days, "older rows are dropped, whole months at a time; totals stay; if unset, all are kept"),
  LLMPROXY_DEFAULT_MAX_RPD: setting(count, "0", "requests a day of each workspace without a limit of its own; `0`: no limit"),
  LLMPROXY_RESERVE: setting(
    oneOf("typical", "max"),
    "typical",
    "what a call holds of its limits: as much as recent ones used, or the most that it can use",
  ),
  LLMPROXY_UNPRICED: setting(
    oneOf("refuse", "serve"),
    "refuse",
    "what becomes of calls of models without a price if a limit of cost applies",
  ),
  LLMPROXY_QUEUE_SECONDS: setting(
    seconds(0),
    "30",
    "how long a call waits if too many run at a time; `0`: it is refused at once",
  ),
  LLMPROXY_TRACE_CALLS_PER_MINUTE: setting(count, "0", "a session with more calls a minute pauses; `0`: no limit"),
  LLMPROXY_TRACE_COST_PER_HOUR: setting(dollars, "0", "a session that costs more dollars an hour pauses; `0`: no limit"),
  LLMPROXY_LOOP_CALLS: setting(count, "0", "a session that asks the same so often within 10 minutes pauses; `0`: never"),
  LLMPROXY_PAUSE_SECONDS: setting(seconds(1), "300", "how long a session pauses"),
  LLMPROXY_WARN_PERCENT: setting(percents, "80,100", "shares of a limit at which you are told, comma-separated"),
  LLMPROXY_WEBHOOK_URL: secret(webhookUrl, "where you are told, besides the log"),
  LLMPROXY_WEBHOOK_SECRET: secret(webhookSecret, "signs what is sent there: `whsec_` and base64, as Standard Webhooks has it"),
  ...TELEMETRY_SETTINGS,
} as const satisfies Record<string, Setting<unknown>>;

/** Old names. One that is still set is a problem: the proxy would silently use the default. */
export const RENAMED: Readonly<Record<string, SettingName>> = {
  LLMPROXY_JOURNAL_KEEP_HOURS: "LLMPROXY_SPOOL_KEEP_HOURS",
  LLMPROXY_JOURNAL_MAX_MB: "LLMPROXY_SPOOL_MAX_MB",
  LLMPROXY_ON_JOURNAL_FULL: "LLMPROXY_SPOOL_FULL",
};

export type SettingName = keyof typeof SETTINGS;

/** What a setting's text is read as; null if it may be unset and is. */
export type ValueOf<N extends SettingName> = (typeof SETTINGS)[N] extends Setting<infer T> ? T : never;

/** Every name that the environment may hold, those of the secrets' files too. */
export function environmentNames(): readonly string[] {
  return Object.entries(SETTINGS).flatMap(([name, row]) => row.isSecret ? [name, `${name}_FILE`] : [name]);
}

function readAddress(text: string): Address | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9_.-]*)):(\d{1,5})$/.exec(text);
  if (match === null) return null;
  const port = Number(match[3]);
  const hostname = match[1] ?? (match[2] || "0.0.0.0");
  if (port > 65_535 || (match[1] !== undefined && !URL.canParse(`http://[${hostname}]/`))) return null;
  return { hostname, port };
}

/** It may have a query, which some receivers want a key in. */
function readWebhookUrl(text: string): string | null {
  const url = VISIBLE_ASCII.test(text) ? URL.parse(text) : null;
  const isPlain = url !== null && url.username === "" && url.password === "" && url.hash === "";
  return isPlain && ["http:", "https:"].includes(url.protocol) ? url.href : null;
}

function isPathPrefix(text: string): boolean {
  return PATH_PREFIX.test(text) && !/\/\/|\/\.\.?(\/|$)/.test(text);
}
