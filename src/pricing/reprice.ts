import { priceIn, type PriceOf } from "../domain/price.ts";
import type { NewPrice, Price, Repriced, RepriceSteps, Repricing, Span } from "../domain/repricing.ts";
import type { UsageRow } from "../domain/usage.ts";

export interface RepriceOptions {
  readonly span: Span;
  readonly priceOf: PriceOf;
  /** Say what would change, and change nothing. */
  readonly isDryRun: boolean;
  /** Rows in one step: what is held in memory, and what one transaction writes. */
  readonly most: number;
}

/**
 * A row that changes while it is priced is read again, so often; then it is left to the next run.
 */
const TRIES = 5;

/** Prices a span's rows again; commits each step before it yields it. Rejects as the seam does. */
export async function* reprice(repricing: Repricing, options: RepriceOptions): RepriceSteps {
  const { span, most } = options;
  let after: UsageRow | null = null;
  for (;;) {
    const rows = await repricing.read(span, { after, most });
    const changes = await priced(repricing, { ...options, rows, after });
    yield { read: rows.length, at: rows.at(-1)?.call.createdAt ?? null, changes: changes.map(repricedOf) };
    if (rows.length < most) return "complete";
    after = rows.at(-1)!;
  }
}

async function priced(
  repricing: Repricing,
  options: RepriceOptions & { readonly rows: readonly UsageRow[]; readonly after: UsageRow | null },
): Promise<readonly NewPrice[]> {
  const { priceOf, isDryRun, span, after } = options;
  const written: NewPrice[] = [];
  let { rows } = options;
  for (let tries = 0; tries < TRIES; tries++) {
    const changes = rows.map((row) => ({ row, to: priceNow(row, priceOf) })).filter(({ row, to }) => isOther(row.closing, to));
    if (isDryRun || changes.length === 0) return [...written, ...changes];
    const done = await repricing.write(changes);
    written.push(...done);
    if (done.length === changes.length) break;
    rows = await repricing.read(span, { after, most: rows.length });
  }
  return written;
}

function priceNow({ call, closing }: UsageRow, priceOf: PriceOf): Price {
  return priceIn(priceOf({ ...closing.reading, kind: call.kind, provider: call.provider }, call.createdAt), closing);
}

function isOther(from: Price, to: Price): boolean {
  return from.cost !== to.cost || from.priceVersion !== to.priceVersion || from.accuracy !== to.accuracy ||
    JSON.stringify(from.unpricedUses) !== JSON.stringify(to.unpricedUses);
}

function repricedOf({ row: { call, closing }, to }: NewPrice): Repriced {
  return {
    id: call.id,
    workspaceId: call.workspaceId,
    traceId: call.traceId,
    createdAt: call.createdAt,
    model: closing.reading.servedModel,
    from: {
      cost: closing.cost,
      priceVersion: closing.priceVersion,
      unpricedUses: closing.unpricedUses,
      accuracy: closing.accuracy,
    },
    to,
  };
}
