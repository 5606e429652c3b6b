import type { PricesInForce } from "../domain/operations.ts";
import { periodAt, type PriceList, type PricePeriod } from "./price_list.ts";

/** What holds at that time: a row for each size of prompt of each model. */
export function pricesInForce({ version, models }: PriceList, at: number): PricesInForce {
  const prices = Object.entries(models).flatMap(([model, periods]) => {
    const period = periodAt(periods, at);
    if (period === null) return [];
    const { from, fastPercent } = period;
    return period.tiers.map((tier) => ({
      ...{ model, from, until: endOf(period, periods), fastPercent, serviceTierPercent: {} },
      ...tier,
    }));
  });
  return { version, prices };
}

/** Its own end, or the day on which the next one begins. */
function endOf(period: PricePeriod, periods: readonly PricePeriod[]): string | null {
  return period.until ?? periods[periods.indexOf(period) + 1]?.from ?? null;
}
