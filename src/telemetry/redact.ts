/** What stands where a credential stood. */
export const REDACTED = "[redacted]";

/** Longer texts are cut, at white space, so that no credential is cut in two and shown in part. UTF-16 code units. */
const MAX_TEXT_LENGTH = 8_192;
/** A shorter secret would blot out ordinary words. */
const MIN_SECRET_LENGTH = 4;
/** Secrets that were rotated away are still looked for, as many as these. */
const MAX_KNOWN_SECRETS = 64;
const MAX_KNOWN_NAMES = 1_000;

/** Names, in lower case and without `-`, `_` and `.`, under which a credential stands whatever it looks like. */
const SECRET_NAME =
  /(?:authorization|apikey|password|passwd|secret|cookie|databaseurl|privatekey|^(?:\w*(?:proxy|access|refresh|auth|admin|bearer|session|id|raw|api))?token)$/;

/** None of the shapes below is in a text without one of these. */
const SUSPICION = /sk-|llmp_|bearer|eyJ|@|[-_]?key|pass|pwd|secret|token|authorization|cookie/i;

/** Credentials by their shape. Each takes time in proportion to the text, whatever stands in it. */
const SHAPES: readonly (readonly [RegExp, string])[] = [
  [/sk-ant-[\w-]+/g, REDACTED],
  [/\bsk-[\w-]{16,}/g, REDACTED],
  [/llmp_[\w-]+/g, REDACTED],
  [/\bbearer(?:\s|%20|\+)+\S+/gi, `Bearer ${REDACTED}`],
  [/\beyJ[\w-]{16,}(?:\.[\w-]+){0,2}/g, REDACTED],
  // A password may hold `/` and `@` where nobody escaped them.
  [/(postgres(?:ql)?:\/\/)\S{0,512}@/gi, `$1${REDACTED}@`],
  [/:\/\/[^\s/]*@/g, `://${REDACTED}@`],
  [/\b((?:proxy-)?authorization|(?:set-)?cookie)(\\*["']?\s*[=:]\s*)[^\r\n]+/gi, `$1$2${REDACTED}`],
  [/((?:api[-_]?key|password|passwd|pwd|secret)\\*["']?\s*[=:]\s*\\*["']?)[^\s"'\\,;&}]+/gi, `$1${REDACTED}`],
  [/(token(?:\\*["']\s*:|\s*=)\s*\\*["']?)[^\s"'\\,;&}]+/gi, `$1${REDACTED}`],
];

export interface CleanName {
  readonly shown: string;
  readonly isSecret: boolean;
}

/** Takes credentials out of texts: by what they look like, and by what they are where `secrets` names them. */
export class Redactor {
  readonly #secrets: () => readonly string[];
  /** All spellings of the secrets seen so far, the longest first. */
  #spellings: readonly string[] = [];
  readonly #known = new Set<string>();
  readonly #names = new Map<string, CleanName>();

  /** `secrets` is asked at each record, because secrets can be rotated. */
  constructor(secrets: () => readonly string[]) {
    this.#secrets = secrets;
  }

  /** Learns what the secrets are now. */
  refresh(): void {
    for (const secret of this.#secrets()) {
      if (!this.#known.has(secret) && secret.length >= MIN_SECRET_LENGTH) this.#learn(secret);
    }
  }

  /** The text without credentials, cut to a bounded length. */
  text(text: string): string {
    let clean = text.length > MAX_TEXT_LENGTH ? cut(text) : text;
    for (const spelling of this.#spellings) {
      if (clean.includes(spelling)) clean = clean.replaceAll(spelling, REDACTED);
    }
    if (!SUSPICION.test(clean)) return clean;
    for (const [shape, instead] of SHAPES) clean = clean.replace(shape, instead);
    return clean;
  }

  /** A name as it may be shown, and whether what stands under it is a credential by that name alone. */
  name(name: string): CleanName {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    const isSecret = SECRET_NAME.test(name.toLowerCase().replace(/[-_.\s]/g, ""));
    const clean = { shown: this.text(name), isSecret };
    if (this.#names.size < MAX_KNOWN_NAMES) this.#names.set(name, clean);
    return clean;
  }

  #learn(secret: string): void {
    const [oldest] = this.#known;
    if (oldest !== undefined && this.#known.size >= MAX_KNOWN_SECRETS) this.#known.delete(oldest);
    this.#known.add(secret);
    this.#names.clear();
    const spellings = [...this.#known].flatMap((known) => [known, JSON.stringify(known).slice(1, -1), percentEncoded(known)]);
    this.#spellings = [...new Set(spellings)].sort((a, b) => b.length - a.length);
  }
}

function cut(text: string): string {
  const head = text.slice(0, MAX_TEXT_LENGTH);
  const whole = head.slice(0, Math.max(head.search(/\s\S*$/), 0));
  return `${whole}… [${text.length - whole.length} more characters]`;
}

/** A lone surrogate cannot be encoded. */
function percentEncoded(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}
