import { SETTINGS } from "../../config/settings.ts";
import type { ConfigSource } from "../../config/settings_reader.ts";
import { type Finding, findingsOf } from "./finding.ts";

const secretFile = findingsOf("secret file");

/** The variables that name files of secrets. */
const NAMES = [
  ...Object.entries(SETTINGS).filter(([, { isSecret }]) => isSecret).map(([name]) => `${name}_FILE`),
  "ANTHROPIC_API_KEYS_FILE",
  "LLMPROXY_UPSTREAMS_FILE",
];

/** Warns of files of secrets that every user of the machine may read. */
export function examineSecretFiles({ env }: ConfigSource): readonly Finding[] {
  return NAMES.flatMap((name) => {
    const path = env(name);
    const mode = path ? modeOf(path) : null;
    if (mode === null) return [];
    if ((mode & 0o004) === 0) return [secretFile.ok(`No other user may read the file that ${name} names`)];
    return [secretFile.warning(`Every user of this machine may read the file that ${name} names`, `chmod o-rwx ${path}`)];
  });
}

/** Null if it cannot be looked at, which the settings' own check tells. */
function modeOf(path: string): number | null {
  try {
    return Deno.statSync(path).mode;
  } catch {
    return null;
  }
}
