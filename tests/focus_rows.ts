/** Reads FOCUS files by the specification, and knows nothing of how they were written. */
import { readCsv } from "./exported_rows.ts";

export interface SpecifiedColumn {
  readonly name: string;
  readonly type: "String" | "JSON" | "Decimal" | "Date/Time";
  readonly level: "mandatory" | "conditional" | "recommended";
  readonly allowsNull: boolean;
  readonly allowed?: readonly string[];
}

/** A cell is empty if it is null. */
export type FocusLine = Readonly<Record<string, string>>;

const ATTO_PLACES = 18;
const SPECIFICATION = new URL("fixtures/focus/cost_and_usage_1.4.json", import.meta.url);

/** The columns of the dataset Cost and Usage in FOCUS 1.4. */
export function focusSpecification(): readonly SpecifiedColumn[] {
  return JSON.parse(Deno.readTextFileSync(SPECIFICATION)).columns;
}

export function focusLines(csv: string): readonly FocusLine[] {
  const [header, ...lines] = readCsv(csv);
  return lines.map((cells) => Object.fromEntries(header!.map((name, n) => [name, cells[n]!])));
}

/** Whole nano-dollars of a decimal of dollars; throws if it is not so many. */
export function nanoDollarsOfDecimal(decimal: string): bigint {
  const [, whole, fraction = ""] = /^(\d+)(?:\.(\d{1,9}))?$/.exec(decimal) ?? [];
  if (whole === undefined) throw new Error(`${decimal} is not a whole number of nano-dollars`);
  return BigInt(whole + fraction.padEnd(9, "0"));
}

const FORMATS: Readonly<Record<SpecifiedColumn["type"], (cell: string) => boolean>> = {
  String: (cell) => cell.trim() !== "",
  // Key-Value Format: an object without arrays and objects in it.
  JSON: (cell) => Object.values(JSON.parse(cell)).every((value) => value === null || typeof value !== "object"),
  // Numeric Format: no sign before a positive value, no exponent, no comma.
  Decimal: (cell) => /^-?\d+(\.\d+)?$/.test(cell),
  // Date/Time Format: ISO 8601 in UTC.
  "Date/Time": (cell) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(cell),
};

/** Rules that bind the cells of one line to each other, by the column that has the rule. */
const RULES: Readonly<Record<string, (line: FocusLine) => boolean>> = {
  BilledCost: (line) => line.BilledCost === line.EffectiveCost,
  BillingCurrency: (line) => /^[A-Z]{3}$/.test(line.BillingCurrency!),
  BillingPeriodStart: (line) => line.BillingPeriodStart! <= line.ChargePeriodStart!,
  BillingPeriodEnd: (line) => line.ChargePeriodEnd! <= line.BillingPeriodEnd!,
  ChargePeriodStart: (line) => line.ChargePeriodStart! < line.ChargePeriodEnd!,
  ChargeFrequency: (line) => line.ChargeFrequency === "Usage-Based" && line.ChargeCategory === "Usage",
  ConsumedUnit: (line) => (line.ConsumedUnit === "") === (line.ConsumedQuantity === ""),
  ContractedCost: (line) => line.ContractedCost === line.ListCost,
  ListCost: (line) =>
    attoOf(line.ListCost!) * 10n ** BigInt(ATTO_PLACES) === attoOf(line.ListUnitPrice!) * attoOf(line.PricingQuantity!),
  ListUnitPrice: (line) => !line.ListUnitPrice!.startsWith("-"),
  PricingUnit: (line) => /^([1-9]\d* )?[A-Z][a-z]+s$/.test(line.PricingUnit!),
  RegionName: (line) => (line.RegionName === "") === (line.RegionId === ""),
  ServiceSubcategory: (line) => line.ServiceCategory === "AI and Machine Learning",
  SkuMeter: (line) => line.SkuMeter !== "",
};

/** Of a usage charge that corrects nothing, these may not be null. */
const NEEDED_BY_USAGE = [
  ...["SkuId", "SkuPriceId", "ListUnitPrice", "PricingQuantity", "PricingUnit", "PricingCategory"],
  ...["ConsumedQuantity", "ConsumedUnit"],
];

/** What breaks the specification; empty if all is well. */
export function problemsOf(lines: readonly FocusLine[], columns: readonly SpecifiedColumn[]): readonly string[] {
  const problems: string[] = [];
  const parents = new Map<string, string>();
  const prices = new Map<string, string>();
  lines.forEach((line, n) => {
    const report = (what: string) => problems.push(`line ${n}: ${what}`);
    for (const { name, type, allowsNull, allowed } of columns) {
      const cell = line[name];
      if (cell === undefined) continue;
      if (cell === "" && (!allowsNull || NEEDED_BY_USAGE.includes(name))) report(`${name} is null`);
      if (cell === "") continue;
      if (!FORMATS[type](cell)) report(`${name} is not of the type ${type}: ${cell}`);
      if (allowed !== undefined && !allowed.includes(cell)) report(`${name} is not an allowed value: ${cell}`);
    }
    for (const [name, holds] of Object.entries(RULES)) if (!holds(line)) report(`${name} breaks its rule: ${line[name]}`);
    const parent = parents.get(line.SkuPriceId!) ?? line.SkuId!;
    if (parent !== line.SkuId) report(`${line.SkuPriceId} has two parents, ${parent} and ${line.SkuId}`);
    parents.set(line.SkuPriceId!, parent);
    const inHour = `${line.SkuPriceId} ${line.ChargePeriodStart}`;
    const price = prices.get(inHour) ?? line.ListUnitPrice!;
    if (price !== line.ListUnitPrice) report(`${line.SkuPriceId} has two prices, ${price} and ${line.ListUnitPrice}`);
    prices.set(inHour, price);
  });
  return problems;
}

function attoOf(decimal: string): bigint {
  const [whole, fraction = ""] = decimal.split(".");
  return BigInt(whole! + fraction.padEnd(ATTO_PLACES, "0"));
}
