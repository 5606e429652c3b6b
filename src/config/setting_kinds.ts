/** One way to read a setting's text. `read` gives null for what it cannot read, and never throws. */
export interface SettingKind<T> {
  /** What stands after "as" in `Cannot read X as …`. */
  readonly expects: string;
  readonly read: (text: string) => T | null;
}

/** Where to listen. Port 0 lets the system choose one. */
export interface Address {
  /** A name, an IPv4 address or an IPv6 address without brackets; `0.0.0.0` where only a port was given. */
  readonly hostname: string;
  readonly port: number;
}

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
const SPOOL_FULL = ["refuse", "serve"] as const;
const MAX_HOURS = 8_760;
const MAX_DAYS = 36_500;
/** A spool smaller than this would be full of its own empty tables. */
const MIN_SPOOL_MB = 1;
const LEDGER_SYNCS = ["normal", "full"] as const;
const MAX_SECONDS = 86_400;
/** A whole body of `POST /v1/messages` (32 MB) must fit into the budget. */
const MIN_BUDGET_MB = 32;
const MAX_BUDGET_MB = 1_048_576;
const MIN_ADMIN_TOKEN_LENGTH = 16;

/** RFC 9110, 5.6.2: the characters of a field name. */
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VISIBLE_ASCII = /^[\x21-\x7e]+$/;
const HOST_NAME = /^(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:\d{1,5})?$/;
const PATH_PREFIX = /^\/v1\/[A-Za-z0-9_~\-/.]*$/;
/** Headers that carry credentials or frame the message: a trace id is not taken from them. */
const NO_TRACE_HEADERS = [
  "authorization",
  "proxy-authorization",
  "x-api-key",
  "cookie",
  "host",
  "connection",
  "content-length",
  "transfer-encoding",
];

/** Headers that the upstream needs, or that tell of the call itself: one that only a server in front writes stops here. */
function isOfTheCall(name: string): boolean {
  return NO_TRACE_HEADERS.includes(name) || /^(?:content-|accept|anthropic-|user-agent$)/.test(name);
}

export const SETTING_KINDS = {
  listenAddress: { expects: "an address such as :8081, 127.0.0.1:8081 or [::1]:8081", read: readAddress },
  adminAddress: {
    expects: "an address such as 127.0.0.1:8082, or same",
    read: (text: string) => text === "same" ? text : readAddress(text),
  },
  adminToken: {
    expects: `at least ${MIN_ADMIN_TOKEN_LENGTH} visible ASCII characters`,
    read: (text: string) => text.length >= MIN_ADMIN_TOKEN_LENGTH && VISIBLE_ASCII.test(text) ? text : null,
  },
  credential: {
    expects: "visible ASCII characters that a header can carry",
    read: (text: string) => VISIBLE_ASCII.test(text) ? text : null,
  },
  hostNames: {
    expects: "host names with commas between them, such as proxy.internal,10.0.0.7:8082",
    read: (text: string) => readList(text.toLowerCase(), (item) => HOST_NAME.test(item)),
  },
  pathPrefixes: {
    expects: "prefixes that begin with /v1/, with commas between them, or * for all",
    read: (text: string) => readList(text, (item) => item === "*" || isPathPrefix(item)),
  },
  folder: { expects: "the path of a folder", read: readPath },
  pricesFile: { expects: "the path of a JSON file of prices", read: readPath },
  caFile: { expects: "the path of a file of PEM certificates", read: readPath },
  databaseUrl: {
    expects: "a URL that begins with postgres://",
    // What stands behind it is read where the database is known.
    read: (text: string) => /^postgres(ql)?:\/\/\S+$/.test(text) ? text : null,
  },
  hours: {
    expects: `a whole number of hours from 1 to ${MAX_HOURS}`,
    read: (text: string) => readWhole(text, 1, { max: MAX_HOURS }),
  },
  hoursOrNone: {
    expects: `a whole number of hours from 0 to ${MAX_HOURS}`,
    read: (text: string) => readWhole(text, 0, { max: MAX_HOURS }),
  },
  days: {
    expects: `a whole number of days from 1 to ${MAX_DAYS}`,
    read: (text: string) => readWhole(text, 1, { max: MAX_DAYS }),
  },
  spoolMegabytes: {
    expects: `a whole number of megabytes from ${MIN_SPOOL_MB} to ${MAX_BUDGET_MB}`,
    read: (text: string) => readWhole(text, MIN_SPOOL_MB, { max: MAX_BUDGET_MB }),
  },
  onSpoolFull: { expects: `one of ${SPOOL_FULL.join(", ")}`, read: (text: string) => oneOf(SPOOL_FULL, text) },
  logLevel: { expects: `one of ${LOG_LEVELS.join(", ")}`, read: (text: string) => oneOf(LOG_LEVELS, text) },
  ledgerSync: { expects: `one of ${LEDGER_SYNCS.join(", ")}`, read: (text: string) => oneOf(LEDGER_SYNCS, text) },
  url: {
    expects: "an http or https URL without credentials, query or fragment",
    read: readUrl,
  },
  clientIpHeader: {
    expects: "the name of a header in which a server in front writes an address, such as X-Forwarded-For",
    read: (text: string) => HEADER_NAME.test(text) && !isOfTheCall(text.toLowerCase()) ? text : null,
  },
  headerName: {
    expects: "the name of a header that carries no credential and no framing",
    read: (text: string) => HEADER_NAME.test(text) && !NO_TRACE_HEADERS.includes(text.toLowerCase()) ? text : null,
  },
  seconds: {
    expects: `a whole number of seconds from 1 to ${MAX_SECONDS}`,
    read: (text: string) => readWhole(text, 1, { max: MAX_SECONDS }),
  },
  secondsOrNone: {
    expects: `a whole number of seconds from 0 to ${MAX_SECONDS}`,
    read: (text: string) => readWhole(text, 0, { max: MAX_SECONDS }),
  },
  megabytes: {
    expects: `a whole number of megabytes from ${MIN_BUDGET_MB} to ${MAX_BUDGET_MB}`,
    read: (text: string) => readWhole(text, MIN_BUDGET_MB, { max: MAX_BUDGET_MB }),
  },
  count: { expects: "a whole number", read: (text: string) => readWhole(text, 0, { max: Number.MAX_SAFE_INTEGER }) },
} as const satisfies Record<string, SettingKind<unknown>>;

export type SettingKindName = keyof typeof SETTING_KINDS;

export type ValueOfKind<K extends SettingKindName> = NonNullable<ReturnType<(typeof SETTING_KINDS)[K]["read"]>>;

function readAddress(text: string): Address | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9_.-]*)):(\d{1,5})$/.exec(text);
  if (match === null) return null;
  const port = Number(match[3]);
  const hostname = match[1] ?? (match[2] || "0.0.0.0");
  if (port > 65_535 || (match[1] !== undefined && !URL.canParse(`http://[${hostname}]/`))) return null;
  return { hostname, port };
}

/** The URL's text without trailing slashes, so that a path can be put behind it. */
function readUrl(text: string): string | null {
  const url = VISIBLE_ASCII.test(text) ? URL.parse(text) : null;
  if (url === null || !["http:", "https:"].includes(url.protocol)) return null;
  if (url.username !== "" || url.password !== "" || /[?#@\\]/.test(text)) return null;
  return url.href.replace(/\/+$/, "");
}

function readWhole(text: string, min: number, { max }: { readonly max: number }): number | null {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : -1;
  return value >= min && value <= max ? value : null;
}

function readList(text: string, accepts: (item: string) => boolean): readonly string[] | null {
  const items = text.split(",").map((item) => item.trim()).filter((item) => item !== "");
  return items.every(accepts) ? items : null;
}

function isPathPrefix(text: string): boolean {
  return PATH_PREFIX.test(text) && !text.includes("//") &&
    !text.split("/").some((segment) => segment === "." || segment === "..");
}

function readPath(text: string): string | null {
  return text.includes("\0") ? null : text;
}

function oneOf<T extends string>(allowed: readonly T[], text: string): T | null {
  return allowed.find((item) => item === text) ?? null;
}
