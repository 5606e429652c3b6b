/**
 * A dated price list, as data. Prices are decimals in text, as the price pages print them, and never pass through a float.
 * The file that `parsePriceList` reads has the same shape.
 */
export interface PriceList {
  /** Changes whenever any price does; stored with every cost. */
  readonly version: string;
  /** By model id without its date. The periods of each in the order of their dates. */
  readonly models: Readonly<Record<string, readonly PricePeriod[]>>;
  /** By the counter's name in `server_tool_use`. What is free stands here too, at "0": what does not stand here is unpriced. */
  readonly serverTools: Readonly<Record<string, readonly ToolPeriod[]>>;
}

/** The prices of one model from a day on, until the next period's. */
export interface PricePeriod {
  /** The day from whose start in UTC on it holds, `2026-10-07`. */
  readonly from: string;
  /** What `speed: "fast"` costs, in percent of these prices; null where it is not offered, and standard is what is billed. */
  readonly fastPercent: number | null;
  /** By size of prompt, the smallest first. */
  readonly tiers: readonly PriceTier[];
}

/** US dollars per million tokens, with at most six decimal places. */
export interface PriceTier {
  /** For prompts of at least so many tokens; 0 in the first tier. Prompt: input, cache writes and cache reads of that call. */
  readonly promptFrom: number;
  readonly input: string;
  /** Cache writes that live 5 minutes. */
  readonly write5m: string;
  /** Cache writes that live an hour. */
  readonly write1h: string;
  readonly read: string;
  readonly output: string;
}

export interface ToolPeriod {
  readonly from: string;
  /** US dollars a use, with at most nine decimal places. */
  readonly usdPerUse: string;
}

/** A model id without what only pins a release of it: `claude-sonnet-4-5-20250929` and `-latest` mean `claude-sonnet-4-5`. */
export function baseModel(model: string): string {
  return model.replace(/-(20\d{6}|latest)$/, "");
}

/** The period that holds at that time (ms since the epoch), or null before the first. */
export function periodAt<P extends { readonly from: string }>(periods: readonly P[], at: number): P | null {
  return periods.findLast(({ from }) => Date.parse(from) <= at) ?? null;
}

/**
 * What holds for a model at that time, or null where it has no price. A release that is listed by its full id has prices of
 * its own from their first day on, and the base model's before.
 */
export function modelPeriodAt<P extends { readonly from: string }>(
  models: ReadonlyMap<string, readonly P[]>,
  model: string,
  { at }: { readonly at: number },
): P | null {
  return periodAt(models.get(model) ?? [], at) ?? periodAt(models.get(baseModel(model)) ?? [], at);
}

/** The list with others' prices put over it: theirs hold from their first day on, and before that the list's own stay. */
export function withPrices(list: PriceList, over: PriceList): PriceList {
  return {
    version: over.version,
    models: merged(list.models, over.models),
    serverTools: merged(list.serverTools, over.serverTools),
  };
}

type Dated<P> = Readonly<Record<string, readonly P[]>>;

function merged<P extends { readonly from: string }>(ours: Dated<P>, theirs: Dated<P>): Dated<P> {
  const entries = Object.entries(theirs).map(([name, periods]) => {
    const first = periods[0]?.from ?? "";
    const before = Object.hasOwn(ours, name) ? ours[name]!.filter(({ from }) => from < first) : [];
    return [name, [...before, ...periods]] as const;
  });
  return { ...ours, ...Object.fromEntries(entries) };
}
