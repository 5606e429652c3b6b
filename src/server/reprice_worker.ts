/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { answerRequest, type Request } from "../async/worker_rpc.ts";
import { carriedError } from "../domain/unavailable.ts";
import { priceOf } from "../pricing/price_of.ts";
import { reprice } from "../pricing/reprice.ts";
import { BILLINGS } from "../providers/billings.ts";
import { openPostgresRepricing } from "../stores/postgres/repricing.ts";
import { openSqliteRepricing } from "../stores/sqlite/repricing.ts";
import { unavailableOf } from "../stores/sqlite/errors.ts";
import type { RepriceMethods, RepriceStart } from "./repricing.ts";

/** About 10 ms of a transaction, for which the ledger's commits wait. */
const AT_ONCE = 200;

let work: ReturnType<typeof open> | null = null;

const METHODS: RepriceMethods = {
  begin: (start) => void (work = open(start)),
  next: async () => {
    const { value, done } = await work!.steps.next();
    return done === true ? null : value;
  },
  close: async () => await work?.repricing.close(),
};

self.onmessage = ({ data }: MessageEvent<Request>) =>
  answerRequest(METHODS, data, {
    reply: (reply) => self.postMessage(reply),
    carriedError: (error) => carriedError(unavailableOf(error) ?? error),
  });

function open({ database, prices, span, isDryRun }: RepriceStart) {
  const repricing = database.kind === "shared"
    ? openPostgresRepricing(database.url)
    : openSqliteRepricing(database.path, database.synchronous);
  return { repricing, steps: reprice(repricing, { span, priceOf: priceOf(prices, BILLINGS), isDryRun, most: AT_ONCE }) };
}
