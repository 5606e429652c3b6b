import type { FocusCharge } from "./charges.ts";
import { ATTO_PER_NANO, type Thing } from "./parts.ts";

/** A decimal is in atto: 10^-18. */
export interface FocusColumn {
  readonly name: string;
  readonly kind: "text" | "time" | "decimal";
  readonly isNullable: boolean;
  readonly valueOf: (charge: FocusCharge) => string | number | bigint | null;
}

/** "1", as a decimal in atto. */
const ONE = 10n ** 18n;
const HOUR_MS = 3_600_000;
/** As price lists print it. */
const TOKENS_PRICED = 1_000_000n;
/** Rows that were recorded before rows named their credential. */
const UNKNOWN_ACCOUNT = "unknown";

interface Meter {
  /** The end of a SKU's id. */
  readonly id: string;
  readonly words: string;
  readonly unit: "Tokens" | "Requests";
}

const METERS: Readonly<Record<Exclude<Thing["kind"], "tool">, Meter>> = {
  input: { id: "input", words: "Input Tokens", unit: "Tokens" },
  write5m: { id: "cache-write-5m", words: "Cache Write Input Tokens (5 Minutes)", unit: "Tokens" },
  write1h: { id: "cache-write-1h", words: "Cache Write Input Tokens (1 Hour)", unit: "Tokens" },
  write30m: { id: "cache-write-30m", words: "Cache Write Input Tokens (30 Minutes)", unit: "Tokens" },
  write12h: { id: "cache-write-12h", words: "Cache Write Input Tokens (12 Hours)", unit: "Tokens" },
  read: { id: "cache-read", words: "Cache Read Input Tokens", unit: "Tokens" },
  output: { id: "output", words: "Output Tokens", unit: "Tokens" },
  audioInput: { id: "audio-input", words: "Audio Input Tokens", unit: "Tokens" },
  audioOutput: { id: "audio-output", words: "Audio Output Tokens", unit: "Tokens" },
  cachedAudio: { id: "audio-cache-read", words: "Cache Read Audio Input Tokens", unit: "Tokens" },
  "all-tokens": { id: "all-tokens", words: "Tokens", unit: "Tokens" },
  "unknown-usage": { id: "unknown-usage", words: "Requests of Unknown Usage", unit: "Requests" },
};

/**
 * The columns of a Cost and Usage dataset of FOCUS 1.4 that a charge has, in the order of the
 * specification (https://focus.finops.org/focus-specification/v1-4/). The one with `x_` is ours.
 */
export const FOCUS_COLUMNS: readonly FocusColumn[] = [
  decimal("BilledCost", billedCost),
  text("BillingAccountId", ({ credentialId }) => credentialId ?? UNKNOWN_ACCOUNT),
  nullable(text("BillingAccountName", () => null)),
  text("BillingCurrency", () => "USD"),
  time("BillingPeriodEnd", ({ hour }) => monthOf(hour, 1)),
  time("BillingPeriodStart", ({ hour }) => monthOf(hour, 0)),
  text("ChargeCategory", () => "Usage"),
  nullable(text("ChargeClass", () => null)),
  nullable(text("ChargeDescription", descriptionOf)),
  text("ChargeFrequency", () => "Usage-Based"),
  time("ChargePeriodEnd", ({ hour }) => hour + HOUR_MS),
  time("ChargePeriodStart", ({ hour }) => hour),
  nullable(decimal("ConsumedQuantity", ({ quantity }) => quantity * ONE)),
  nullable(text("ConsumedUnit", ({ thing }) => meterOf(thing).unit)),
  decimal("ContractedCost", listCost),
  decimal("EffectiveCost", billedCost),
  text("HostProviderName", ({ seller }) => seller.name),
  text("InvoiceIssuerName", ({ seller }) => seller.name),
  decimal("ListCost", listCost),
  nullable(decimal("ListUnitPrice", (charge) => pricingOf(charge).unitPrice)),
  nullable(text("PricingCategory", ({ accuracy }) => isPriced(accuracy) ? "Standard" : "Other")),
  nullable(decimal("PricingQuantity", (charge) => pricingOf(charge).quantity)),
  nullable(text("PricingUnit", (charge) => pricingOf(charge).unit)),
  nullable(text("RegionId", ({ place }) => place)),
  nullable(text("RegionName", ({ place }) => place)),
  nullable(text("ResourceId", ({ workspaceId, sandboxId }) => `${workspaceId}/${sandboxId}`)),
  nullable(text("ResourceName", ({ sandboxId }) => sandboxId)),
  nullable(text("ResourceType", () => "Sandbox")),
  text("ServiceCategory", () => "AI and Machine Learning"),
  text("ServiceName", ({ seller }) => seller.service),
  text("ServiceProviderName", ({ seller }) => seller.name),
  text("ServiceSubcategory", () => "Generative AI"),
  nullable(text("SkuId", ({ thing }) => skuOf(thing))),
  nullable(text("SkuMeter", ({ thing }) => meterOf(thing).words)),
  nullable(text("SkuPriceDetails", priceDetailsOf)),
  nullable(text("SkuPriceId", ({ thing }) => [skuOf(thing), ...thing.terms].join("/"))),
  nullable(text("SubAccountId", ({ workspaceId }) => workspaceId)),
  nullable(text("SubAccountName", ({ workspaceId }) => workspaceId)),
  nullable(text("Tags", tagsOf)),
  text("x_Accuracy", ({ accuracy }) => accuracy),
];

function text(name: string, valueOf: (charge: FocusCharge) => string | null): FocusColumn {
  return { name, kind: "text", isNullable: false, valueOf };
}

function time(name: string, valueOf: (charge: FocusCharge) => number): FocusColumn {
  return { name, kind: "time", isNullable: false, valueOf };
}

function decimal(name: string, valueOf: (charge: FocusCharge) => bigint): FocusColumn {
  return { name, kind: "decimal", isNullable: false, valueOf };
}

function nullable(column: FocusColumn): FocusColumn {
  return { ...column, isNullable: true };
}

function billedCost({ nanoDollars }: FocusCharge): bigint {
  return nanoDollars * ATTO_PER_NANO;
}

/** The product of unit price and quantity, exactly. */
function listCost(charge: FocusCharge): bigint {
  return charge.thing.kind === "all-tokens" ? billedCost(charge) : charge.unitPrice * charge.quantity;
}

/** A cost that no price explains is so many dollars at a price of one. */
function pricingOf(charge: FocusCharge): { readonly unit: string; readonly unitPrice: bigint; readonly quantity: bigint } {
  const { thing, unitPrice, quantity } = charge;
  if (thing.kind === "all-tokens") return { unit: "Dollars", unitPrice: ONE, quantity: billedCost(charge) };
  if (meterOf(thing).unit === "Requests") return { unit: "Requests", unitPrice, quantity: quantity * ONE };
  const unit = `${TOKENS_PRICED} Tokens`;
  return { unit, unitPrice: unitPrice * TOKENS_PRICED, quantity: quantity * ONE / TOKENS_PRICED };
}

function meterOf({ kind, name }: Thing): Meter {
  if (kind !== "tool") return METERS[kind];
  const words = name.split("_").map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join(" ");
  return { id: "server-tool", words, unit: "Requests" };
}

function skuOf(thing: Thing): string {
  return `${thing.name}/${meterOf(thing).id}`;
}

function descriptionOf({ thing, accuracy }: FocusCharge): string {
  const { words } = meterOf(thing);
  const what = thing.kind === "tool" ? words : `${words} of ${thing.name}`;
  const terms = thing.terms.length === 0 ? "" : ` (${thing.terms.join(", ")})`;
  return `${what}${terms}${isPriced(accuracy) ? "" : ": the cost is not known and not in this row"}`;
}

/** Keys that the specification does not define begin with `x_`. */
function priceDetailsOf({ thing }: FocusCharge): string {
  const named = thing.kind === "tool" ? { x_ServerTool: thing.name } : { x_Model: thing.name, x_Meter: meterOf(thing).id };
  return JSON.stringify({ ...named, ...(thing.terms.length === 0 ? {} : { x_Terms: thing.terms.join(", ") }) });
}

function tagsOf({ workspaceId, sandboxId, upstream, thing }: FocusCharge): string {
  const model = thing.kind === "tool" ? {} : { "llmproxy/model": thing.name };
  const named = upstream === null ? {} : { "llmproxy/upstream": upstream };
  return JSON.stringify({ "llmproxy/workspace": workspaceId, "llmproxy/sandbox": sandboxId, ...model, ...named });
}

function isPriced(accuracy: FocusCharge["accuracy"]): boolean {
  return accuracy === "exact" || accuracy === "estimated";
}

/** The start of the month in UTC, so many months later. */
function monthOf(time: number, later: number): number {
  const date = new Date(time);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + later);
}
