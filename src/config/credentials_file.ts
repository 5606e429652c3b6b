import { z } from "zod";
import type { Credential } from "../domain/upstream.ts";
import { entryName, MAX_CREDENTIALS, secretPath, secretText, weight } from "./credential_schema.ts";
import { FileSecrets } from "./file_secrets.ts";
import { parseJsonFile } from "./json_file.ts";
import { url } from "./setting_kinds.ts";
import { ConfigProblems } from "./settings_reader.ts";

/** Each schema's message is what stands after "as" in `Cannot read x as …`. */
const LIST = `a list of 1 to ${MAX_CREDENTIALS} credentials`;

const credential = z.strictObject({
  name: entryName,
  key: secretText,
  keyFile: secretPath,
  weight,
  baseUrl: z.string("a URL").pipe(url).optional(),
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
  const file = new FileSecrets({ path, readFile });
  const [ids, secrets] = [new Set<string>(), new Set<string>()];
  const credentials = entries.map((entry, n): Credential => {
    const at = `[${n}]`;
    const { name: id, weight } = entry;
    const secret = file.required(entry, { at, key: "key", variable: "ANTHROPIC_API_KEY" });
    const fault = entry.baseUrl === undefined ? null : baseUrlFault(entry.baseUrl);
    if (fault !== null) file.complain(`${at}.baseUrl`, fault);
    if (ids.has(id)) file.complain(`${at}.name`, "an earlier credential has it too");
    if (secrets.has(secret)) file.complain(at, "an earlier credential has the same key");
    ids.add(id);
    if (secret !== "") secrets.add(secret);
    const auth = { kind: "header", header: "x-api-key", value: secret } as const;
    return { id, weight, baseUrl: entry.baseUrl ?? baseUrl, secret, auth };
  });
  if (file.problems.length > 0) throw new ConfigProblems(file.problems);
  return credentials;
}
