import { faultOfSecret, withoutLineEnds } from "./settings_reader.ts";

/** Where a secret stands in a file. */
interface Place {
  /** The entry's path in the file, such as `[0].credentials[1]`. */
  readonly at: string;
  /** The key of the secret; with `File` at its end, of the path of a file that holds it. */
  readonly key: string;
  /** The variable by which operators know it: a copy may begin with its name. */
  readonly variable: string;
}

/**
 * Reads the secrets that a file of settings holds or names, and collects all that is wrong. No
 * problem quotes a value: a secret may stand in any place.
 */
export class FileSecrets {
  readonly problems: string[] = [];
  readonly #path: string;
  readonly #readFile: (path: string) => string;

  constructor({ path, readFile }: { readonly path: string; readonly readFile: (path: string) => string }) {
    this.#path = path;
    this.#readFile = readFile;
  }

  complain(at: string, fault: string): void {
    this.problems.push(`Cannot use ${this.#place(at)}: ${fault}`);
  }

  /** The text of the file that `at` names; null with a problem if it cannot be read. */
  text(at: string, path: string): string | null {
    try {
      return this.#readFile(path);
    } catch {
      this.problems.push(`Cannot read ${this.#named(at)}`);
      return null;
    }
  }

  /** What is wrong with the content of the file that `at` names. */
  complainOfFile(at: string, fault: string): void {
    this.problems.push(`Cannot use ${this.#named(at)}: ${fault}`);
  }

  /** A secret that has to be there, itself or by its file; empty with a problem. */
  required(entry: Readonly<Record<string, unknown>>, place: Place): string {
    const { at, key } = place;
    if ((entry[key] === undefined) !== (entry[`${key}File`] === undefined)) return this.optional(entry, place) ?? "";
    this.complain(at, `it needs either ${key} or ${key}File`);
    return "";
  }

  /** Null if neither the secret nor its file is there. */
  optional(entry: Readonly<Record<string, unknown>>, { at, key, variable }: Place): string | null {
    const [inline, file] = [entry[key], entry[`${key}File`]];
    if (inline === undefined && file === undefined) return null;
    if (inline !== undefined && file !== undefined) {
      this.complain(at, `it needs either ${key} or ${key}File`);
      return null;
    }
    const fileAt = `${at}.${key}File`;
    const text = inline === undefined ? this.text(fileAt, String(file)) : String(inline);
    if (text === null) return null;
    const secret = inline === undefined ? withoutLineEnds(text) : text;
    const fault = secret === "" ? "it is empty" : faultOfSecret(secret, variable);
    if (fault !== null && inline === undefined) this.complainOfFile(fileAt, fault);
    else if (fault !== null) this.complain(`${at}.${key}`, fault);
    return secret;
  }

  #place(at: string): string {
    return at === "" ? this.#path : `${at} of ${this.#path}`;
  }

  #named(at: string): string {
    return `the file that ${this.#place(at)} names`;
  }
}
