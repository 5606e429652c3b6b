import type { PricesInForce } from "../domain/operations.ts";
import { periodAt, type PriceList } from "./price_list.ts";

/** What holds at that time: a row for each size of prompt of each model. */
export function pricesInForce({ version, models }: PriceList, at: number): PricesInForce {
  const prices = Object.entries(models).flatMap(([model, periods]) => {
    const period = periodAt(periods, at);
    return period === null ? [] : period.tiers.map((tier) => ({ model, from: period.from, ...tier }));
  });
  return { version, prices };
}
