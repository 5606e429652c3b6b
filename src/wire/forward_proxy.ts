/** A proxy in front of the upstream (RFC 9110, 3.7), as variables such as `HTTPS_PROXY` name it. */
export interface ForwardProxy {
  /** Scheme, host and port; no credentials. */
  readonly url: string;
  readonly credentials: { readonly username: string; readonly password: string } | null;
}

export interface ForwardProxies {
  /** For `http` and for `https` URLs. Null: connect directly. */
  readonly http: ForwardProxy | null;
  readonly https: ForwardProxy | null;
  /** Connect to these directly although there is a proxy. */
  readonly direct: readonly DirectHosts[];
}

/** One entry of `NO_PROXY`. */
export interface DirectHosts {
  /** Null: every host. A name stands for itself and for every name below it. */
  readonly host: Network | string | null;
  /** Null: every port. */
  readonly port: number | null;
}

/** 128 bits; an IPv4 address as an IPv6 one (RFC 4291, 2.5.5.2). */
type Address = bigint;

interface Network {
  readonly address: Address;
  /** How many of its 128 bits count. */
  readonly bits: number;
}

/** By scheme, as in undici and Deno; curl takes 1080 for all. */
const PROXY_PORTS: Readonly<Record<string, string>> = { "http:": "80", "https:": "443", "socks5:": "1080", "socks5h:": "1080" };
const MAPPED_IPV4 = 0xffffn;

/**
 * The proxy for a request to `url`; null: connect to its host directly.
 *
 * The rules are those of curl (CURLOPT_NOPROXY) and undici (EnvHttpProxyAgent). If only one of the
 * two connects directly, so does llmproxy: the request carries a key.
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

/** Parses a proxy's URL; without a scheme it is `http://`, as in curl. Null if it is unusable. */
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
 * The entries of `NO_PROXY`, between commas or blanks. An entry is `*`, a name with or without `.`
 * or `*.` in front, an address, or a network such as `10.0.0.0/8` or `fd00::/8`. Any but a network
 * may end in a port. A network may omit zeros, as macOS writes `169.254/16`.
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
  readonly address: Address | null;
  readonly port: number;
}

function reaches({ host, port }: DirectHosts, target: Target): boolean {
  if (port !== null && port !== target.port) return false;
  if (host === null) return true;
  if (typeof host !== "string") return target.address !== null && isInside(target.address, host);
  return target.address === null && (target.name === host || target.name.endsWith(`.${host}`));
}

function isInside(address: Address, network: Network): boolean {
  const differing = (address ^ network.address) >> BigInt(128 - network.bits);
  return differing === 0n && isIpv4(address) === isIpv4(network.address);
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
  // URLs have names in lower case and Punycode, and take `10.` or `3.4` for an address.
  const hostname = URL.parse(`http://${name}/`)?.hostname ?? "";
  return hostname === "" || addressOf(hostname) !== null ? null : hostname;
}

/** An address, or one with `/bits` behind it. */
function networkOf(text: string): Network | null {
  const [, address = "", bitsText] = /^([0-9A-Fa-f:.]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const missing = bitsText === undefined ? 0 : 4 - address.split(".").length;
  const read = addressOf(/^\d+(\.\d+)*$/.test(address) ? address + ".0".repeat(Math.max(missing, 0)) : address);
  if (read === null) return null;
  const unused = isIpv4(read) && !address.includes(":") ? 96 : 0;
  const bits = bitsText === undefined ? 128 : Number(bitsText) + unused;
  return bits > 128 ? null : { address: read, bits };
}

/** Reads an address without brackets; null if the text is not one. */
function addressOf(text: string): Address | null {
  const quad = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (quad?.every((byte) => byte < 256)) return quad.reduce((sum, byte) => sum << 8n | BigInt(byte), MAPPED_IPV4);
  if (!text.includes(":")) return null;
  const canonical = URL.parse(`http://[${text}]/`)?.hostname.slice(1, -1);
  if (canonical === undefined) return null;
  const [head, tail] = canonical.split("::").map((half) => half === "" ? [] : half.split(":"));
  const zeros = Array<string>(8 - head!.length - (tail?.length ?? 0)).fill("0");
  return [...head!, ...zeros, ...(tail ?? [])].reduce((sum, group) => sum << 16n | BigInt(`0x${group}`), 0n);
}

function isIpv4(address: Address): boolean {
  return address >> 32n === MAPPED_IPV4;
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
