/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { carriedError } from "../domain/unavailable.ts";
import { priceOf } from "../pricing/price_of.ts";
import { reprice } from "../pricing/reprice.ts";
import * as providers from "../providers/providers.ts";
import { openPostgresRepricing } from "../stores/postgres/repricing.ts";
import { openSqliteRepricing } from "../stores/sqlite/repricing.ts";
import { unavailableOf } from "../stores/sqlite/unavailable.ts";
import type { RepriceMessage, RepriceReply, RepriceStart } from "./repricing.ts";

/** Some 10 ms of a transaction, for which the ledger's commits wait. */
const AT_ONCE = 200;

self.onmessage = ({ data }: MessageEvent<RepriceStart>) => begin(data);

function begin(start: RepriceStart): void {
  let work: ReturnType<typeof open> | null = null;
  self.onmessage = async ({ data }: MessageEvent<RepriceMessage>) => {
    try {
      if (data === "next") {
        // Not before it is asked: if the database cannot be opened, the reply says so.
        work ??= open(start);
        const { value, done } = await work.steps.next();
        reply({ step: done === true ? null : value });
      } else {
        await work?.repricing.close();
        reply({ step: null });
      }
    } catch (error) {
      reply({ failure: carriedError(unavailableOf(error) ?? error) });
    }
  };
}

function open({ database, provider, prices, span, isDryRun }: RepriceStart) {
  const repricing = database.kind === "shared"
    ? openPostgresRepricing(database.url)
    : openSqliteRepricing(database.path, { synchronous: database.synchronous });
  const { billing } = providers[provider];
  return { repricing, steps: reprice(repricing, { span, priceOf: priceOf(prices, billing), isDryRun, most: AT_ONCE }) };
}

function reply(message: RepriceReply): void {
  self.postMessage(message);
}
