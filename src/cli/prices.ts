import { baseModel, type PriceList, type PricePeriod, type RefusalPeriod } from "../pricing/price_list.ts";
import { anthropic } from "../providers/anthropic/anthropic.ts";
import { columns } from "./columns.ts";
import { readPrices } from "../config/config.ts";
import { type CliSystem, CommandFailure, configSourceOf } from "./system.ts";

export interface PricesOptions {
  /** As a row names it; null: all models. */
  readonly model: string | null;
  readonly json: boolean;
}

/** Of the built-in list: it holds for every call before as well. */
const FROM_THE_FIRST = "1970-01-01";

/** `llmproxy prices [model]`: the list that the settings put in force, the operators' own file included. Asks no proxy. */
export function pricesCommand(system: CliSystem, { model, json }: PricesOptions): void {
  const list = readPrices(configSourceOf(system));
  const models = model === null ? list.models : modelsFor(list, model);
  if (model !== null && Object.keys(models).length === 0) throw new CommandFailure(whyUnpriced(model));
  const shown = { ...list, models, factors: anthropic.billing.factors };
  system.stdout(json ? `${JSON.stringify(shown)}\n` : textOf(shown));
}

/** Those of the list that price calls of a model: its own, and its base model's for the time before. */
function modelsFor(list: PriceList, model: string): PriceList["models"] {
  const names = [...new Set([model, baseModel(model)])].filter((name) => Object.hasOwn(list.models, name));
  return Object.fromEntries(names.map((name) => [name, list.models[name]!]));
}

function whyUnpriced(model: string): string {
  const tier = { input: "3", write5m: "3.75", write1h: "6", read: "0.30", output: "15" };
  const example = { models: { [baseModel(model)]: [{ from: "2026-01-01", fastPercent: null, tiers: [tier] }] } };
  return `There is no price for ${
    JSON.stringify(model)
  }: its calls are unpriced, not free. To add one, put it into the JSON file ` +
    `that LLMPROXY_PRICES_FILE names, in US dollars per million tokens, such as\n\n  ${JSON.stringify(example)}\n\n` +
    `send SIGHUP to the proxy, and give the calls so far their price with: llmproxy reprice --since 30d`;
}

function textOf(
  { version, models, serverTools, refusals, factors }: PriceList & { readonly factors: typeof anthropic.billing.factors },
): string {
  const rows = Object.entries(models).flatMap(([name, periods]) => periods.flatMap((period) => tierRows(name, period)));
  const table = columns([["MODEL", "FROM", "PROMPT FROM", "INPUT", "WRITE 5M", "WRITE 1H", "READ", "OUTPUT", "FAST"], ...rows]);
  const tools = Object.entries(serverTools).flatMap(([name, periods]) =>
    periods.map(({ from, usdPerUse }) => [name, fromText(from), usdPerUse])
  );
  const geos = Object.entries(factors.geoPercent).map(([geo, percent]) => `x ${percent / 100} for inference_geo "${geo}"`);
  return `Prices ${version}, US dollars per million tokens\n\n${table}\n` +
    `All tokens: x ${factors.batchPercent / 100} in a batch, ${geos.join(", ")}; the factors multiply.\n\n` +
    columns([["SERVER TOOL", "FROM", "USD A USE"], ...tools]) + "\n" +
    columns([["REFUSALS BEFORE ANY OUTPUT", "BILLED", "NOT BILLED"], ...refusals.map(refusalRow)]);
}

function refusalRow({ from, billed, notBilled }: RefusalPeriod): string[] {
  const names = (categories: RefusalPeriod["notBilled"]) =>
    categories === "others" ? "all others" : categories.map((category) => category ?? "(no category)").join(", ") || "-";
  return [`from ${fromText(from)}`, names(billed), names(notBilled)];
}

/** What holds for the whole period stands in its first line only. */
function tierRows(name: string, { from, fastPercent, tiers }: PricePeriod): string[][] {
  return tiers.map(({ promptFrom, input, write5m, write1h, read, output }, n) => {
    const fast = fastPercent === null ? "-" : `x ${fastPercent / 100}`;
    const [head, tail] = n === 0 ? [[name, fromText(from)], [fast]] : [["", ""], [""]];
    return [...head, String(promptFrom), input, write5m, write1h, read, output, ...tail];
  });
}

function fromText(from: string): string {
  return from === FROM_THE_FIRST ? "the first" : from;
}
