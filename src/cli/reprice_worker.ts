/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { priceOf } from "../pricing/price_of.ts";
import { reprice } from "../pricing/reprice.ts";
import { openPostgresRepricing } from "../stores/postgres/repricing.ts";
import { openSqliteRepricing } from "../stores/sqlite/repricing.ts";
import type { RepriceMessage, RepriceReply, RepriceStart } from "./repricing.ts";

/** Some 10 ms of a transaction, for which the ledger's commits wait. */
const AT_ONCE = 200;

self.onmessage = ({ data }: MessageEvent<RepriceStart>) => begin(data);

function begin({ database, prices, span, isDryRun }: RepriceStart): void {
  const repricing = database.kind === "shared"
    ? openPostgresRepricing(database.url)
    : openSqliteRepricing(database.path, { synchronous: database.synchronous });
  const steps = reprice(repricing, { span, priceOf: priceOf(prices), isDryRun, most: AT_ONCE });
  self.onmessage = async ({ data }: MessageEvent<RepriceMessage>) => {
    try {
      if (data === "next") {
        const { value, done } = await steps.next();
        reply({ step: done === true ? null : value });
      } else {
        await repricing.close();
        reply({ step: null });
      }
    } catch (error) {
      reply({ failure: error instanceof Error ? error.message : String(error) });
    }
  };
}

function reply(message: RepriceReply): void {
  self.postMessage(message);
}
