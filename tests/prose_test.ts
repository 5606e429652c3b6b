import assert from "node:assert/strict";
import { listFiles, read } from "./tree.ts";

const MAX_COLUMNS = 100;

/** A word that the house does not use, and what to write instead. */
const INSTEAD: readonly (readonly [RegExp, string])[] = [
  [/\banew\b/i, "again"],
  [/\bwhoever\b/i, "the role, such as: a client that"],
  [/\bwhatever becomes\b/i, "say what may happen"],
  [/\bwherever it\b/i, "in every place that"],
  [/\bbelongs? into\b/i, "belongs in"],
  [/\b(gives?|gave|given) back\b/i, "returns"],
  [/\bfor ever\b/i, "forever"],
  [/\bbut for\b/i, "except"],
  [/\bbegun\b/i, "started"],
  [/\bin vain\b/i, "without success, or what did not happen"],
  [/\b(nobody|somebody)\b/i, "name the role: no client, an operator"],
  [/\b(whose|for its own) sake\b/i, "because of"],
  [/\blook-ups?\b/i, "lookup"],
  [/\bhands? out\b/i, "returns, or gives"],
  [/\b(is|are) none\b/i, "there is no, or is not a"],
  [/\bof its own accord\b/i, "by itself"],
  [/\b(thereby|hereby)\b/i, "so, or by this"],
  [/\b(whereupon|thereupon)\b/i, "then"],
  [/\bas soon as it may\b/i, "when it can"],
  [/\ball the same\b/i, "still"],
  [/\blikewise\b/i, "also"],
  [/\bhenceforth\b/i, "from now on"],
  [/\b(thence|whence)\b/i, "from there"],
  [/\bamongst\b/i, "among"],
  [/\bwhilst\b/i, "while"],
  [/\belse(?=[.;,])/i, "otherwise"],
];

/** Where prose stands. */
const ROOMS =
  /^(src|tests|bench|tools|migrations|deploy|docs|findings)\/|^(main\.ts|README\.md|ARCHITECTURE\.md|CONTRIBUTING\.md|CHANGELOG\.md)$/;
const HAS_PROSE = /\.(tsx?|sql|sh|md|service|example)$/;

interface Prose {
  readonly line: number;
  readonly text: string;
  /** Set if the limit of columns holds for this line. */
  readonly columns: number | null;
}

Deno.test("the house writes plain English in lines of at most 100 columns", () => {
  const paths = listFiles("").filter((path) => ROOMS.test(path) && HAS_PROSE.test(path) && !path.startsWith("tests/fixtures/"));
  assert.ok(paths.length > 100, "the test found the tree");
  const faults = paths.flatMap((path) => faultsOf(path, read(path)));
  assert.equal(faults.length, 0, faults.join("\n"));
});

Deno.test("faultsOf() names file, line, word and what to write instead", () => {
  const wrong = "an" + "ew";
  assert.deepEqual(faultsOf("a.ts", `const a = 1;\n// It starts ${wrong}.\n`), [`a.ts:2: ${wrong}: write "again"`]);
  assert.deepEqual(faultsOf("a.ts", `f("starts ${wrong}"); // so\n`), [`a.ts:1: ${wrong}: write "again"`]);
  assert.deepEqual(faultsOf("a.ts", `const ${wrong} = 1;\n`), []);
  assert.deepEqual(faultsOf("a.sql", `-- ${"x".repeat(98)}\n`), ["a.sql:1: 101 columns"]);
  assert.deepEqual(faultsOf("a.ts", `const long = "${"x".repeat(110)}";\n`), []);
  assert.deepEqual(faultsOf("a.md", `${"x ".repeat(60)}\n`), ["a.md:1: 120 columns"]);
});

Deno.test("faultsOf() lets tables, code and lines that are one link be long", () => {
  const long = "x".repeat(120);
  assert.deepEqual(faultsOf("a.md", `| ${long} |\n\n    ${long}\n\n[a](${long})\n\n\`\`\`\n${long}\n\`\`\`\n`), []);
  assert.deepEqual(faultsOf("a.ts", `// https://example.com/${long}\n`), []);
});

function faultsOf(path: string, content: string): string[] {
  return (path.endsWith(".md") ? proseOfMarkdown(content) : proseOfCode(path, content)).flatMap(({ line, text, columns }) => {
    const words = INSTEAD.flatMap(([word, instead]) => {
      const found = text.match(word)?.[0];
      return found === undefined ? [] : [`${path}:${line}: ${found}: write "${instead}"`];
    });
    return columns !== null && columns > MAX_COLUMNS ? [`${path}:${line}: ${columns} columns`, ...words] : words;
  });
}

function proseOfMarkdown(content: string): Prose[] {
  let isFenced = false;
  return content.split("\n").flatMap((whole, index) => {
    if (whole.trimStart().startsWith("```")) {
      isFenced = !isFenced;
      return [];
    }
    if (isFenced || whole.startsWith("    ")) return [];
    const isFree = whole.trimStart().startsWith("|") || isOneLink(whole);
    return [{ line: index + 1, text: whole.replaceAll(/`[^`]*`/g, "``"), columns: isFree ? null : whole.length }];
  });
}

/** Comments, and texts with a space in them: what people read. */
function proseOfCode(path: string, content: string): Prose[] {
  const opening = path.endsWith(".sql") ? /^--/ : /\.tsx?$/.test(path) ? /^(\/\/|\/\*|\*( |\/|$))/ : /^#/;
  return content.split("\n").flatMap((whole, index) => {
    const trimmed = whole.trim();
    const line = index + 1;
    if (opening.test(trimmed)) return [{ line, text: trimmed, columns: isOneLink(trimmed) ? null : whole.length }];
    const texts = trimmed.match(/"[^"]*\s[^"]*"|`[^`]*\s[^`]*`|(\/\/|--) .*$/g) ?? [];
    return texts.map((text) => ({ line, text, columns: null }));
  });
}

function isOneLink(text: string): boolean {
  return /^\W*(https?:\/\/\S+|\[[^\]]*\]\(\S+\)\S?)$/.test(text.trim());
}
