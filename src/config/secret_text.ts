interface Fault {
  readonly has: (text: string, name: string) => boolean;
  /** What is wrong and what to do; nothing of the secret is shown. */
  readonly words: string;
}

/** What goes wrong when a secret is copied, in the order in which it is worth saying. A new way is one row. */
const FAULTS: readonly Fault[] = [
  { has: (text) => text.startsWith("\uFEFF"), words: "it begins with a byte order mark (BOM): save it as UTF-8 without one" },
  { has: (text) => /[\0\uFFFD]/.test(text), words: "it is not UTF-8 text, perhaps UTF-16: save it as UTF-8" },
  { has: (text) => text.trim() === "", words: "it is nothing but white space" },
  {
    has: (text, name) => new RegExp(`^\\s*(export\\s+)?${name}\\s*=`).test(text),
    words: "it begins with the setting's name and =: leave both away",
  },
  { has: (text) => /^[\r\n]/.test(text), words: "it begins with a line break: leave that away" },
  {
    has: (text) => /[^\r\n][\r\n]+$/.test(text) && !/[\r\n]/.test(text.trim()),
    words: "it ends with a line break: leave that away",
  },
  { has: (text) => /[\r\n]/.test(text), words: "it has a line break in the middle: it has to be one line" },
  { has: (text) => /^\s*["'`\u2018\u201c].*["'`\u2019\u201d]\s*$/.test(text), words: "it stands in quotes: leave them away" },
  {
    has: (text) => /^\s*(authorization\s*:\s*)?bearer\s/i.test(text),
    words: 'it begins with "Bearer ": leave that away, the proxy puts it in front itself',
  },
  {
    has: (text) => /^\s*(authorization|x-api-key)\s*:/i.test(text),
    words: "it begins with the name of a header: leave that away",
  },
  { has: (text) => /^\s*psql\s/.test(text), words: "it begins with psql: leave that and the quotes away" },
  { has: (text) => /^\s/.test(text), words: "it begins with a blank or a tab: leave that away" },
  { has: (text) => /\s$/.test(text), words: "it ends with a blank or a tab: leave that away" },
  { has: (text) => text.includes("\t"), words: "it has a tab in the middle" },
  { has: (text) => /\s/.test(text), words: "it has a blank in the middle" },
];

/** What is wrong with the text of the secret that this setting holds, in words that show nothing of it; null if nothing is. */
export function faultOfSecret(text: string, name: string): string | null {
  return FAULTS.find(({ has }) => has(text, name))?.words ??
    oddCharacterOf(text, name === "LLMPROXY_DATABASE_URL" ? VISIBLE : VISIBLE_ASCII);
}

/** What a header can carry. */
const VISIBLE_ASCII = /^[\x21-\x7e]$/;
/** A password in a URL may be of any script. */
const VISIBLE = /^[^\p{C}\p{Z}]$/u;

/** Dashes, quotes and invisible characters that came with a copied text. */
function oddCharacterOf(text: string, allowed: RegExp): string | null {
  const at = [...text].findIndex((character) => !allowed.test(character));
  if (at < 0) return null;
  const code = [...text][at]!.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0");
  return `its character ${at + 1} is U+${code}, which cannot be in it`;
}

/** A secret's file as it is meant: editors and shells put line ends around what they write. */
export function withoutLineEnds(text: string): string {
  return text.replace(/^[\r\n]+|[\r\n]+$/g, "");
}
