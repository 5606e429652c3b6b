/** Reads README.md and the pages of docs/: their blocks, commands, shown answers and links. */

const ROOT = new URL("../", import.meta.url);

/** What operators and users read. */
export const PAGES: readonly string[] = [
  "README.md",
  ...[...Deno.readDirSync(new URL("docs", ROOT))].filter(({ name }) => name.endsWith(".md")).map(({ name }) => `docs/${name}`)
    .sort(),
];

export interface Block {
  readonly language: string;
  readonly text: string;
}

export interface Command {
  readonly line: string;
  /** What the page shows in comments below the command, or null. */
  readonly answer: unknown;
}

export interface Link {
  /** The page without the anchor, relative to the root. */
  readonly path: string;
  readonly anchor: string;
}

export function readPage(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

/** The fenced blocks of a page. */
export function blocksOf(text: string): readonly Block[] {
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language, inner]) => ({ language: language!, text: inner! }));
}

/** The page without its fenced blocks. */
export function proseOf(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, "");
}

/**
 * The commands of a shell block. A line that ends in `\`, `||` or `&&` goes on in the next one.
 * A comment that begins with `# {` is the shown answer to the command above. It ends with its JSON.
 */
export function commandsOf(block: Block): readonly Command[] {
  const commands: { line: string; answer: unknown }[] = [];
  let [command, answer] = ["", ""];
  for (const line of block.text.trimEnd().split("\n")) {
    if (answer !== "" || /^# \{/.test(line)) {
      answer += line.replace(/^#\s*/, "");
      if (!isJson(answer)) continue;
      commands.at(-1)!.answer = JSON.parse(answer);
      answer = "";
    } else if (line !== "" && (command !== "" || !line.startsWith("#"))) {
      command += `${line}\n`;
      if (/(\\|\|\||&&)$/.test(line)) continue;
      commands.push({ line: command.trimEnd(), answer: null });
      command = "";
    }
  }
  if (command !== "" || answer !== "") throw new Error(`A block ends in the middle of a command or an answer:\n${block.text}`);
  return commands;
}

/** The anchors that a page's headings have on GitHub. */
export function anchorsOf(text: string): readonly string[] {
  return [...proseOf(text).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(" ", "-")
  );
}

/** The links of a page to documents of this repository. */
export function linksOf(page: string, text: string): readonly Link[] {
  const targets = [...proseOf(text).matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g)].map((match) => match[1]!);
  return targets.map((target) => {
    const { pathname, hash } = new URL(target, `file:///${page}`);
    return { path: pathname.slice(1), anchor: hash.slice(1) };
  });
}

/** The rows of the table whose first heading is this one: cells without the blanks around them. */
export function tableOf(text: string, firstHeading: string): readonly (readonly string[])[] {
  const lines = text.split("\n");
  const start = lines.findIndex((line) => line.startsWith(`| ${firstHeading} `));
  if (start < 0) throw new Error(`There is no table that begins with ${firstHeading}`);
  const after = lines.slice(start + 2);
  const rows = after.slice(0, after.findIndex((line) => !line.startsWith("|")));
  return rows.map((row) => row.split("|").slice(1, -1).map((cell) => cell.trim()));
}

/** Values that a page shows as they are; all others may be different each time. */
const STEADY = ["fault", "outcome", "accuracy", "model", "client", "source", "kind", "provider", "type", "message", "status"];

/**
 * Where the real answer differs from the shown one in shape, or null. `"…"` stands for any value,
 * and the key `…` for keys that are left out. Each shown entry of a list must match a real one.
 */
export function differenceOf(shown: unknown, real: unknown, at = "answer"): string | null {
  if (shown === "…") return null;
  if (Array.isArray(shown)) {
    if (!Array.isArray(real)) return `${at} is no list`;
    for (const entry of shown) {
      const differences = real.map((candidate) => differenceOf(entry, candidate, `${at}[]`));
      if (!differences.includes(null)) return differences[0] ?? `${at} is empty`;
    }
    return null;
  }
  if (typeof shown !== "object" || shown === null) {
    const key = at.slice(at.lastIndexOf(".") + 1);
    const isSteady = STEADY.includes(key);
    return typeof shown !== typeof real || (isSteady && shown !== real) ? `${at} is ${JSON.stringify(real)}` : null;
  }
  if (typeof real !== "object" || real === null) return `${at} is no object`;
  const keys = Object.keys(shown).filter((key) => key !== "…");
  const unshown = "…" in shown ? [] : Object.keys(real).filter((key) => !keys.includes(key));
  if (unshown.length > 0) return `${at} also has ${unshown}`;
  for (const key of keys) {
    if (!(key in real)) return `${at} has no ${key}`;
    const difference = differenceOf(shown[key as keyof typeof shown], real[key as keyof typeof real], `${at}.${key}`);
    if (difference !== null) return difference;
  }
  return null;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
