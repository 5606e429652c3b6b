import { z } from "zod";
import type { Place, Provider } from "../domain/provider.ts";
import type { Credential, UpstreamConfig } from "../domain/upstream.ts";
import { entryName, MAX_CREDENTIALS } from "./credential_schema.ts";
import { FileSecrets } from "./file_secrets.ts";
import { parseJsonFile } from "./json_file.ts";
import { ConfigProblems } from "./settings_reader.ts";
import { baseUrl, credentialEntry, credentialOf, region } from "./upstream_credentials.ts";
import { awsHostOf, DIALECTS, readOnMsOf, SELLERS } from "./upstream_dialects.ts";

const MAX_UPSTREAMS = 32;
const MAX_PATTERNS = 1_000;
const MAX_LOCATIONS = 64;
const MAX_TEXT_LENGTH = 256;
/** An answer takes no longer. */
const MAX_READ_ON_SECONDS = 3_600;

/** Each schema's message is what stands after "as" in `Cannot read x as …`. */
const LIST = `a list of 1 to ${MAX_UPSTREAMS} upstreams`;
const CREDENTIALS = `a list of 1 to ${MAX_CREDENTIALS} credentials`;
const MODELS = `a list of 1 to ${MAX_PATTERNS} patterns such as "gpt-6*"`;
const PATTERN = `a model, or a pattern with *, of at most ${MAX_TEXT_LENGTH} visible ASCII characters`;
const WORKSPACES = `a list of 1 to ${MAX_PATTERNS} workspace ids; all may use it if it is left out`;
const WORKSPACE = `a workspace id of at most ${MAX_TEXT_LENGTH} characters`;
const LOCATIONS = `a list of 1 to ${MAX_LOCATIONS} locations`;
const LOCATION = "a location of Google Cloud such as global, us or europe-west1";
const PROJECT = "the id of a project of Google Cloud";
const READ_ON = `a whole number of seconds from 0 to ${MAX_READ_ON_SECONDS}`;
const SWITCH = "true or false";

const upstreamEntry = z.strictObject({
  name: entryName,
  dialect: z.enum([...DIALECTS.keys()], `one of ${[...DIALECTS.keys()].join(", ")}`),
  provider: z.enum([...SELLERS], `one of ${SELLERS.join(", ")}`).optional(),
  baseUrl: baseUrl.optional(),
  region,
  credentials: z.array(credentialEntry, CREDENTIALS).min(1, CREDENTIALS).max(MAX_CREDENTIALS, CREDENTIALS),
  models: z.array(z.string(PATTERN).regex(/^[\x21-\x7e]+$/, PATTERN).max(MAX_TEXT_LENGTH, PATTERN), MODELS)
    .min(1, MODELS).max(MAX_PATTERNS, MODELS).default(["*"]),
  workspaces: z.array(z.string(WORKSPACE).min(1, WORKSPACE).max(MAX_TEXT_LENGTH, WORKSPACE), WORKSPACES)
    .min(1, WORKSPACES).max(MAX_PATTERNS, WORKSPACES).optional(),
  project: z.string(PROJECT).regex(/^[a-z0-9][a-z0-9.:-]{1,127}$/, PROJECT).optional(),
  locations: z.array(z.string(LOCATION).regex(/^[a-z]+(-[a-z]+\d{1,2})?$/, LOCATION), LOCATIONS)
    .min(1, LOCATIONS).max(MAX_LOCATIONS, LOCATIONS).optional(),
  readOnSeconds: z.int(READ_ON).min(0, READ_ON).max(MAX_READ_ON_SECONDS, READ_ON).optional(),
  strictUsage: z.boolean(SWITCH).optional(),
}, "an object with name, dialect and credentials");
type UpstreamEntry = z.infer<typeof upstreamEntry>;
const upstreamsFile = z.array(upstreamEntry, LIST).min(1, LIST).max(MAX_UPSTREAMS, LIST);

export interface UpstreamsFile {
  readonly path: string;
  /** Throws if the file cannot be read. */
  readonly readFile: (path: string) => string;
  /** Upstreams that other settings make: their names and credentials are taken. */
  readonly others: readonly Pick<UpstreamConfig, "name" | "credentials">[];
}

/**
 * The operators' upstreams, in the order of the file. Throws `ConfigProblems` with all problems at
 * once. No problem quotes a value other than a number: a secret may stand in any place.
 */
export function parseUpstreams(text: string, { path, readFile, others }: UpstreamsFile): readonly UpstreamConfig[] {
  const shows = (key: string, value: unknown) => /\.(weight|readOnSeconds)$/.test(key) && typeof value === "number";
  const entries = parseJsonFile(text, { path, schema: upstreamsFile, shows });
  const secrets = new FileSecrets({ path, readFile });
  const upstreams = entries.map((entry, n) => upstreamOf(entry, { at: `[${n}]`, secrets }));
  refuseTwins(upstreams, { others, secrets });
  if (secrets.problems.length > 0) throw new ConfigProblems([...new Set(secrets.problems)]);
  return upstreams;
}

interface In {
  /** The entry's path in the file. */
  readonly at: string;
  readonly secrets: FileSecrets;
}

function upstreamOf(entry: UpstreamEntry, { at, secrets }: In): UpstreamConfig {
  const dialect = DIALECTS.get(entry.dialect)!;
  const defaults = dialect.settings;
  refuseBaseUrls(entry, { at, secrets });
  const credentials = entry.credentials.map((each, n) =>
    credentialOf(each, {
      ...{ at: `${at}.credentials[${n}]`, secrets, defaults },
      ...{ dialect: entry.dialect, baseUrl: entry.baseUrl, region: entry.region },
    })
  );
  if (
    entry.strictUsage !== undefined && !dialect.routes.some((route) => route.kind === "billed" && route.call.request.unmetered)
  ) {
    secrets.complain(`${at}.strictUsage`, "only calls of the dialect openai may leave their usage out");
  }
  const seller = entry.provider ?? sellerOf(credentials, dialect);
  return {
    name: entry.name,
    dialect: entry.dialect,
    seller,
    baseUrl: entry.baseUrl ?? credentials[0]!.baseUrl,
    place: placeOf(entry, { at, secrets }),
    credentials,
    models: entry.models,
    workspaces: entry.workspaces ?? null,
    readOnMs: entry.readOnSeconds === undefined ? readOnMsOf(seller) : entry.readOnSeconds * 1_000,
    isStrict: entry.strictUsage === true,
  };
}

/** AWS bills all that it serves, whichever dialect it speaks, except Anthropic's own platform. */
export function sellerOf(credentials: readonly Credential[], dialect: Pick<Provider, "seller">): string {
  const isAws = credentials.some(({ auth, baseUrl }) => {
    const host = awsHostOf(baseUrl);
    return (auth.kind === "aws" || host !== null) && host?.service?.isBedrock !== false;
  });
  return isAws ? "aws.bedrock" : dialect.seller;
}

function placeOf({ dialect, project, locations }: UpstreamEntry, { at, secrets }: In): Place {
  if (DIALECTS.get(dialect)!.settings.hasPlace) {
    if (project === undefined) secrets.complain(at, "it needs project, which pays for its calls");
    if (locations === undefined) secrets.complain(at, "it needs locations, which decide what calls cost");
  } else {
    const problem = "only a vertex upstream has such a place";
    if (project !== undefined) secrets.complain(`${at}.project`, problem);
    if (locations !== undefined) secrets.complain(`${at}.locations`, problem);
  }
  return { project: project ?? null, locations: locations ?? [] };
}

function refuseBaseUrls(entry: UpstreamEntry, { at, secrets }: In): void {
  const { addedPath, hasPlace } = DIALECTS.get(entry.dialect)!.settings;
  for (const [n, { baseUrl }] of [[null, entry] as const, ...entry.credentials.entries()]) {
    if (baseUrl === undefined) continue;
    const baseUrlAt = n === null ? `${at}.baseUrl` : `${at}.credentials[${n}].baseUrl`;
    const added = addedPath.exec(baseUrl)?.[0];
    if (added !== undefined) secrets.complain(baseUrlAt, `remove ${added}, the proxy adds it itself`);
    const unfilled = hasPlace ? baseUrl.replaceAll("{location}", "") : baseUrl;
    if (/[{}]|%7b|%7d/i.test(unfilled)) secrets.complain(baseUrlAt, "only {location} may stand in braces, at a vertex upstream");
  }
}

/** Rows and metrics know upstreams and credentials by their names only. */
function refuseTwins(
  upstreams: readonly UpstreamConfig[],
  { others, secrets }: Pick<UpstreamsFile, "others"> & Pick<In, "secrets">,
): void {
  const names = new Set(others.map(({ name }) => name));
  const ids = new Set(others.flatMap(({ credentials }) => credentials.map(({ id }) => id)));
  const count = ids.size + upstreams.flatMap(({ credentials }) => credentials).length;
  if (count > MAX_CREDENTIALS) {
    secrets.complain("", `there are ${count} credentials with those of other settings, and ${MAX_CREDENTIALS} are the most`);
  }
  for (const [n, { name, credentials }] of upstreams.entries()) {
    if (names.has(name)) secrets.complain(`[${n}].name`, "another upstream has it too");
    names.add(name);
    const paying = new Set<string>();
    for (const [m, { id, secret, baseUrl }] of credentials.entries()) {
      const at = `[${n}].credentials[${m}]`;
      if (ids.has(id)) secrets.complain(`${at}.name`, "another credential has it too");
      ids.add(id);
      const pays = `${baseUrl} ${secret}`;
      if (paying.has(pays)) secrets.complain(at, "an earlier credential of this upstream is the same");
      paying.add(pays);
    }
  }
}
