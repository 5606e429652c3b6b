import { createHash } from "node:crypto";
import { z } from "zod";
import { SERVICE_TIERS } from "../domain/price.ts";
import { type PriceList, withPrices } from "../pricing/price_list.ts";
import { parseJsonFile } from "./json_file.ts";

const MAX_NAME_LENGTH = 256;
/** A hundred times the standard price: more is a slip. */
const MAX_PERCENT = 10_000;

/** Each schema's message is what stands after "as" in `Cannot read x as …`. */
const DAY = "a day such as 2026-10-07; the prices hold from its start in UTC";
const UNTIL = "a day such as 2026-11-22; the prices end at its start in UTC";
const FAST = `a whole number from 1 to ${MAX_PERCENT}, or null where fast is not offered`;
const PERCENT = `percent of the prices, a whole number from 1 to ${MAX_PERCENT}`;
const TOKENS = "a whole number of tokens";
const TIERS = "tiers, at least one, in the order of promptFrom, the first from 0 on";
const PERIODS = "periods, at least one, in the order of their dates";
const ENDS = "periods that end behind their first day, and no later than the next begins";
const REFUSALS = "periods in the order of their dates";
const BILLED = 'categories such as "bio", or null for a refusal that names none';
const NOT_BILLED = 'categories such as "cyber" or null, or "others" for all that are not billed';

const usdPerMillion = decimalOf(6, 'US dollars per million tokens with at most six decimal places, such as "0.125"');
const usdPerUse = decimalOf(9, 'US dollars a use with at most nine decimal places, such as "0.01"');
const from = z.iso.date(DAY);
const dated = { from, until: z.iso.date({ error: UNTIL, abort: true }).exactOptional() };
const percent = z.int(PERCENT).min(1, PERCENT).max(MAX_PERCENT, PERCENT);
const tier = z.strictObject({
  promptFrom: z.int(TOKENS).min(0, TOKENS).default(0),
  input: usdPerMillion,
  write5m: usdPerMillion.exactOptional(),
  write1h: usdPerMillion.exactOptional(),
  write30m: usdPerMillion.exactOptional(),
  write12h: usdPerMillion.exactOptional(),
  read: usdPerMillion.exactOptional(),
  output: usdPerMillion,
  audioInput: usdPerMillion.exactOptional(),
  audioOutput: usdPerMillion.exactOptional(),
  cachedAudio: usdPerMillion.exactOptional(),
  serviceTierPercent: z.partialRecord(
    z.enum(SERVICE_TIERS),
    percent,
    'an object of percents by service tier, such as {"priority": 200}',
  ).exactOptional(),
}, "a tier: an object of prices");
const period = z.strictObject({
  ...dated,
  // Required: without it, fast calls of a model that offers them would be priced as standard ones.
  fastPercent: z.int(FAST).min(1, FAST).max(MAX_PERCENT, FAST).nullable(),
  tiers: z.array(tier, TIERS).min(1, TIERS)
    .refine((tiers) => tiers[0]?.promptFrom === 0 && isAscending(tiers.map((row) => row.promptFrom)), TIERS),
}, "a period: an object with from and its prices");
const toolPeriod = z.strictObject({ ...dated, usdPerUse }, "a period: an object with from and its prices");
const categories = z.array(nameOf(BILLED).nullable(), BILLED);
const refusalPeriod = z.strictObject(
  { from, billed: categories, notBilled: z.union([categories, z.literal("others")], NOT_BILLED) },
  "a period: an object with from, billed and notBilled",
);
const name = nameOf(`a name of 1 to ${MAX_NAME_LENGTH} visible ASCII characters`);
const tools = z.record(name, periodsOf(toolPeriod), 'an object of periods by counter, such as "web_search_requests"');
const pricesFile = z.strictObject({
  models: z.record(name, periodsOf(period), "an object of periods by model id").default({}),
  serverTools: tools.default({}),
  sellerTools: z.record(name, tools, 'an object of counters by seller, such as "openai"').default({}),
  refusals: z.array(refusalPeriod, REFUSALS).refine((rows) => isAscending(rows.map((row) => row.from)), REFUSALS).default([]),
}, 'an object with "models", "serverTools", "sellerTools" and "refusals"');

/**
 * Puts the operators' own prices over `base`: models and tools are added, and if `base` has them,
 * the file's prices hold from their first day on. The version is the base's and eight hex
 * digits of the text's SHA-256.
 *
 * A file with anything wrong in it is refused whole: throws `ConfigProblems` with one line for each
 * problem, which names the file, the key and what was expected.
 */
export function parsePriceList(text: string, { path, base }: { readonly path: string; readonly base: PriceList }): PriceList {
  const prices = parseJsonFile(text, { path, schema: pricesFile, shows: () => true });
  const version = `${base.version}+${createHash("sha256").update(text).digest("hex").slice(0, 8)}`;
  return withPrices(base, { version, ...prices });
}

function nameOf(expects: string) {
  return z.string(expects).regex(/^[\x21-\x7e]+$/, expects).max(MAX_NAME_LENGTH, expects);
}

/** Takes a JSON number by its shortest text, which for so few digits is how it was written. */
function decimalOf(places: number, expects: string) {
  const decimal = new RegExp(`^\\d{1,6}(\\.\\d{1,${places}})?$`);
  return z.union([z.string(), z.number()], expects).transform(String).pipe(z.string().regex(decimal, expects));
}

function periodsOf<T extends { readonly from: string; readonly until?: string }>(row: z.ZodType<T>) {
  const endsInTime = ({ from, until = LAST_DAY }: T, next: T | undefined) => from < until && until <= (next?.from ?? LAST_DAY);
  return z.array(row, PERIODS).min(1, PERIODS)
    .refine((rows) => isAscending(rows.map((each) => each.from)), PERIODS)
    .refine((rows) => rows.every((each, n) => each.until === undefined || endsInTime(each, rows[n + 1])), ENDS);
}

const LAST_DAY = "9999-12-31";

function isAscending(values: readonly (string | number)[]): boolean {
  return values.every((value, index) => index === 0 || values[index - 1]! < value);
}
