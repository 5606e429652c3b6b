import { faultOfSecret, withoutLineEnds } from "./secret_text.ts";
import { SETTING_KINDS, type SettingKind } from "./setting_kinds.ts";
import { environmentNames, type SettingName, SETTINGS, type ValueOf } from "./settings.ts";

/** The environment and the files that it names, handed in. */
export interface ConfigSource {
  /** The variable's text; undefined where it is not set. */
  readonly env: (name: string) => string | undefined;
  /** The names of all variables that are set. */
  readonly names: readonly string[];
  /** A file's text. Throws where it cannot be read. */
  readonly readFile: (path: string) => string;
}

const MAX_SHOWN_LENGTH = 120;
/** What the shapes of keys and tokens begin with: such a text in the wrong variable is not shown either. */
const LOOKS_SECRET = /sk-|llmp_|bearer /i;

/** Reads settings from a source and gathers everything that is wrong with them. */
export class EnvironmentReader {
  readonly problems: string[] = [];
  readonly #source: ConfigSource;

  constructor(source: ConfigSource) {
    this.#source = source;
  }

  /** The setting's value. Where it cannot be read that is a problem, and the default stands in for it. */
  read<N extends SettingName>(name: N): ValueOf<N> {
    const row = SETTINGS[name];
    const kind: SettingKind<unknown> = SETTING_KINDS[row.kind];
    const text = row.isSecret ? this.#soundSecret(name) : this.#text(name);
    if (text !== null) {
      const value = kind.read(text);
      if (value !== null) return value as ValueOf<N>;
      this.complain(name, `Cannot read ${name} as ${kind.expects}`);
    }
    return (row.default === "" ? null : kind.read(row.default)) as ValueOf<N>;
  }

  /** Adds a problem, and the current value where it may be shown. */
  complain(name: SettingName, problem: string): void {
    const value = SETTINGS[name].isSecret ? null : this.#text(name);
    this.problems.push(value === null ? problem : `${problem}: current value is ${shown(value)}`);
  }

  /** Has the setting a text, in whatever way, readable or not? */
  isSet(name: SettingName): boolean {
    return this.#text(name) !== null || (SETTINGS[name].isSecret && this.#text(`${name}_FILE`) !== null);
  }

  /** The text of a file that the variable `name` names; null with a problem where it cannot be read. */
  readFile(name: string, path: string): string | null {
    try {
      return this.#source.readFile(path);
    } catch (error) {
      this.problems.push(`Cannot read the file that ${name} names: current value is ${shown(path)}: ${reasonOf(error, path)}`);
      return null;
    }
  }

  /** Variables that look like settings and are none: probably misspelt. */
  unknownNames(): readonly string[] {
    const known = environmentNames();
    return this.#source.names.filter((name) => name.startsWith("LLMPROXY_") && !known.includes(name)).sort();
  }

  /** A variable that is not ours; empty means unset. */
  foreign(name: string): string | null {
    return this.#text(name);
  }

  #text(name: string): string | null {
    return this.#source.env(name) || null;
  }

  /** The secret's text; null with a problem if it was not copied as it should be. */
  #soundSecret(name: SettingName): string | null {
    const text = this.#secretText(name);
    const fault = text === null ? null : faultOfSecret(text, name);
    if (fault === null) return text;
    const what = this.#text(`${name}_FILE`) === null ? name : `the file that ${name}_FILE names`;
    this.problems.push(`Cannot use ${what}: ${fault}`);
    return null;
  }

  #secretText(name: SettingName): string | null {
    const text = this.#text(name);
    const path = this.#text(`${name}_FILE`);
    if (path === null) return text;
    if (text !== null) {
      this.problems.push(`Cannot use both ${name} and ${name}_FILE: unset one of them`);
      return null;
    }
    const content = this.readFile(`${name}_FILE`, path);
    const secret = content === null ? null : withoutLineEnds(content);
    if (secret === "") this.problems.push(`Cannot use the file that ${name}_FILE names: ${shown(path)} is empty`);
    return secret || null;
  }
}

/** Deno's messages end with the path (`…: readfile '/x'`), which may be a secret in the wrong place. */
function reasonOf(error: unknown, path: string): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split(": ")[0]!.replaceAll(path, "it");
}

function shown(value: string): string {
  if (LOOKS_SECRET.test(value)) return "not shown, since it looks like a secret";
  const safe = value.replace(/^(\w+:\/\/)?.*@/, "$1***@").replace(/([?#]).*/, "$1***");
  return JSON.stringify(safe.length > MAX_SHOWN_LENGTH ? `${safe.slice(0, MAX_SHOWN_LENGTH)}…` : safe);
}
