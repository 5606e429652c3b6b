import { z } from "zod";
import type { Credential } from "../domain/upstream.ts";
import { parseJsonFile } from "./json_file.ts";
import { SETTINGS } from "./settings.ts";
import { ConfigProblems, faultOfSecret, LOOKS_SECRET, withoutLineEnds } from "./settings_reader.ts";

/** The log hides as many secrets as this, and those that a reload has replaced. */
const MAX_CREDENTIALS = 32;
const MAX_WEIGHT = 1_000;

/** Each schema's message is what stands after "as" in `Cannot read x as …`. */
const LIST = `a list of 1 to ${MAX_CREDENTIALS} credentials`;
const NAME = "a name of 1 to 64 letters, digits, dots, dashes and underscores that does not look like a key";
const WEIGHT = `a whole number from 1 to ${MAX_WEIGHT}`;
const TEXT = "a text";
const PATH = "the path of a file";

const credential = z.strictObject({
  name: z.string(NAME).regex(/^[A-Za-z0-9][\w.-]{0,63}$/, NAME).refine((name) => !LOOKS_SECRET.test(name), NAME),
  key: z.string(TEXT).optional(),
  keyFile: z.string(PATH).min(1, PATH).optional(),
  weight: z.int(WEIGHT).min(1, WEIGHT).max(MAX_WEIGHT, WEIGHT).default(1),
  baseUrl: z.string("a URL").pipe(SETTINGS.ANTHROPIC_BASE_URL.schema).optional(),
}, "an object with name and key, or name and keyFile");
const credentialsFile = z.array(credential, LIST).min(1, LIST).max(MAX_CREDENTIALS, LIST);

export interface CredentialsFile {
  readonly path: string;
  /** Of credentials that name no other. */
  readonly baseUrl: string;
  /** What is wrong with a base URL; null if nothing is. */
  readonly baseUrlFault: (baseUrl: string) => string | null;
  /** Throws if the file cannot be read. */
  readonly readFile: (path: string) => string;
}

/**
 * The operators' credentials, in the order of the file. Throws `ConfigProblems` with all problems
 * at once. No problem quotes a value other than a weight: a key may stand in any place.
 */
export function parseCredentials(
  text: string,
  { path, baseUrl, baseUrlFault, readFile }: CredentialsFile,
): readonly Credential[] {
  const shows = (key: string, value: unknown) => key.endsWith(".weight") && typeof value === "number";
  const entries = parseJsonFile(text, { path, schema: credentialsFile, shows });
  const problems: string[] = [];

  function keyOf({ key, keyFile }: (typeof entries)[number], at: (key: string) => string): string {
    if ((key === undefined) === (keyFile === undefined)) {
      problems.push(`Cannot use ${at("")}: it needs either key or keyFile`);
      return "";
    }
    const what = key === undefined ? `the file that ${at(".keyFile")} names` : at(".key");
    let secret = "";
    try {
      secret = key ?? withoutLineEnds(readFile(keyFile!));
    } catch {
      problems.push(`Cannot read ${what}`);
      return "";
    }
    const fault = secret === "" ? "it is empty" : faultOfSecret(secret, "ANTHROPIC_API_KEY");
    if (fault !== null) problems.push(`Cannot use ${what}: ${fault}`);
    return secret;
  }

  const [ids, secrets] = [new Set<string>(), new Set<string>()];
  const credentials = entries.map((entry, n): Credential => {
    const at = (key: string) => `[${n}]${key} of ${path}`;
    const { name: id, weight } = entry;
    const secret = keyOf(entry, at);
    const fault = entry.baseUrl === undefined ? null : baseUrlFault(entry.baseUrl);
    if (fault !== null) problems.push(`Cannot use ${at(".baseUrl")}: ${fault}`);
    if (ids.has(id)) problems.push(`Cannot use ${at(".name")}: an earlier credential has it too`);
    if (secrets.has(secret)) problems.push(`Cannot use ${at("")}: an earlier credential has the same key`);
    ids.add(id);
    if (secret !== "") secrets.add(secret);
    const auth = { kind: "header", header: "x-api-key", value: secret } as const;
    return { auth, secret, id, weight, baseUrl: entry.baseUrl ?? baseUrl };
  });
  if (problems.length > 0) throw new ConfigProblems(problems);
  return credentials;
}
