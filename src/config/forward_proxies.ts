import { type ForwardProxies, type ForwardProxy, parseNoProxy, parseProxy } from "../wire/forward_proxy.ts";
import type { SettingsReader } from "./settings_reader.ts";

/** Read in small letters first, then in capital letters if that is unset or empty, as in undici. */
const NAMES = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] as const;

/** The variables that tell a program which proxy to use. The runtime reads some of them too. */
export const PROXY_VARIABLES = NAMES.flatMap((name) => [name, name.toUpperCase()]);

/** Entries of `NO_PROXY` that may be shown: no credentials and no address of a proxy. */
const SHOWABLE = /^[\w.*:[\]/-]{1,80}$/;

/** The proxies that the environment names. No problem that is reported holds a proxy's URL. */
export function readForwardProxies(reader: SettingsReader): ForwardProxies {
  const all = readProxy("all_proxy", reader);
  const http = readProxy("http_proxy", reader) ?? all;
  const https = readProxy("https_proxy", reader) ?? all;
  // Without a proxy the list means nothing, so an odd entry must not stop the start.
  return { http, https, direct: http === null && https === null ? [] : readDirect(reader) };
}

function readProxy(name: (typeof NAMES)[number], reader: SettingsReader): ForwardProxy | null {
  const found = variable(name, reader);
  if (found === null) return null;
  const proxy = parseProxy(found.text);
  if (proxy === null) {
    reader.problems.push(
      `Cannot read ${found.name} as the URL of a proxy, such as http://proxy.internal:3128 (or https, socks5, socks5h). ` +
        "Its value is not shown, since it may hold a password",
    );
  }
  return proxy;
}

function readDirect(reader: SettingsReader): ForwardProxies["direct"] {
  const found = variable("no_proxy", reader);
  if (found === null) return [];
  const { entries, unreadable } = parseNoProxy(found.text);
  for (const entry of unreadable) {
    const shown = SHOWABLE.test(entry) && !entry.includes("//") ? JSON.stringify(entry) : "one that is not shown";
    reader.problems.push(
      `Cannot read an entry of ${found.name}: ${shown}. ` +
        "Expected *, a name, an address, either with a port, or a network such as 10.0.0.0/8, with commas between them",
    );
  }
  return entries;
}

function variable(
  name: (typeof NAMES)[number],
  reader: SettingsReader,
): { readonly name: string; readonly text: string } | null {
  for (const spelled of [name, name.toUpperCase()]) {
    const text = reader.variable(spelled);
    if (text !== null && text.trim() !== "") return { name: spelled, text };
  }
  return null;
}
