import { SETTINGS } from "../../config/settings.ts";
import type { ConfigSource } from "../../config/settings_reader.ts";
import { type Finding, findingsOf } from "./finding.ts";

const secretFile = findingsOf("secret file");

/** The variables that name JSON files which hold secrets, or name files that do. */
const JSON_FILES = ["ANTHROPIC_API_KEYS_FILE", "LLMPROXY_UPSTREAMS_FILE"];
/** The variables that name files of secrets. */
const NAMES = [
  ...Object.entries(SETTINGS).filter(([, { isSecret }]) => isSecret).map(([name]) => `${name}_FILE`),
  ...JSON_FILES,
];

/** Warns of files of secrets that every user of the machine may read. */
export function examineSecretFiles({ env, readFile }: Pick<ConfigSource, "env" | "readFile">): readonly Finding[] {
  return NAMES.flatMap((name) => {
    const path = env(name);
    if (!path) return [];
    const named = JSON_FILES.includes(name) ? filesNamedIn(path, readFile) : [];
    return [
      ...ofFile(path, `the file that ${name} names`),
      ...named.flatMap((file) => ofFile(file, `${file}, which the file of ${name} names`)),
    ];
  });
}

function ofFile(path: string, what: string): readonly Finding[] {
  const mode = modeOf(path);
  if (mode === null) return [];
  if ((mode & 0o004) === 0) return [secretFile.ok(`No other user may read ${what}`)];
  return [secretFile.warning(`Every user of this machine may read ${what}`, `chmod o-rwx ${path}`)];
}

/** The values of all keys that end in `File`; none if the file cannot be read as JSON. */
function filesNamedIn(path: string, readFile: ConfigSource["readFile"]): readonly string[] {
  const found = new Set<string>();
  try {
    JSON.parse(readFile(path), (key, value) => {
      if (key.endsWith("File") && typeof value === "string") found.add(value);
      return value;
    });
  } catch {
    // The settings' own check tells why.
    return [];
  }
  return [...found];
}

/** Null if it cannot be looked at, which the settings' own check tells. */
function modeOf(path: string): number | null {
  try {
    return Deno.statSync(path).mode;
  } catch {
    return null;
  }
}
