import { environmentNames, RENAMED, type SettingName, SETTINGS, type ValueOf } from "./settings.ts";

/** The environment and the files that it names, passed in. */
export interface ConfigSource {
  /** The variable's text; undefined if it is not set. */
  readonly env: (name: string) => string | undefined;
  /** The names of all variables that are set. */
  readonly names: readonly string[];
  /** A file's text. Throws if it cannot be read. */
  readonly readFile: (path: string) => string;
}

/** Everything that is wrong with the settings, one line each; no line holds a secret. */
export class ConfigProblems extends Error {
  override readonly name = "ConfigProblems";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/** The program cannot work as it is set up; starting it again does not help. Exit code 2. */
export class SettingsRefused extends Error {
  override readonly name = "SettingsRefused";
}

const MAX_SHOWN_LENGTH = 120;
/** How keys and tokens begin: such a text in the wrong variable is not shown either. */
export const LOOKS_SECRET =
  /sk-|llmp_|bearer |AIza[\w-]{20}|AQ\.[\w-]{30}|ya29\.|A[KS]IA[A-Z0-9]{12}|ABSK[\w+/=]{12}|bedrock-api-key-|-----BEGIN/i;

/** Reads settings from a source and collects everything that is wrong with them. */
export class SettingsReader {
  readonly problems: string[] = [];
  readonly #source: ConfigSource;

  constructor(source: ConfigSource) {
    this.#source = source;
    for (const [old, name] of Object.entries(RENAMED)) {
      if (this.variable(old) !== null) this.problems.push(`Cannot use ${old}: it is called ${name} now`);
    }
  }

  /** The setting's value. If it cannot be read, adds a problem and returns the default. */
  read<N extends SettingName>(name: N): ValueOf<N> {
    const row = SETTINGS[name];
    const text = row.isSecret ? this.#secret(name) : this.variable(name);
    if (text !== null) {
      const read = row.schema.safeParse(text);
      if (read.success) return read.data as ValueOf<N>;
      this.complain(name, `Cannot read ${name} as ${read.error.issues[0]!.message}`);
    }
    return (row.default === "" ? null : row.schema.parse(row.default)) as ValueOf<N>;
  }

  /** Adds a problem, with the current value if it may be shown. */
  complain(name: SettingName, problem: string): void {
    const value = SETTINGS[name].isSecret ? null : this.variable(name);
    this.problems.push(value === null ? problem : `${problem}: current value is ${shown(value)}`);
  }

  /** Whether the setting has a text, readable or not, itself or by its file. */
  isSet(name: SettingName): boolean {
    return this.variable(name) !== null || (SETTINGS[name].isSecret && this.variable(`${name}_FILE`) !== null);
  }

  /** Runs it, and adds the problems that it throws to the others; null then. */
  collect<T>(parse: (readFile: ConfigSource["readFile"]) => T): T | null {
    try {
      return parse(this.#source.readFile);
    } catch (error) {
      if (!(error instanceof ConfigProblems)) throw error;
      this.problems.push(...error.problems);
      return null;
    }
  }

  /** The text of the file that a variable names; null with a problem if it cannot be read. */
  readFile(name: string, path: string): string | null {
    try {
      return this.#source.readFile(path);
    } catch (error) {
      this.problems.push(`Cannot read the file that ${name} names: current value is ${shown(path)}: ${reasonOf(error, path)}`);
      return null;
    }
  }

  /** Variables that look like settings but are not: probably misspelt. */
  unknownNames(looksLikeOne: RegExp): readonly string[] {
    const known = environmentNames();
    const isUnknown = (name: string) => looksLikeOne.test(name) && !known.includes(name) && !Object.hasOwn(RENAMED, name);
    return this.#source.names.filter(isUnknown).sort();
  }

  /** A variable's text; null if it is unset or empty. */
  variable(name: string): string | null {
    return this.#source.env(name) || null;
  }

  /** Returns the value, or throws `ConfigProblems`. */
  finish<T>(value: T): T {
    if (this.problems.length > 0) throw new ConfigProblems([...new Set(this.problems)]);
    return value;
  }

  /** The secret's text; null with a problem if it was not copied as it should be. */
  #secret(name: SettingName): string | null {
    const text = this.#secretText(name);
    const fault = text === null ? null : faultOfSecret(text, name);
    if (fault === null) return text;
    const what = this.variable(`${name}_FILE`) === null ? name : `the file that ${name}_FILE names`;
    this.problems.push(`Cannot use ${what}: ${fault}`);
    return null;
  }

  #secretText(name: SettingName): string | null {
    const text = this.variable(name);
    const path = this.variable(`${name}_FILE`);
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

/** Deno's messages end with the path (`…: readfile '/x'`), which may be a misplaced secret. */
function reasonOf(error: unknown, path: string): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split(": ")[0]!.replaceAll(path, "it");
}

function shown(value: string): string {
  if (LOOKS_SECRET.test(value)) return "not shown, since it looks like a secret";
  const safe = value.replace(/^(\w+:\/\/)?.*@/, "$1***@").replace(/([?#]).*/, "$1***");
  return JSON.stringify(safe.length > MAX_SHOWN_LENGTH ? `${safe.slice(0, MAX_SHOWN_LENGTH)}…` : safe);
}

/** What goes wrong when a secret is copied, and what to do; the first that matches is reported. */
const SECRET_FAULTS: readonly (readonly [RegExp, string])[] = [
  [/^\uFEFF/, "it begins with a byte order mark (BOM): save it as UTF-8 without one"],
  [/[\0\uFFFD]/, "it is not UTF-8 text, perhaps UTF-16: save it as UTF-8"],
  [/^\s*$/, "it is nothing but white space"],
  [/^[\r\n]/, "it begins with a line break: remove that"],
  [/^[^\r\n]+[\r\n]+$/, "it ends with a line break: remove that"],
  [/[\r\n]/, "it has a line break in the middle: it has to be one line"],
  [/^\s*["'`\u2018\u201c].*["'`\u2019\u201d]\s*$/, "it stands in quotes: remove them"],
  [/^\s*(authorization\s*:\s*)?bearer\s/i, 'it begins with "Bearer ": remove that, the proxy adds it'],
  [/^\s*(authorization|x-api-key)\s*:/i, "it begins with the name of a header: remove that"],
  [/^\s*psql\s/, "it begins with psql: remove that and the quotes"],
  [/^\s/, "it begins with a blank or a tab: remove that"],
  [/\s$/, "it ends with a blank or a tab: remove that"],
  [/\t/, "it has a tab in the middle"],
  [/\s/, "it has a blank in the middle"],
];

/** The value of a header may have blanks in the middle, such as `Bearer abc`. */
const MAY_HOLD_BLANKS = /_HEADERS$/;
/** What a header can carry; a password in a URL may be of any script. */
const VISIBLE_ASCII = /^[\x21-\x7e]$/;
const VISIBLE = /^[^\p{C}\p{Z}]$/u;

/** What is wrong with a secret's text, in words that show nothing of it; null if nothing is. */
export function faultOfSecret(secret: string, name: string): string | null {
  const text = MAY_HOLD_BLANKS.test(name) ? secret.replace(/(?<=\S) +(?=\S)/g, "") : secret;
  if (new RegExp(`^\\s*(export\\s+)?${name}\\s*=`).test(text)) return "it begins with the setting's name and =: remove both";
  const fault = SECRET_FAULTS.find(([pattern]) => pattern.test(text))?.[1];
  if (fault !== undefined) return fault;
  // Dashes, quotes and invisible characters that came with a copied text.
  const allowed = name === "LLMPROXY_DATABASE_URL" ? VISIBLE : VISIBLE_ASCII;
  const at = [...text].findIndex((character) => !allowed.test(character));
  if (at < 0) return null;
  const code = [...text][at]!.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0");
  return `its character ${at + 1} is U+${code}, which cannot be in it`;
}

/** The text of a secret's file: editors and shells put line ends around what they write. */
export function withoutLineEnds(text: string): string {
  return text.replace(/^[\r\n]+|[\r\n]+$/g, "");
}
