import { parentPort } from "node:worker_threads";
import { answerRequest, type Request } from "../../async/worker_rpc.ts";
import type { UsageReader, UsageRecord } from "../../domain/usage_record.ts";
import { carriedError } from "../../domain/unavailable.ts";
import { encoderOf } from "../../export/encoder.ts";
import type { TariffOf } from "../../export/focus/charges.ts";
import type { PriceList } from "../../pricing/price_list.ts";
import { chargesOf } from "../../pricing/price_of.ts";
import { BILLINGS } from "../../providers/billings.ts";
import { openUsageReader as openPostgresReader } from "../../stores/postgres/usage_reader.ts";
import { backUpDatabase, backUpSpools, countCopied, whyNotSound } from "../../stores/sqlite/backup.ts";
import { unavailableOf } from "../../stores/sqlite/errors.ts";
import { openUsageReader as openSqliteReader } from "../../stores/sqlite/usage_reader.ts";
import type { Chunk, ExportMethods, ExportOrder, UsagePlace } from "./protocol.ts";

/** About 100 KB of CSV. */
const PAGE_ROWS = 400;

const exports = new Map<number, AsyncGenerator<Chunk, void>>();

const METHODS: ExportMethods = {
  begin: (name, order) => {
    exports.set(name, chunksOf(order));
    return next(name);
  },
  more: next,
  stop: async (name) => {
    await exports.get(name)?.return();
    exports.delete(name);
  },
  backUp: (path, into, openCalls) => Promise.try(() => backUpDatabase(path, into, openCalls)),
  backUpSpools: (paths, into) => Promise.try(() => backUpSpools(paths, into)),
  checkCopy: (path, bounds) =>
    Promise.try(() => {
      const rows = countCopied(path, bounds);
      const damage = whyNotSound(path, rows);
      if (damage !== null) throw new Error(`The copy is not sound: ${damage}`);
      return rows;
    }),
};

parentPort?.on("message", (request: Request) => {
  void answerRequest(METHODS, request, {
    reply: (reply) => parentPort?.postMessage(reply, "value" in reply && isChunk(reply.value) ? [reply.value.bytes.buffer] : []),
    carriedError: (error) => carriedError(unavailableOf(error) ?? error),
  });
});

async function next(name: number): Promise<Chunk> {
  const { value } = await exports.get(name)?.next() ?? {};
  if (value === undefined) throw new Error("This export has ended");
  if (value.isLast) await METHODS.stop(name);
  return value;
}

/** Reads pages until the encoder has bytes to send. */
async function* chunksOf({ place, format, filter, prices }: ExportOrder): AsyncGenerator<Chunk, void> {
  const reader = readerAt(place);
  try {
    const encoder = encoderOf(format, tariffsBy(prices));
    // Only a progress bar needs the count: a database that is too slow to count can still be read.
    const total = await reader.count(filter).catch(() => null);
    let after: UsageRecord | null = null;
    let rows = 0;
    for (let isLast = false; !isLast;) {
      const page: readonly UsageRecord[] = await reader.read({ ...filter, after, limit: PAGE_ROWS });
      after = page.at(-1) ?? after;
      rows += page.length;
      isLast = page.length < PAGE_ROWS;
      const bytes = isLast ? joined([encoder.add(page), encoder.end()]) : encoder.add(page);
      if (bytes.length === 0 && !isLast) continue;
      yield { bytes, rows, total, isLast };
      rows = 0;
    }
  } finally {
    await reader.close();
  }
}

function readerAt(place: UsagePlace): UsageReader {
  return "path" in place ? openSqliteReader(place.path) : openPostgresReader(place.url);
}

function tariffsBy(prices: PriceList): TariffOf {
  const charged = chargesOf(prices, BILLINGS);
  return (provider) => {
    const billing = BILLINGS.get(provider);
    return billing === undefined ? null : { seller: billing.seller, chargesOf: charged, tokensOf: billing.tokensOf };
  };
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function isChunk(value: unknown): value is Chunk {
  return typeof value === "object" && value !== null && "bytes" in value;
}
