import type { Billing } from "../domain/price.ts";
import { FROM_THE_FIRST, type PriceList, type PricePeriod, type PriceTier, type RefusalPeriod } from "../pricing/price_list.ts";
import { CLAUDE_API } from "../providers/anthropic/billing.ts";
import { BILLINGS } from "../providers/billings.ts";
import { readPrices } from "../config/config.ts";
import { type CliSystem, CommandFailure } from "./system.ts";
import { type Screen, tableOf } from "./table.ts";

/** `llmproxy prices [model]`: the prices that the settings put in force. Asks no proxy. */
export function pricesCommand(
  system: CliSystem,
  model: string | undefined,
  { json }: { readonly json?: true },
): void {
  const list = readPrices(system.source);
  const models = model === undefined ? list.models : modelsFor(list, model);
  if (model !== undefined && Object.keys(models).length === 0) throw new CommandFailure(whyUnpriced(model));
  const sellers = Object.fromEntries([...BILLINGS].map(([seller, { factors }]) => [seller, factors]));
  const shown = { ...list, models, factors: CLAUDE_API.factors, sellers };
  system.stdout(json ? `${JSON.stringify(shown)}\n` : textOf({ ...list, models }, system.screen()));
}

/** The prices of a model's calls: its own, and those of its other names for the time before. */
function modelsFor(list: PriceList, model: string): PriceList["models"] {
  const names = namesOf(model).filter((name) => Object.hasOwn(list.models, name));
  return Object.fromEntries(names.map((name) => [name, list.models[name]!]));
}

/** What the sellers may mean by it, the name itself first. */
function namesOf(model: string): readonly string[] {
  return [...new Set([model, ...[...BILLINGS.values()].flatMap((billing) => billing.namesOf(model))])];
}

function whyUnpriced(model: string): string {
  const tier = { input: "3", write5m: "3.75", write1h: "6", read: "0.30", output: "15" };
  const name = namesOf(model).reduce((one, other) => other.length < one.length ? other : one);
  const example = { models: { [name]: [{ from: "2026-01-01", fastPercent: null, tiers: [tier] }] } };
  return `There is no price for ${
    JSON.stringify(model)
  }: its calls are unpriced, not free. To add one, put it into the JSON file ` +
    `that LLMPROXY_PRICES_FILE names, in US dollars per million tokens, such as\n\n  ${JSON.stringify(example)}\n\n` +
    `send SIGHUP to the proxy, and price earlier calls with: llmproxy reprice --since 30d`;
}

function textOf({ version, models, serverTools, sellerTools, refusals }: PriceList, screen: Screen | null): string {
  const makers = Map.groupBy(Object.entries(models), ([name]) => name.replace(/[-.].*$/, ""));
  const tables = [...makers.values()].map((listed) => modelTable(listed, screen));
  const tools = Object.entries({ anthropic: serverTools, ...sellerTools }).flatMap(([seller, prices]) =>
    Object.entries(prices).flatMap(([name, periods]) =>
      periods.map(({ from, until, usdPerUse }) => [name, seller, fromText(from), until ?? "-", usdPerUse])
    )
  );
  const refused = [["REFUSALS BEFORE ANY OUTPUT", "BILLED", "NOT BILLED"], ...refusals.map(refusalRow)];
  return `Prices ${version}, US dollars per million tokens\n\n${tables.join("\n")}\n` +
    "All tokens, by seller; the factors multiply\n\n" +
    tableOf([["SELLER", "FACTORS"], ...[...BILLINGS].map(([seller, billing]) => [seller, factorsText(billing)])], {
      screen,
    }) +
    "\n" +
    tableOf([["SERVER TOOL", "SELLER", "FROM", "ENDS", "USD A USE"], ...tools], { numbers: ["USD A USE"], screen }) +
    "\n" + tableOf(refused, { screen });
}

const SINCE = "; x 1 for models before Sonnet 4.5";

function factorsText({ factors: { geoPercent, otherGeoPercent, batchPercent }, isSameEverywhere }: Billing): string {
  const dearer = Object.entries(geoPercent).filter(([, percent]) => percent !== 100).map(([geo]) => geo);
  const most = Math.max(...Object.values(geoPercent), otherGeoPercent ?? 0) / 100;
  const places = typeof otherGeoPercent === "number" ? [`any place but ${Object.keys(geoPercent).join(", ")}`] : dearer;
  const texts = [
    ...(batchPercent === undefined ? [] : [`x ${batchPercent / 100} in a batch`]),
    ...(places.length === 0 ? [] : [`x ${most} in ${places.join(", ")}${isSameEverywhere ? SINCE : ""}`]),
  ];
  return texts.join(", ") || "-";
}

function refusalRow({ from, billed, notBilled }: RefusalPeriod): string[] {
  const names = (categories: RefusalPeriod["notBilled"]) =>
    categories === "others" ? "all others" : categories.map((category) => category ?? "(no category)").join(", ") || "-";
  return [`from ${fromText(from)}`, names(billed), names(notBilled)];
}

/** A line of the table: a size of prompt of a period. */
interface Line {
  readonly name: string;
  readonly period: PricePeriod;
  readonly tier: PriceTier;
  readonly isFirstOfPeriod: boolean;
}

interface LineColumn {
  readonly title: string;
  readonly isNumber?: true;
  /** The column is there if a line has a value. */
  readonly isOptional?: true;
  readonly of: (line: Line) => string | undefined;
}

const COLUMNS: readonly LineColumn[] = [
  { title: "MODEL", of: ofPeriod(({ name }) => name) },
  { title: "FROM", of: ofPeriod(({ period }) => fromText(period.from)) },
  { title: "ENDS", isOptional: true, of: ofPeriod(({ period }) => period.until) },
  { title: "PROMPT FROM", isNumber: true, of: ({ tier }) => String(tier.promptFrom) },
  { title: "INPUT", isNumber: true, of: ({ tier }) => tier.input },
  { title: "WRITE 5M", isNumber: true, isOptional: true, of: ({ tier }) => tier.write5m },
  { title: "WRITE 1H", isNumber: true, isOptional: true, of: ({ tier }) => tier.write1h },
  { title: "WRITE 30M", isNumber: true, isOptional: true, of: ({ tier }) => tier.write30m },
  { title: "WRITE 12H", isNumber: true, isOptional: true, of: ({ tier }) => tier.write12h },
  { title: "READ", isNumber: true, isOptional: true, of: ({ tier }) => tier.read },
  { title: "OUTPUT", isNumber: true, of: ({ tier }) => tier.output },
  { title: "AUDIO INPUT", isNumber: true, isOptional: true, of: ({ tier }) => tier.audioInput },
  { title: "AUDIO OUTPUT", isNumber: true, isOptional: true, of: ({ tier }) => tier.audioOutput },
  { title: "AUDIO READ", isNumber: true, isOptional: true, of: ({ tier }) => tier.cachedAudio },
  { title: "SERVICE TIERS", isOptional: true, of: ({ tier }) => serviceTiersText(tier.serviceTierPercent) },
  {
    title: "FAST",
    isNumber: true,
    isOptional: true,
    of: ofPeriod(({ period: { fastPercent } }) => fastPercent === null ? undefined : `x ${fastPercent / 100}`),
  },
];

/** Of the models of one maker. */
function modelTable(listed: readonly (readonly [string, readonly PricePeriod[]])[], screen: Screen | null): string {
  const lines = listed.flatMap(([name, periods]) =>
    periods.flatMap((period) => period.tiers.map((tier, n): Line => ({ name, period, tier, isFirstOfPeriod: n === 0 })))
  );
  const columns = COLUMNS.filter(({ isOptional, of }) => isOptional === undefined || lines.some((line) => of(line)));
  const numbers = columns.filter(({ isNumber }) => isNumber).map(({ title }) => title);
  return tableOf([columns.map(({ title }) => title), ...lines.map((line) => columns.map(({ of }) => of(line) ?? "-"))], {
    numbers,
    screen,
  });
}

/** Values of the whole period stand only in its first line. */
function ofPeriod(of: LineColumn["of"]): LineColumn["of"] {
  return (line) => line.isFirstOfPeriod ? of(line) : "";
}

function serviceTiersText(percents: PriceTier["serviceTierPercent"] = {}): string | undefined {
  return Object.entries(percents).map(([tier, percent]) => `${tier} x ${percent / 100}`).join(", ") || undefined;
}

function fromText(from: string): string {
  return from === FROM_THE_FIRST ? "the first" : from;
}
