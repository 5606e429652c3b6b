import { createHash } from "node:crypto";
import type { Credential, UpstreamConfig } from "../domain/upstream.ts";
import { parseCredentials } from "./credentials_file.ts";
import type { ConfigSource, SettingsReader } from "./settings_reader.ts";
import { DIALECTS, readOnMsOf } from "./upstream_dialects.ts";
import { parseUpstreams, sellerOf } from "./upstreams_file.ts";

/** The upstream of the `ANTHROPIC_…` settings has the name of its dialect. */
const DEFAULT = "anthropic";

/**
 * The upstream of the `ANTHROPIC_…` settings, and after it those of the file. One of the two is
 * enough.
 */
export function readUpstreams(reader: SettingsReader): readonly UpstreamConfig[] {
  const byDefault = readDefault(reader);
  const added = readFile(reader, { others: byDefault === null ? [] : [byDefault] });
  if (byDefault === null && added?.length === 0) {
    reader.problems.push(
      "Cannot call the upstream without a credential: set ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN, or one's _FILE, " +
        "or ANTHROPIC_API_KEYS_FILE, or LLMPROXY_UPSTREAMS_FILE",
    );
  }
  return [...byDefault === null ? [] : [byDefault], ...added ?? []];
}

/** What an operator may not have meant: upstreams behind one that takes every call. */
export function upstreamWarnings(upstreams: readonly UpstreamConfig[]): readonly string[] {
  return upstreams.flatMap(({ name, dialect, models }, n) => {
    if (models.some((pattern) => pattern.startsWith("arn:"))) return [];
    const before = upstreams.slice(0, n).find((one) =>
      one.dialect === dialect && one.workspaces === null && one.models.includes("*")
    );
    return before === undefined
      ? []
      : [`The upstream ${name} takes no call: ${before.name}, which is before it, takes every model of every workspace`];
  });
}

/** Null with a problem if the file cannot be read; empty if none is named. */
function readFile(
  reader: SettingsReader,
  of: { readonly others: readonly UpstreamConfig[] },
): readonly UpstreamConfig[] | null {
  const path = reader.read("LLMPROXY_UPSTREAMS_FILE");
  if (path === null) return [];
  const text = reader.readFile("LLMPROXY_UPSTREAMS_FILE", path);
  return text === null ? null : reader.collect((readFile) => parseUpstreams(text, { path, readFile, ...of }));
}

/** Null if no setting names a credential. */
function readDefault(reader: SettingsReader): UpstreamConfig | null {
  const baseUrl = readBaseUrl(reader);
  const credentials = readCredentials(reader, baseUrl);
  if (credentials === null) return null;
  const seller = sellerOf(credentials, DIALECTS.get(DEFAULT)!);
  return {
    ...{ name: DEFAULT, dialect: DEFAULT, seller, baseUrl, credentials },
    ...{ place: { project: null, locations: [] }, models: ["*"], workspaces: null },
    ...{ readOnMs: readOnMsOf(seller), isStrict: false },
  };
}

function readBaseUrl(reader: SettingsReader): string {
  const baseUrl = reader.read("ANTHROPIC_BASE_URL");
  const fault = baseUrlFault(baseUrl);
  if (fault !== null) reader.complain("ANTHROPIC_BASE_URL", `Cannot use ANTHROPIC_BASE_URL: ${fault}`);
  return baseUrl;
}

function baseUrlFault(baseUrl: string): string | null {
  const path = DIALECTS.get(DEFAULT)!.settings.addedPath.exec(baseUrl)?.[0];
  return path === undefined ? null : `remove ${path}, the proxy adds it itself`;
}

/** Null if no setting names one; empty with a problem if they cannot be read. */
function readCredentials(reader: SettingsReader, baseUrl: string): readonly Credential[] | null {
  const set = (["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEYS_FILE"] as const).filter((name) =>
    reader.isSet(name)
  );
  if (set.length > 1) reader.problems.push(`Cannot use both ${set.slice(0, 2).join(" and ")}: unset one of them`);
  if (set.length === 0) return null;
  const path = reader.read("ANTHROPIC_API_KEYS_FILE");
  if (path === null) return [readCredential(reader, baseUrl)];
  const text = reader.readFile("ANTHROPIC_API_KEYS_FILE", path);
  const parse = (readFile: ConfigSource["readFile"]) => parseCredentials(text!, { path, baseUrl, baseUrlFault, readFile });
  return text === null ? [] : reader.collect(parse) ?? [];
}

/** The only credential. */
function readCredential(reader: SettingsReader, baseUrl: string): Credential {
  const key = reader.read("ANTHROPIC_API_KEY");
  const secret = key ?? reader.read("ANTHROPIC_AUTH_TOKEN") ?? "";
  const [kind, header, value] = key !== null
    ? ["api-key", "x-api-key", key] as const
    : ["auth-token", "authorization", `Bearer ${secret}`] as const;
  return { id: `${kind}-${fingerprint(secret)}`, weight: 1, baseUrl, secret, auth: { kind: "header", header, value } };
}

/** Tells two credentials apart in rows and logs; 32 bits of a hash reveal nothing of the key. */
function fingerprint(secret: string): string {
  return createHash("sha256").update(secret).digest("hex").slice(0, 8);
}
