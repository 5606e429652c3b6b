import type { Actor, AuditedChange } from "../domain/audit.ts";
import type { RepriceRequest } from "../domain/operations.ts";
import { costUsd } from "../domain/money.ts";
import type { Price, Repriced, RepriceStep, RepriceSteps } from "../domain/repricing.ts";
import { AdminRefusal } from "./admin_refusal.ts";
import { filtersOf, untilNow } from "./admin_filters.ts";
import { timeJson } from "./admin_json.ts";
import type { AdminDeps } from "./admin_route.ts";

export const REPRICE_FILTERS = ["since", "until", "dry_run", "rows"] as const;
export const NDJSON = "application/x-ndjson";
const STOPPED = "It was stopped: rows repriced so far keep their new price, the others their old one";
const encoder = new TextEncoder();

export interface RepriceDeps extends Pick<AdminDeps, "reprice" | "recordChange" | "now"> {
  readonly by: Actor;
}

/**
 * `POST /internal/reprice?since=&until=&dry_run=`: prices the rows of that time again and answers
 * how they changed. With `accept: application/x-ndjson` the answer has a line a step, `{"progress":
 * {read, at}}`, with `rows=true` one for each changed row, `{"row": …}`, and at last `{"result":
 * …}` or `{"error": {message}}`. A client that leaves stops it; the rows repriced so far stay so.
 */
export async function answerReprice(request: Request, { reprice, recordChange, by, now }: RepriceDeps): Promise<Response> {
  const { since, until, dry_run, rows } = filtersOf(request.url, REPRICE_FILTERS);
  if (since === null) throw new AdminRefusal("invalid_request_error", "Cannot reprice without the filter since");
  const isStreamed = (request.headers.get("accept") ?? "").includes(NDJSON);
  if (rows === true && !isStreamed) {
    throw new AdminRefusal("invalid_request_error", `Cannot answer rows in one JSON: ask with accept: ${NDJSON}`);
  }
  const asked = { since, until: untilNow(since, { until, now: now() }), isDryRun: dry_run === true };
  const running = reprice(asked);
  if (running === null) throw new AdminRefusal("conflict_error", "Cannot reprice: rows are being repriced already");
  const { priceVersion } = running;
  const tally = new Tally({ ...asked, priceVersion });
  const steps = tallied(running.steps, tally, {
    onEnd: async () => {
      if (!asked.isDryRun && tally.hasChanges) await recordChange(tally.auditedChange(), by);
    },
  });
  // Taken here, so that the generator has started and returning it later runs its cleanup.
  const first = await steps.next();
  if (isStreamed) {
    const lines = linesOf(steps, { first, tally, showsRows: rows === true });
    return new Response(lines, { headers: { "content-type": NDJSON } });
  }
  let taken = first;
  while (taken.done !== true) taken = await (request.signal.aborted ? steps.return(undefined) : steps.next());
  if (taken.value !== "complete") throw new AdminRefusal("api_error", STOPPED);
  return Response.json(tally.json());
}

/** Adds up each step that is taken. `onEnd` runs when the work has ended, however it ended. */
async function* tallied(
  steps: RepriceSteps,
  tally: Tally,
  { onEnd }: { readonly onEnd: () => Promise<void> },
): RepriceSteps {
  try {
    for (;;) {
      const { value, done } = await steps.next();
      if (done === true) return value;
      tally.add(value);
      yield value;
    }
  } finally {
    await steps.return(undefined);
    await onEnd();
  }
}

function linesOf(
  steps: RepriceSteps,
  { first, tally, showsRows }: { readonly first: Taken; readonly tally: Tally; readonly showsRows: boolean },
): ReadableStream<Uint8Array> {
  let taken: Taken | null = first;
  const line = (value: unknown) => encoder.encode(`${JSON.stringify(value)}\n`);
  return new ReadableStream({
    async pull(controller) {
      try {
        const { value: step, done } = taken ?? await steps.next();
        taken = null;
        if (done === true) {
          controller.enqueue(line(step === "complete" ? { result: tally.json() } : { error: { message: STOPPED } }));
          controller.close();
          return;
        }
        for (const change of showsRows ? step.changes : []) controller.enqueue(line({ row: rowJson(change) }));
        controller.enqueue(line({ progress: { read: tally.read, ...(step.at === null ? {} : { at: timeJson(step.at) }) } }));
      } catch (error) {
        controller.enqueue(line({ error: { message: error instanceof Error ? error.message : String(error) } }));
        controller.close();
      }
    },
    cancel: () => steps.return(undefined).then(() => {}),
  }, { highWaterMark: 0 });
}

type Taken = IteratorResult<RepriceStep, "complete" | undefined>;

interface Change {
  repricedCount: number;
  oldCost: bigint;
  newCost: bigint;
  /** Rows that had no price and have one now, and the opposite. */
  newlyPricedCount: number;
  newlyUnpricedCount: number;
}

/** Exact sums of the changes, in all and by model and price lists. */
class Tally {
  readonly #asked: RepriceRequest & { readonly priceVersion: string };
  readonly #total = noChange();
  readonly #groups = new Map<string, { readonly names: Readonly<Record<string, string | undefined>>; readonly sum: Change }>();
  read = 0;

  constructor(asked: RepriceRequest & { readonly priceVersion: string }) {
    this.#asked = asked;
  }

  add({ read, changes }: RepriceStep): void {
    this.read += read;
    for (const { model, from, to } of changes) {
      const key = JSON.stringify([model, from.priceVersion, to.priceVersion]);
      const group = this.#groups.get(key) ?? { names: namesJson(model, from, to), sum: noChange() };
      this.#groups.set(key, group);
      for (const sum of [this.#total, group.sum]) {
        sum.repricedCount++;
        sum.oldCost += BigInt(from.cost ?? 0);
        sum.newCost += BigInt(to.cost ?? 0);
        if (from.cost === null && to.cost !== null) sum.newlyPricedCount++;
        if (from.cost !== null && to.cost === null) sum.newlyUnpricedCount++;
      }
    }
  }

  get hasChanges(): boolean {
    return this.#total.repricedCount > 0;
  }

  auditedChange(): AuditedChange {
    const { since, until, priceVersion } = this.#asked;
    const priceVersions = [...new Set([...this.#groups.values()].map(({ names }) => names.oldPriceVersion ?? null))];
    const { repricedCount, oldCost, newCost } = this.#total;
    return {
      action: "prices.reprice",
      target: `rows from ${timeJson(since)} to ${timeJson(until)}`,
      workspaceId: null,
      before: { priceVersions, costUsd: costUsd(oldCost) },
      after: { priceVersion, costUsd: costUsd(newCost), repricedCount },
    };
  }

  json() {
    const { since, until, isDryRun, priceVersion } = this.#asked;
    return {
      dryRun: isDryRun,
      since: timeJson(since),
      until: timeJson(until),
      priceVersion,
      readCount: this.read,
      ...changeJson(this.#total),
      changes: [...this.#groups.values()].map(({ names, sum }) => ({ ...names, ...changeJson(sum) })),
    };
  }
}

function noChange(): Change {
  return { repricedCount: 0, oldCost: 0n, newCost: 0n, newlyPricedCount: 0, newlyUnpricedCount: 0 };
}

/** JSON leaves out what is undefined. */
function namesJson(model: string | null, from: Price, to: Price) {
  return {
    model: model ?? undefined,
    oldPriceVersion: from.priceVersion ?? undefined,
    newPriceVersion: to.priceVersion ?? undefined,
  };
}

function changeJson({ repricedCount, oldCost, newCost, newlyPricedCount, newlyUnpricedCount }: Change) {
  return {
    repricedCount,
    oldCostUsd: costUsd(oldCost),
    newCostUsd: costUsd(newCost),
    differenceUsd: costUsd(newCost - oldCost),
    newlyPricedCount,
    newlyUnpricedCount,
  };
}

function rowJson({ id, workspaceId, traceId, createdAt, model, from, to }: Repriced) {
  return {
    id,
    workspaceId,
    traceId,
    createdAt: timeJson(createdAt),
    ...(model === null ? {} : { model }),
    ...(from.cost === null ? {} : { oldCostUsd: costUsd(from.cost), oldPriceVersion: from.priceVersion }),
    ...(to.cost === null ? {} : { newCostUsd: costUsd(to.cost), newPriceVersion: to.priceVersion }),
  };
}
