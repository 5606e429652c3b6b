import type { Fields } from "../domain/header_fields.ts";
import { cutClientString } from "../domain/text.ts";
import { holdsSecret } from "../wire/secrets.ts";
import { TOKEN_HEADERS } from "./authenticate.ts";

/** The text, or null if it holds one of the secrets: no row and no log line keeps such a text. */
export function unlessSecret(text: string | null, secrets: readonly string[]): string | null {
  return text === null || secrets.some((secret) => holdsSecret(text, secret)) ? null : text;
}

/** The headers as if those that hold one of the secrets were not sent. */
export function headersWithout(headers: Pick<Fields, "get">, secrets: readonly string[]): Pick<Headers, "get"> {
  return { get: (name) => unlessSecret(headers.get(name), secrets) };
}

/** All that the credential headers carry, well-formed or not: a refusal is logged without it. */
export function carriedSecrets(headers: Pick<Fields, "get">): readonly string[] {
  const values = TOKEN_HEADERS.map((name) => headers.get(name) ?? "");
  return [...new Set(values.flatMap((value) => [value, ...value.split(/\s+/)]))].filter((value) =>
    value !== "" && !SCHEME.test(value)
  );
}

/** The first word of an Authorization header is no secret. */
const SCHEME = /^(bearer|basic)$/i;

const REDACTED = "[redacted]";

/**
 * A request's path as a log line may show it: cut, without a query and without credentials. Someone
 * may paste a token into a URL, so a segment of more than 20 characters is shown only if it is made
 * of words and short numbers.
 */
export function pathToShow(path: string, secrets: readonly string[]): string {
  if (secrets.some((secret) => holdsSecret(path, secret))) return REDACTED;
  const shown = path.split("/", MOST_SEGMENTS).map((segment) => isWords(segment) ? segment : REDACTED).join("/");
  return cutClientString(shown);
}

const MOST_SEGMENTS = 32;
const LONGEST_ODD_SEGMENT = 20;
const WORDS = /^(?:[A-Za-z]{1,20}|\d{1,8})(?:[-_.:](?:[A-Za-z]{1,20}|\d{1,8}))*$/;

function isWords(segment: string): boolean {
  return segment.length <= LONGEST_ODD_SEGMENT || WORDS.test(segment);
}
