/**
 * A dated price list, as data; the operator's price file has the same shape. Prices are decimals in
 * text, as the price pages print them, and never pass through a float.
 */
export interface PriceList {
  /** Changes whenever any price does; stored with every cost. */
  readonly version: string;
  /** By model id without its date. Periods are in the order of their dates. */
  readonly models: Readonly<Record<string, readonly PricePeriod[]>>;
  /** By the counter's name on the wire. A free tool is here too, at "0"; others are unpriced. */
  readonly serverTools: Readonly<Record<string, readonly ToolPeriod[]>>;
  /** Which refusals before any output are billed, in the order of the dates. */
  readonly refusals: readonly RefusalPeriod[];
}

/**
 * Categories of refusals before any output, as the wire names them; null: it names no category. If
 * the category is unknown or in neither list, the call is priced in full and its cost is not
 * certain.
 */
export interface RefusalPeriod {
  readonly from: string;
  /** Paid like any other call. */
  readonly billed: readonly (string | null)[];
  /** Not paid. `others`: all that is not billed. */
  readonly notBilled: readonly (string | null)[] | "others";
}

/** The prices of one model from a day on, until the next period's. */
export interface PricePeriod {
  /** The day from whose start in UTC on it holds, `2026-10-07`. */
  readonly from: string;
  /**
   * What fast costs, in percent of these prices; null if it is not offered and billed as standard.
   */
  readonly fastPercent: number | null;
  /** By size of prompt, the smallest first. */
  readonly tiers: readonly PriceTier[];
}

/** US dollars per million tokens, with at most six decimal places. */
export interface PriceTier {
  /** For prompts (input, cache writes and reads of a call) of at least so many tokens; first 0. */
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
 * A model id without its release: `claude-sonnet-4-5-20250929` and `-latest` mean
 * `claude-sonnet-4-5`. Google Cloud writes the date behind an @.
 */
export function baseModel(model: string): string {
  return model.replace(/(-|@(?=\d))(20\d{6}|latest)$/, "");
}

/** The period that holds at that time (ms since the epoch), or null before the first. */
export function periodAt<P extends { readonly from: string }>(periods: readonly P[], at: number): P | null {
  return periods.findLast(({ from }) => Date.parse(from) <= at) ?? null;
}

/**
 * What holds for a model at that time; null if it has no price. A release that is listed by its
 * full id has its own prices from their first day on, and the base model's before.
 */
export function modelPeriodAt<P extends { readonly from: string }>(
  models: ReadonlyMap<string, readonly P[]>,
  model: string,
  at: number,
): P | null {
  return periodAt(models.get(model) ?? [], at) ?? periodAt(models.get(baseModel(model)) ?? [], at);
}

/** The list with other prices over it: they hold from their first day on, the list's own before. */
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

function after<P extends { readonly from: string }>(ours: readonly P[], theirs: readonly P[]): readonly P[] {
  const [first] = theirs;
  return first === undefined ? ours : [...ours.filter(({ from }) => from < first.from), ...theirs];
}
