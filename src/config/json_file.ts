import type { z } from "zod";
import { ConfigProblems, LOOKS_SECRET } from "./settings_reader.ts";

const MAX_SHOWN_LENGTH = 120;

interface JsonFile<T> {
  readonly path: string;
  /** Its messages are what stands after "as" in `Cannot read x as …`. */
  readonly schema: z.ZodType<T>;
  /** Whether a problem may quote the value that it is about. */
  readonly shows: (key: string, value: unknown) => boolean;
}

/**
 * Reads a file that an operator wrote. One with anything wrong in it is refused whole: throws
 * `ConfigProblems` with one line for each problem, which names the file, the key and what was
 * expected.
 */
export function parseJsonFile<T>(text: string, { path, schema, shows }: JsonFile<T>): T {
  const parsed = schema.safeParse(jsonOf(text, path), { reportInput: true });
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.flatMap((issue) => problemsOf(issue, { path, shows }));
  throw new ConfigProblems([...new Set(problems)]);
}

/** V8 may quote the text in its message. The file may be the wrong one, so its text stays out. */
function jsonOf(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const place = error instanceof Error ? (/ at position \d+.*$/.exec(error.message)?.[0] ?? "") : "";
    throw new ConfigProblems([`Cannot read ${path} as JSON${place}`]);
  }
}

function problemsOf(issue: z.core.$ZodIssue, { path, shows }: Pick<JsonFile<unknown>, "path" | "shows">): string[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => `Cannot use ${keyPath([...issue.path, key])} of ${path}: there is no such key`);
  }
  const key = keyPath(issue.path);
  const place = key === "" ? path : `${key} of ${path}`;
  if (issue.code === "invalid_key") return [`Cannot read ${place} as ${issue.issues[0]!.message}`];
  const problem = `Cannot read ${place} as ${issue.message}`;
  if (issue.input === undefined) return [`${problem}: it is missing`];
  return [shows(key, issue.input) ? `${problem}: current value is ${shown(issue.input)}` : problem];
}

function keyPath(path: readonly PropertyKey[]): string {
  return path.map((key) => {
    if (typeof key === "string" && LOOKS_SECRET.test(key)) return "[not shown, since it looks like a secret]";
    if (typeof key === "string" && /^[A-Za-z]\w*$/.test(key)) return `.${key}`;
    return `[${typeof key === "string" ? JSON.stringify(key) : String(key)}]`;
  }).join("").replace(/^\./, "");
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "";
  return text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}…` : text;
}
