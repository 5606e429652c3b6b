/** A proxy between us and the upstream (RFC 9110 section 3.7), as variables such as `HTTPS_PROXY` name one. */
export interface ForwardProxy {
  /** Scheme, host and port; no credentials. */
  readonly url: string;
  readonly credentials: { readonly username: string; readonly password: string } | null;
}

export interface ForwardProxies {
  /** For `http` and for `https` URLs. Null: they are reached directly. */
  readonly http: ForwardProxy | null;
  readonly https: ForwardProxy | null;
  /** What is reached directly although there is a proxy. */
  readonly direct: readonly DirectHosts[];
}

/** One entry of `NO_PROXY`. */
export interface DirectHosts {
  /** Null: every host. A name stands for itself and for every name below it. */
  readonly host: Network | string | null;
  /** Null: every port. */
  readonly port: number | null;
}

interface Network {
  /** 16 bytes; an IPv4 address is written as an IPv6 one (RFC 4291 section 2.5.5.2). */
  readonly bytes: readonly number[];
  /** How many bits of them count. */
  readonly bits: number;
}

/** What curl gives a proxy without a port is 1080 for all; undici and Deno go by its scheme, and so do we. */
const PROXY_PORTS: Readonly<Record<string, string>> = { "http:": "80", "https:": "443", "socks5:": "1080", "socks5h:": "1080" };
const MAPPED_IPV4 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255] as const;

/**
 * The proxy through which a request to `url` goes; null: none, the request goes straight to its host.
 *
 * The rules are those that curl (CURLOPT_NOPROXY) and undici (EnvHttpProxyAgent) share. If one of the two goes
 * directly and the other does not, so do we: the request carries a key.
 */
export function proxyFor(url: string, proxies: ForwardProxies): ForwardProxy | null {
  const { protocol, hostname, port } = new URL(url);
  const isTls = protocol === "https:";
  const proxy = isTls ? proxies.https : proxies.http;
  if (proxy === null) return null;
  const target = {
    name: withoutDot(hostname),
    address: addressOf(hostname.replace(/^\[|\]$/g, "")),
    port: Number(port) || (isTls ? 443 : 80),
  };
  return proxies.direct.some((entry) => reaches(entry, target)) ? null : proxy;
}

/** A proxy's URL, with `http://` in front if it names no scheme, as for curl. Null if nobody could connect to it. */
export function parseProxy(text: string): ForwardProxy | null {
  const trimmed = text.trim();
  if (!/^[^\s\p{Cc}]+$/u.test(trimmed)) return null;
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `http://${trimmed}`);
  const defaultPort = PROXY_PORTS[url?.protocol ?? ""];
  if (url === null || defaultPort === undefined || url.hostname === "" || url.port === "0") return null;
  if (!["", "/"].includes(url.pathname) || /[?#]/.test(trimmed)) return null;
  const username = percentDecoded(url.username);
  const password = percentDecoded(url.password);
  if (username === null || password === null) return null;
  return {
    url: `${url.protocol}//${url.hostname}:${url.port || defaultPort}`,
    credentials: username === "" && password === "" ? null : { username, password },
  };
}

/**
 * The entries of a `NO_PROXY`, between commas or blanks, and those that mean nothing.
 *
 * An entry is `*`, a name with or without a `.` or `*.` in front, an address, or a network such as `10.0.0.0/8` or
 * `fd00::/8`. All but a network may end in a port. A network may leave out zeros, as macOS writes `169.254/16`.
 */
export function parseNoProxy(text: string): {
  readonly entries: readonly DirectHosts[];
  readonly unreadable: readonly string[];
} {
  const entries: DirectHosts[] = [];
  const unreadable: string[] = [];
  for (const item of text.split(/[,\s]+/)) {
    if (item === "") continue;
    const entry = directHosts(item);
    if (entry === null) unreadable.push(item);
    else entries.push(entry);
  }
  return { entries, unreadable };
}

interface Target {
  readonly name: string;
  readonly address: readonly number[] | null;
  readonly port: number;
}

function reaches({ host, port }: DirectHosts, target: Target): boolean {
  if (port !== null && port !== target.port) return false;
  if (host === null) return true;
  if (typeof host !== "string") return target.address !== null && isInside(target.address, host);
  return target.address === null && (target.name === host || target.name.endsWith(`.${host}`));
}

function isInside(address: readonly number[], { bytes, bits }: Network): boolean {
  if (isIpv4(address) !== isIpv4(bytes)) return false;
  return bytes.every((byte, index) => {
    const ignored = 8 - Math.min(Math.max(bits - index * 8, 0), 8);
    return byte >> ignored === address[index]! >> ignored;
  });
}

function directHosts(item: string): DirectHosts | null {
  const network = networkOf(item.replace(/^\[([^\]]+)\]\//, "$1/"));
  if (network !== null) return { host: network, port: null };
  const [, inBrackets, plain = "", portText] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d{1,5}))?$/.exec(item) ?? [];
  const port = portText === undefined ? null : Number(portText);
  if (port !== null && (port < 1 || port > 65_535)) return null;
  if (inBrackets !== undefined) {
    const bracketed = inBrackets.includes(":") ? networkOf(inBrackets) : null;
    return bracketed === null ? null : { host: bracketed, port };
  }
  if (plain === "*") return { host: null, port };
  const host = plain.includes("/") ? null : networkOf(plain) ?? nameOf(plain);
  return host === null ? null : { host, port };
}

function nameOf(text: string): string | null {
  const name = withoutDot(text.replace(/^\*?\./, ""));
  if (name === "" || !/^[\p{L}\p{M}\p{N}._-]+$/u.test(name)) return null;
  // The URL standard writes names in small letters and Punycode; it takes `10.` or `3.4` for an address, which is no name.
  const hostname = URL.parse(`http://${name}/`)?.hostname ?? "";
  return hostname === "" || addressOf(hostname) !== null ? null : hostname;
}

/** An address, or one with `/bits` behind it. */
function networkOf(text: string): Network | null {
  const [, address = "", bitsText] = /^([0-9A-Fa-f:.]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const missing = bitsText === undefined ? 0 : 4 - address.split(".").length;
  const bytes = addressOf(/^\d+(\.\d+)*$/.test(address) ? address + ".0".repeat(Math.max(missing, 0)) : address);
  if (bytes === null) return null;
  const unused = isIpv4(bytes) && !address.includes(":") ? 96 : 0;
  const bits = bitsText === undefined ? 128 : Number(bitsText) + unused;
  return bits > 128 ? null : { bytes, bits };
}

/** The 16 bytes of an address without brackets; null if it is none. */
function addressOf(text: string): readonly number[] | null {
  const quad = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (quad !== undefined) return quad.every((byte) => byte < 256) ? [...MAPPED_IPV4, ...quad] : null;
  if (!text.includes(":")) return null;
  const canonical = URL.parse(`http://[${text}]/`)?.hostname.slice(1, -1);
  if (canonical === undefined) return null;
  const [head, tail] = canonical.split("::").map((half) => half === "" ? [] : half.split(":"));
  const zeros = Array(8 - head!.length - (tail?.length ?? 0)).fill("0");
  return [...head!, ...zeros, ...(tail ?? [])].map((group) => parseInt(group, 16)).flatMap((group) => [group >> 8, group & 255]);
}

function isIpv4(bytes: readonly number[]): boolean {
  return MAPPED_IPV4.every((byte, index) => byte === bytes[index]);
}

function withoutDot(name: string): string {
  return name.replace(/\.$/, "");
}

function percentDecoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
