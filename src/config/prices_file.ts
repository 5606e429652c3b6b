import { createHash } from "node:crypto";
import { z } from "zod";
import { type PriceList, withPrices } from "../pricing/price_list.ts";
import { ConfigProblems } from "./settings_reader.ts";

const MAX_MODEL_LENGTH = 256;
/** A hundred times the standard price: more is a slip. */
const MAX_FAST_PERCENT = 10_000;
const MAX_SHOWN_LENGTH = 120;

const name = z.string().regex(/^[\x21-\x7e]+$/).max(MAX_MODEL_LENGTH);
const usdPerMillion = decimalOf(6);
const usdPerUse = decimalOf(9);

const tier = z.strictObject({
  promptFrom: z.int().min(0).default(0),
  input: usdPerMillion,
  write5m: usdPerMillion,
  write1h: usdPerMillion,
  read: usdPerMillion,
  output: usdPerMillion,
});
const from = z.iso.date();
const pricePeriod = z.strictObject({
  from,
  // Required: without it, fast calls of a model that offers them would be priced as standard ones.
  fastPercent: z.int().min(1).max(MAX_FAST_PERCENT).nullable(),
  tiers: z.array(tier).min(1).refine((tiers) => tiers[0]?.promptFrom === 0 && isAscending(tiers.map((row) => row.promptFrom))),
});
const periods = z.array(pricePeriod).min(1).refine((rows) => isAscending(rows.map((row) => row.from)));
const toolPeriods = z.array(z.strictObject({ from, usdPerUse })).min(1).refine((rows) =>
  isAscending(rows.map((row) => row.from))
);
const categories = z.array(name.nullable());
const refusalPeriods = z.array(
  z.strictObject({ from, billed: categories, notBilled: z.union([categories, z.literal("others")]) }),
).refine((rows) => isAscending(rows.map((row) => row.from)));
const pricesFile = z.strictObject({
  models: z.record(name, periods).default({}),
  serverTools: z.record(name, toolPeriods).default({}),
  refusals: refusalPeriods.default([]),
});

const USD_PER_MILLION = 'US dollars per million tokens with at most six decimal places, such as "0.125"';
const PERIODS = "periods, at least one, in the order of their dates";
/** What follows "as" in `Cannot read x as …`, by the last name in the key's path. */
const EXPECTS: Readonly<Record<string, string>> = {
  "": 'an object with "models", "serverTools" and "refusals"',
  models: "an object of periods by model id",
  serverTools: 'an object of periods by counter, such as "web_search_requests"',
  refusals: "periods in the order of their dates",
  from: "a day such as 2026-10-07; the prices hold from its start in UTC",
  billed: 'categories such as "bio", or null for a refusal that names none',
  notBilled: 'categories such as "cyber" or null, or "others" for all that are not billed',
  fastPercent: `a whole number from 1 to ${MAX_FAST_PERCENT}, or null where fast is not offered`,
  tiers: "tiers, at least one, in the order of promptFrom, the first from 0 on",
  promptFrom: "a whole number of tokens",
  usdPerUse: 'US dollars a use with at most nine decimal places, such as "0.01"',
  input: USD_PER_MILLION,
  write5m: USD_PER_MILLION,
  write1h: USD_PER_MILLION,
  read: USD_PER_MILLION,
  output: USD_PER_MILLION,
};

/**
 * Puts the operators' own prices over `base`: models and server tools are added, and if `base` has
 * them, the file's prices hold from their first day on. The version is the base's and eight hex
 * digits of the text's SHA-256.
 *
 * A file with anything wrong in it is refused whole: throws `ConfigProblems` with one line for each
 * problem, which names the file, the key and what was expected.
 */
export function parsePriceList(text: string, { path, base }: { readonly path: string; readonly base: PriceList }): PriceList {
  const parsed = pricesFile.safeParse(jsonOf(text, path), { reportInput: true });
  if (!parsed.success) {
    throw new ConfigProblems([...new Set(parsed.error.issues.flatMap((issue) => problemsOf(issue, path)))]);
  }
  const version = `${base.version}+${createHash("sha256").update(text).digest("hex").slice(0, 8)}`;
  return withPrices(base, { version, ...parsed.data });
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

function problemsOf(issue: z.core.$ZodIssue, path: string): string[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => `Cannot use ${keyPath([...issue.path, key])} of ${path}: there is no such key`);
  }
  const key = keyPath(issue.path);
  const place = key === "" ? path : `${key} of ${path}`;
  if (issue.code === "invalid_key") {
    return [`Cannot read ${place} as a name of 1 to ${MAX_MODEL_LENGTH} visible ASCII characters`];
  }
  const said = issue.input === undefined ? "it is missing" : `current value is ${shown(issue.input)}`;
  return [`Cannot read ${place} as ${expectsOf(issue.path)}: ${said}`];
}

function expectsOf(path: readonly PropertyKey[]): string {
  const [room, , ...within] = path;
  if (room === "refusals" && path.length > 1) {
    return typeof within[0] === "string" ? EXPECTS[within[0]]! : "a period: an object with from, billed and notBilled";
  }
  // One level below "models" the key is a model's id, which may be any word.
  if (path.length === 2) return PERIODS;
  const last = within.at(-1);
  if (typeof last === "string") return EXPECTS[last]!;
  if (within.length === 0) return EXPECTS[String(room ?? "")]!;
  return within.length === 1 ? "a period: an object with from and its prices" : "a tier: an object of prices";
}

function keyPath(path: readonly PropertyKey[]): string {
  return path.map((key) => {
    if (typeof key === "string" && /^[A-Za-z]\w*$/.test(key)) return `.${key}`;
    return `[${typeof key === "string" ? JSON.stringify(key) : String(key)}]`;
  }).join("").replace(/^\./, "");
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "";
  return text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}…` : text;
}

/** Takes a JSON number by its shortest text, which for so few digits is how it was written. */
function decimalOf(places: number) {
  const decimal = new RegExp(`^\\d{1,6}(\\.\\d{1,${places}})?$`);
  return z.union([z.string(), z.number()]).transform(String).pipe(z.string().regex(decimal));
}

function isAscending(values: readonly (string | number)[]): boolean {
  return values.every((value, index) => index === 0 || values[index - 1]! < value);
}
