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
  /** Which calls are billed that were declined before any output, in the order of their dates. */
  readonly refusals: readonly RefusalPeriod[];
}

/**
 * Categories of refusals before any output, as the wire names them; null: the wire names none. A call whose category is
 * unknown, or in neither list, is priced in full, and its cost is not certain.
 */
export interface RefusalPeriod {
  readonly from: string;
  /** Paid like any other call. */
  readonly billed: readonly (string | null)[];
  /** Not paid. `others`: whatever is not billed. */
  readonly notBilled: readonly (string | null)[] | "others";
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

/**
 * A model id without what only pins a release of it: `claude-sonnet-4-5-20250929` and `-latest` mean `claude-sonnet-4-5`.
 * Google Cloud writes the date behind an @.
 */
export function baseModel(model: string): string {
  return model.replace(/(-|@(?=\d))(20\d{6}|latest)$/, "");
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
    refusals: after(list.refusals, over.refusals),
  };
}

type Dated<P> = Readonly<Record<string, readonly P[]>>;

function merged<P extends { readonly from: string }>(ours: Dated<P>, theirs: Dated<P>): Dated<P> {
  const entries = Object.entries(theirs).map(([name, periods]) => {
    return [name, after(Object.hasOwn(ours, name) ? ours[name]! : [], periods)] as const;
  });
  return { ...ours, ...Object.fromEntries(entries) };
}

/** Their periods, and before the first of them ours. */
function after<P extends { readonly from: string }>(ours: readonly P[], theirs: readonly P[]): readonly P[] {
  const [first] = theirs;
  return first === undefined ? ours : [...ours.filter(({ from }) => from < first.from), ...theirs];
}
