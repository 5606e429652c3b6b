import { type Charge, type Tariff, TOKEN_KINDS, type TokenCounts, type TokenKind } from "../../domain/price.ts";
import type { Accuracy } from "../../domain/usage.ts";
import type { UsageRecord } from "../../domain/usage_record.ts";

/** Atto-dollars (10^-18 US dollars) of a nano-dollar. */
export const ATTO_PER_NANO = 1_000_000_000n;

/** `unpriced`: what was used is known, and its price is not. */
export type FocusAccuracy = Accuracy | "unpriced";

/**
 * What is charged for. `all-tokens`: a cost that the list in force cannot split, because it has no
 * price for the model any more. `unknown-usage`: a call of which no count is known.
 */
export interface Thing {
  readonly kind: TokenKind | "tool" | "all-tokens" | "unknown-usage";
  /** A model, or the counter of a server tool. */
  readonly name: string;
  readonly terms: readonly string[];
}

/** A part of one call. */
export interface Part {
  readonly thing: Thing;
  readonly accuracy: FocusAccuracy;
  /** Tokens, uses or calls. */
  readonly quantity: bigint;
  /** Of a single one, in the price list in force; atto-dollars. */
  readonly unitPrice: bigint;
  /** Its share of the row's cost. The shares of a row sum to its cost. */
  readonly nanoDollars: bigint;
}

/**
 * The parts of a row. The row's cost is divided as the prices in force would divide it, so the
 * shares sum to the cost whatever list made it. Empty if the call used nothing.
 */
export function partsOf(row: UsageRecord, tariff: Tariff | null): readonly Part[] {
  if (row.accuracy === "unknown") {
    return [{ ...partOf("unknown-usage", row.model, 1n), accuracy: "unknown" }];
  }
  if (row.cost === undefined) return [...unpricedTokens(row, tariff), ...unpricedTools(row.serverToolUse)];
  return [...pricedParts(row, BigInt(row.cost), tariff), ...unpricedTools(row.unpricedUses)];
}

function pricedParts(row: UsageRecord, cost: bigint, tariff: Tariff | null): readonly Part[] {
  const charges = tariff?.chargesOf(pricedOf(row), row.createdAt) ?? [];
  const amounts = charges.map(({ quantity, unitPrice }) => quantity * unitPrice);
  const shares = sharesOf(cost, amounts);
  if (shares !== null) {
    return charges.map(({ of, quantity, unitPrice, terms }, n): Part => ({
      ...{ thing: thingOf(of, terms), accuracy: row.accuracy, quantity, unitPrice },
      nanoDollars: shares[n]!,
    }));
  }
  const { inputTokens, outputTokens, cacheCreationInputTokens, cacheReadInputTokens } = row;
  const tokens = BigInt(inputTokens + outputTokens + cacheCreationInputTokens + cacheReadInputTokens);
  return [{ ...partOf("all-tokens", row.model, tokens), accuracy: row.accuracy, nanoDollars: cost }];
}

/**
 * Divides an amount as the weights are to one another, to the last unit: what the division leaves
 * goes to the largest remainders. Null if there is something to divide and no weight.
 */
export function sharesOf(amount: bigint, weights: readonly bigint[]): readonly bigint[] | null {
  const sum = weights.reduce((a, b) => a + b, 0n);
  if (sum === 0n) return amount === 0n ? weights.map(() => 0n) : null;
  const shares = weights.map((weight) => amount * weight / sum);
  const left = Number(amount - shares.reduce((a, b) => a + b, 0n));
  const remainders = weights.map((weight, n) => ({ n, remainder: amount * weight % sum }));
  remainders.sort((a, b) => a.remainder === b.remainder ? a.n - b.n : a.remainder > b.remainder ? -1 : 1);
  for (const { n } of remainders.slice(0, left)) shares[n]! += 1n;
  return shares;
}

function unpricedTokens(row: UsageRecord, tariff: Tariff | null): readonly Part[] {
  const tokens = tariff?.tokensOf(pricedOf(row)) ?? tokensOf(row);
  return TOKEN_KINDS.map((kind) => unpriced(kind, row.model, tokens[kind] ?? 0n)).filter(({ quantity }) => quantity > 0n);
}

function unpricedTools(uses: UsageRecord["serverToolUse"] = {}): readonly Part[] {
  return Object.entries(uses).filter(([, count]) => Number.isSafeInteger(count) && count > 0)
    .map(([tool, count]) => unpriced("tool", tool, BigInt(count)));
}

/** Not at the price of zero: it is a price of its own, so that no other one is taken for it. */
function unpriced(kind: Thing["kind"], name: string, quantity: bigint): Part {
  return { thing: { kind, name, terms: ["unpriced"] }, accuracy: "unpriced", quantity, unitPrice: 0n, nanoDollars: 0n };
}

/** The counts of a row whose seller is not known. */
function tokensOf(row: UsageRecord): TokenCounts {
  const write1h = Math.min(row.cacheCreation1hInputTokens, row.cacheCreationInputTokens);
  return {
    input: BigInt(row.inputTokens),
    write5m: BigInt(row.cacheCreationInputTokens - write1h),
    write1h: BigInt(write1h),
    read: BigInt(row.cacheReadInputTokens),
    output: BigInt(row.outputTokens),
  };
}

function partOf(kind: Thing["kind"], name: string, quantity: bigint): Omit<Part, "accuracy"> {
  return { thing: { kind, name, terms: [] }, quantity, unitPrice: 0n, nanoDollars: 0n };
}

function thingOf(of: Charge["of"], terms: Charge["terms"]): Thing {
  return of.kind === "tool" ? { kind: "tool", name: of.tool, terms } : { kind: of.kind, name: of.model, terms };
}

function pricedOf(row: UsageRecord): Parameters<Tariff["chargesOf"]>[0] {
  return {
    ...row,
    servedModel: row.model,
    cacheCreation5mTokens: row.cacheCreation5mInputTokens,
    cacheCreation1hTokens: row.cacheCreation1hInputTokens,
    serverToolUse: row.serverToolUse ?? {},
    tokenParts: row.tokenParts ?? {},
    iterations: row.iterations ?? [],
    stopReason: row.stopReason ?? null,
    refusalCategory: row.refusalCategory ?? null,
    serviceTier: row.serviceTier ?? null,
    inferenceGeo: row.inferenceGeo ?? null,
    speed: row.speed ?? null,
  };
}
