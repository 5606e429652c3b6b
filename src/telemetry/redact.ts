/** Replaces a credential. */
export const REDACTED = "[redacted]";

/**
 * In UTF-16 code units. Cuts longer texts at white space, so that no part of a credential shows.
 */
const MAX_TEXT_LENGTH = 8_192;
/** A shorter secret would hide ordinary words. */
const MIN_SECRET_LENGTH = 4;
/** Looks for so many secrets, rotated ones included. Credentials of AWS have two each. */
const MAX_KNOWN_SECRETS = 256;
const MAX_KNOWN_NAMES = 1_000;

/** A field of such a name, in lower case without `-`, `_` and `.`, is always a credential. */
const SECRET_NAME =
  /(?:authorization|apikey|accesskey|password|passwd|secret|cookie|databaseurl|privatekey|^(?:\w*(?:proxy|access|refresh|auth|admin|bearer|session|id|raw|api))?token)$/;

/** Every shape below contains one of these. */
const SUSPICION = /sk-|llmp_|bearer|eyJ|AIza|AQ\.|ya29|ABSK|@|[-_]?key|pass|pwd|secret|token|authorization|cookie/i;

/** Credentials by their shape. Each takes time in proportion to any text. */
const SHAPES: readonly (readonly [RegExp, string])[] = [
  // First, because others end at a blank. Also percent-encoded; a cut one goes to the text's end.
  [/-----BEGIN[A-Z0-9%+ ]{1,48}KEY-----[^]*?(?:-----END[A-Z0-9%+ ]{1,48}KEY-----|$)/g, REDACTED],
  [/sk-ant-[\w-]+/g, REDACTED],
  [/\bsk-[\w-]{16,}/g, REDACTED],
  [/llmp_[\w-]+/g, REDACTED],
  [/\bbearer(?:\s|%20|\+)+\S+/gi, `Bearer ${REDACTED}`],
  // Google's API keys and access tokens, and Bedrock's API keys.
  [/\b(?:AIza[\w-]{16,}|AQ\.[\w-]{30,})/g, REDACTED],
  [/\bya29\.[\w.-]+/g, REDACTED],
  [/\bABSK[\w+/=]{16,}/g, REDACTED],
  [/\bbedrock-api-key-[\w+/=-]+/g, REDACTED],
  [/\beyJ[\w-]{16,}(?:\.[\w-]+){0,2}/g, REDACTED],
  // A password may hold `/` and `@` without escapes.
  [/(postgres(?:ql)?:\/\/)\S{0,512}@/gi, `$1${REDACTED}@`],
  [/:\/\/[^\s/]*@/g, `://${REDACTED}@`],
  [/\b((?:proxy-)?authorization|(?:set-)?cookie)(\\*["']?\s*[=:]\s*)[^\r\n]+/gi, `$1$2${REDACTED}`],
  [
    /((?:api[-_]?key|password|passwd|pwd|secret(?:[-_]?access[-_]?key)?)\\*["']?\s*[=:]\s*\\*["']?)[^\s"'\\,;&}]+/gi,
    `$1${REDACTED}`,
  ],
  [/(token(?:\\*["']\s*:|\s*=)\s*\\*["']?)[^\s"'\\,;&}]+/gi, `$1${REDACTED}`],
];

interface CleanName {
  readonly shown: string;
  /** A credential stands under it. */
  readonly isSecret: boolean;
}

/** Removes credentials from texts: by their shape, and by value if `secrets` returns them. */
export class Redactor {
  readonly #secrets: () => readonly string[];
  /** As `secrets` returned them last. */
  #last: readonly string[] | null = null;
  /** Of all known secrets, the longest first. */
  #spellings: readonly string[] = [];
  readonly #known = new Set<string>();
  readonly #names = new Map<string, CleanName>();

  /** Secrets can be rotated: `refresh` calls `secrets`. The same list has the same ones. */
  constructor(secrets: () => readonly string[]) {
    this.#secrets = secrets;
  }

  /** Call it before each record. */
  refresh(): void {
    const secrets = this.#secrets();
    if (secrets === this.#last) return;
    this.#last = secrets;
    for (const secret of secrets) {
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

  name(name: string): CleanName {
    let clean = this.#names.get(name);
    if (clean === undefined) {
      clean = { shown: this.text(name), isSecret: SECRET_NAME.test(name.toLowerCase().replace(/[-_.\s]/g, "")) };
      if (this.#names.size < MAX_KNOWN_NAMES) this.#names.set(name, clean);
    }
    return clean;
  }

  #learn(secret: string): void {
    const [oldest] = this.#known;
    if (oldest !== undefined && this.#known.size >= MAX_KNOWN_SECRETS) this.#known.delete(oldest);
    this.#known.add(secret);
    this.#names.clear();
    const spellings = [...this.#known].flatMap((known) => [
      known,
      JSON.stringify(known).slice(1, -1),
      // encodeURIComponent throws for a lone surrogate.
      encodeURIComponent(known.toWellFormed()),
    ]);
    this.#spellings = [...new Set(spellings)].sort((a, b) => b.length - a.length);
  }
}

function cut(text: string): string {
  const head = text.slice(0, MAX_TEXT_LENGTH);
  const whole = head.slice(0, Math.max(head.search(/\s\S*$/), 0));
  return `${whole}… [${text.length - whole.length} more characters]`;
}
