import { baseModel, type PriceList, type PricePeriod, type RefusalPeriod } from "../pricing/price_list.ts";
import { CLAUDE_API } from "../providers/anthropic/billing.ts";
import { readPrices } from "../config/config.ts";
import { type CliSystem, CommandFailure } from "./system.ts";
import { type Screen, tableOf } from "./table.ts";

/** Of the built-in list: its first prices hold for all earlier calls too. */
const FROM_THE_FIRST = "1970-01-01";

/** `llmproxy prices [model]`: the prices that the settings put in force. Asks no proxy. */
export function pricesCommand(
  system: CliSystem,
  model: string | undefined,
  { json }: { readonly json?: true },
): void {
  const list = readPrices(system.source);
  const models = model === undefined ? list.models : modelsFor(list, model);
  if (model !== undefined && Object.keys(models).length === 0) throw new CommandFailure(whyUnpriced(model));
  const shown = { ...list, models, factors: CLAUDE_API.factors };
  system.stdout(json ? `${JSON.stringify(shown)}\n` : textOf(shown, system.screen()));
}

/** The prices of a model's calls: its own, and its base model's for the time before. */
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
    `send SIGHUP to the proxy, and price earlier calls with: llmproxy reprice --since 30d`;
}

function textOf(
  { version, models, serverTools, refusals, factors }: PriceList & { readonly factors: typeof CLAUDE_API.factors },
  screen: Screen | null,
): string {
  const rows = Object.entries(models).flatMap(([name, periods]) => periods.flatMap((period) => tierRows(name, period)));
  const table = tableOf([["MODEL", "FROM", "PROMPT FROM", "INPUT", "WRITE 5M", "WRITE 1H", "READ", "OUTPUT", "FAST"], ...rows], {
    numbers: ["PROMPT FROM", "INPUT", "WRITE 5M", "WRITE 1H", "READ", "OUTPUT", "FAST"],
    screen,
  });
  const tools = Object.entries(serverTools).flatMap(([name, periods]) =>
    periods.map(({ from, usdPerUse }) => [name, fromText(from), usdPerUse])
  );
  const geos = Object.entries(factors.geoPercent).map(([geo, percent]) => `x ${percent / 100} for inference_geo "${geo}"`);
  return `Prices ${version}, US dollars per million tokens\n\n${table}\n` +
    `All tokens: x ${factors.batchPercent / 100} in a batch, ${geos.join(", ")}; the factors multiply.\n\n` +
    tableOf([["SERVER TOOL", "FROM", "USD A USE"], ...tools], { numbers: ["USD A USE"], screen }) + "\n" +
    tableOf([["REFUSALS BEFORE ANY OUTPUT", "BILLED", "NOT BILLED"], ...refusals.map(refusalRow)], { screen });
}

function refusalRow({ from, billed, notBilled }: RefusalPeriod): string[] {
  const names = (categories: RefusalPeriod["notBilled"]) =>
    categories === "others" ? "all others" : categories.map((category) => category ?? "(no category)").join(", ") || "-";
  return [`from ${fromText(from)}`, names(billed), names(notBilled)];
}

/** Values of the whole period stand only in its first line. */
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
