import type { SettingKindName, ValueOfKind } from "./setting_kinds.ts";

interface SettingRow {
  readonly kind: SettingKindName;
  /** As it would be written in the environment; empty: none. */
  readonly default: string;
  /** A secret may come from the file that `NAME_FILE` names, and its value is never shown. */
  readonly isSecret: boolean;
  readonly meaning: string;
}

/** Every setting there is, in the order of docs/settings.md. A new setting is one row here and one there. */
export const SETTINGS = {
  ANTHROPIC_API_KEY: {
    kind: "credential",
    default: "",
    isSecret: true,
    meaning: "the upstream's key, sent as `x-api-key`; this or `ANTHROPIC_AUTH_TOKEN`",
  },
  ANTHROPIC_AUTH_TOKEN: {
    kind: "credential",
    default: "",
    isSecret: true,
    meaning: "the upstream's token, sent as `Authorization: Bearer`",
  },
  ANTHROPIC_BASE_URL: {
    kind: "url",
    default: "https://api.anthropic.com",
    isSecret: false,
    meaning: "where calls go, without `/v1`; may have a path prefix",
  },
  LLMPROXY_LISTEN_ADDR: {
    kind: "listenAddress",
    default: ":8081",
    isSecret: false,
    meaning: "where sandboxes call; without a host, all IPv4 addresses",
  },
  LLMPROXY_ADMIN_ADDR: {
    kind: "adminAddress",
    default: "127.0.0.1:8082",
    isSecret: false,
    meaning: "where operators call; `same` mounts it on the proxy's listener",
  },
  LLMPROXY_ADMIN_TOKEN: {
    kind: "adminToken",
    default: "",
    isSecret: true,
    meaning: "what operators show; where unset, one is made and kept as `admin-token` in the data directory",
  },
  LLMPROXY_ADMIN_HOSTS: {
    kind: "hostNames",
    default: "",
    isSecret: false,
    meaning: "further `Host` names that the admin listener answers to, comma-separated",
  },
  LLMPROXY_DATA_DIR: {
    kind: "folder",
    default: "./data",
    isSecret: false,
    meaning: "the ledger's folder, on a local, lasting volume; under systemd `$STATE_DIRECTORY`",
  },
  LLMPROXY_LOG_LEVEL: {
    kind: "logLevel",
    default: "info",
    isSecret: false,
    meaning: "`trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`",
  },
  LLMPROXY_AGENTSERVER_URL: {
    kind: "url",
    default: "",
    isSecret: false,
    meaning: "the control plane that knows proxy tokens; where unset, only local tokens work",
  },
  LLMPROXY_AGENTSERVER_TIMEOUT_SECONDS: {
    kind: "seconds",
    default: "5",
    isSecret: false,
    meaning: "how long one look-up at the control plane may take",
  },
  LLMPROXY_AGENTSERVER_GRACE_SECONDS: {
    kind: "secondsOrNone",
    default: "300",
    isSecret: false,
    meaning: "how long a known-good token works on while the control plane is away",
  },
  LLMPROXY_TRACE_HEADER: {
    kind: "headerName",
    default: "X-Trace-Id",
    isSecret: false,
    meaning: "the request header whose value is the trace id",
  },
  LLMPROXY_CLIENT_IP_HEADER: {
    kind: "clientIpHeader",
    default: "",
    isSecret: false,
    meaning: "request header in which a server in front writes the client's address, for log lines; if unset, none",
  },
  LLMPROXY_INFER_SESSION_HOURS: {
    kind: "hoursOrNone",
    default: "12",
    isSecret: false,
    meaning: "how long calls that name no session and begin with the same message are one; `0`: each is one of its own",
  },
  LLMPROXY_ALLOW_PATHS: {
    kind: "pathPrefixes",
    default: "",
    isSecret: false,
    meaning: "further paths under `/v1/` that pass unmetered, as comma-separated prefixes; `*` for all",
  },
  LLMPROXY_PRICES_FILE: {
    kind: "pricesFile",
    default: "",
    isSecret: false,
    meaning: "JSON of prices that are added to the built-in list or override it; read again on SIGHUP",
  },
  LLMPROXY_CA_FILE: {
    kind: "caFile",
    default: "",
    isSecret: false,
    meaning: "PEM certificates that the upstream and the control plane may be signed with besides the public ones",
  },
  LLMPROXY_UPSTREAM_IDLE_SECONDS: {
    kind: "seconds",
    default: "660",
    isSecret: false,
    meaning: "silence of the upstream after which a call is broken off",
  },
  LLMPROXY_BODY_SECONDS: {
    kind: "seconds",
    default: "60",
    isSecret: false,
    meaning: "how long reading a request's body may take",
  },
  LLMPROXY_BODY_BUDGET_MB: {
    kind: "megabytes",
    default: "512",
    isSecret: false,
    meaning: "request bodies held in memory at a time, in all",
  },
  LLMPROXY_BODY_BUDGET_PER_SANDBOX_MB: {
    kind: "megabytes",
    default: "128",
    isSecret: false,
    meaning: "request bodies held in memory at a time, of one sandbox",
  },
  LLMPROXY_DRAIN_LEAD_SECONDS: {
    kind: "secondsOrNone",
    default: "5",
    isSecret: false,
    meaning: "at shutdown, how long new calls get 503 before connections are refused",
  },
  LLMPROXY_DRAIN_SECONDS: {
    kind: "secondsOrNone",
    default: "120",
    isSecret: false,
    meaning: "at shutdown, how long running calls may finish",
  },
  LLMPROXY_LEDGER_SYNC: {
    kind: "ledgerSync",
    default: "normal",
    isSecret: false,
    meaning: "`normal` survives the death of the process, `full` also a power cut",
  },
  LLMPROXY_DATABASE_URL: {
    kind: "databaseUrl",
    default: "",
    isSecret: true,
    meaning: "`postgres://…`: the PostgreSQL that replicas share; where unset, all is in the data directory",
  },
  LLMPROXY_SPOOL_KEEP_HOURS: {
    kind: "hours",
    default: "24",
    isSecret: false,
    meaning: "with a shared database: how long rows that it has are kept here too, for `llmproxy reship`",
  },
  LLMPROXY_SPOOL_MAX_MB: {
    kind: "spoolMegabytes",
    default: "4096",
    isSecret: false,
    meaning: "with a shared database: the most that is recorded here while it is away",
  },
  LLMPROXY_SPOOL_FULL: {
    kind: "onSpoolFull",
    default: "refuse",
    isSecret: false,
    meaning: "at that bound `refuse` calls with 503, or `serve` them without a row, counted and logged",
  },
  LLMPROXY_TOKEN_GRACE_SECONDS: {
    kind: "secondsOrNone",
    default: "86400",
    isSecret: false,
    meaning: "with a shared database: how long a local token that was used here works on while it is away",
  },
  LLMPROXY_RETENTION_DAYS: {
    kind: "days",
    default: "",
    isSecret: false,
    meaning: "rows older than this are dropped, whole months at a time; totals stay; where unset, all are kept",
  },
  LLMPROXY_DEFAULT_MAX_RPD: {
    kind: "count",
    default: "0",
    isSecret: false,
    meaning: "requests a day and workspace, 0 for no limit; this version holds no limits and does not start with another value",
  },
} as const satisfies Record<string, SettingRow>;

export type SettingName = keyof typeof SETTINGS;

export type SecretName = { [N in SettingName]: (typeof SETTINGS)[N]["isSecret"] extends true ? N : never }[SettingName];

/** What a setting's text is read to; null where it is unset and has no default. */
export type ValueOf<N extends SettingName> =
  | ValueOfKind<(typeof SETTINGS)[N]["kind"]>
  | ((typeof SETTINGS)[N]["default"] extends "" ? null : never);

/** Every name that may stand in the environment, those of the secrets' files too. */
export function environmentNames(): readonly string[] {
  return Object.entries(SETTINGS).flatMap(([name, row]) => row.isSecret ? [name, `${name}_FILE`] : [name]);
}
