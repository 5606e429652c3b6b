import type { Reprice, RepriceRequest } from "../domain/operations.ts";
import { costUsd } from "../domain/money.ts";
import type { Price, Repriced, RepriceStep, RepriceSteps } from "../domain/repricing.ts";
import { AdminRefusal } from "./admin_refusal.ts";
import { filtersOf, untilNow } from "./admin_filters.ts";
import { timeJson } from "./admin_json.ts";

const NDJSON = "application/x-ndjson";
const STOPPED = "It was stopped: what was repriced so far stands, the rest is as it was";
const encoder = new TextEncoder();

/**
 * `POST /internal/reprice?since=&until=&dry_run=`: prices the rows of that time anew and answers how they changed. With
 * `accept: application/x-ndjson` a line a step comes before, `{"progress": {read, at}}`, with `rows=true` each row that changes,
 * `{"row": …}`, and the last line is `{"result": …}` or `{"error": {message}}`. Who leaves stops it: what is done stands.
 */
export async function answerReprice(
  request: Request,
  reprice: Reprice,
  { now }: { readonly now: () => number },
): Promise<Response> {
  const { since, until, dry_run, rows } = filtersOf(request.url, ["since", "until", "dry_run", "rows"]);
  if (since === null) throw new AdminRefusal("invalid_request_error", "Cannot reprice without the filter since");
  const isStreamed = (request.headers.get("accept") ?? "").includes(NDJSON);
  if (rows === true && !isStreamed) {
    throw new AdminRefusal("invalid_request_error", `Cannot give rows in one JSON: ask with accept: ${NDJSON}`);
  }
  const wish = { since, until: untilNow(since, { until, now: now() }), isDryRun: dry_run === true };
  const running = reprice(wish);
  if (running === null) throw new AdminRefusal("conflict_error", "Cannot reprice: rows are being repriced already");
  const { steps, priceVersion } = running;
  const tally = new Tally({ ...wish, priceVersion });
  // Taken here, so that what has begun is ended by whoever takes the rest.
  const first = await steps.next();
  if (isStreamed) {
    const lines = linesOf(steps, { first, tally, showsRows: rows === true });
    return new Response(lines, { headers: { "content-type": NDJSON } });
  }
  let taken = first;
  for (; taken.done !== true; taken = await (request.signal.aborted ? steps.return(undefined) : steps.next())) {
    tally.add(taken.value);
  }
  if (taken.value !== "complete") throw new AdminRefusal("api_error", STOPPED);
  return Response.json(tally.json());
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
        tally.add(step);
        if (showsRows) { for (const change of step.changes) controller.enqueue(line({ row: rowJson(change) })); }
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

/** Sums up what changes, by model and price lists; sums are bigint, so that they are exact. */
class Tally {
  readonly #wish: RepriceRequest & { readonly priceVersion: string };
  readonly #groups = new Map<string, Group>();
  read = 0;

  constructor(wish: RepriceRequest & { readonly priceVersion: string }) {
    this.#wish = wish;
  }

  add({ read, changes }: RepriceStep): void {
    this.read += read;
    for (const { model, from, to } of changes) {
      const key = JSON.stringify([model, from.priceVersion, to.priceVersion]);
      const group = this.#groups.get(key) ?? { model, from: from.priceVersion, to: to.priceVersion, ...NO_CHANGE };
      this.#groups.set(key, { ...group, ...sumOf(group, changeOf(from, to)) });
    }
  }

  json() {
    const { since, until, isDryRun, priceVersion } = this.#wish;
    const groups = [...this.#groups.values()];
    return {
      dryRun: isDryRun,
      since: timeJson(since),
      until: timeJson(until),
      priceVersion,
      readCount: this.read,
      ...changeJson(groups.reduce((sum, group) => sumOf(sum, group), NO_CHANGE)),
      changes: groups.map((group) => ({
        ...(group.model === null ? {} : { model: group.model }),
        ...(group.from === null ? {} : { oldPriceVersion: group.from }),
        ...(group.to === null ? {} : { newPriceVersion: group.to }),
        ...changeJson(group),
      })),
    };
  }
}

interface Change {
  readonly count: number;
  readonly oldCost: bigint;
  readonly newCost: bigint;
  /** Rows that had no price and have one now, and the other way round. */
  readonly newlyPriced: number;
  readonly newlyUnpriced: number;
}

interface Group extends Change {
  readonly model: string | null;
  readonly from: string | null;
  readonly to: string | null;
}

const NO_CHANGE: Change = { count: 0, oldCost: 0n, newCost: 0n, newlyPriced: 0, newlyUnpriced: 0 };

function changeOf(from: Price, to: Price): Change {
  return {
    count: 1,
    oldCost: BigInt(from.cost ?? 0),
    newCost: BigInt(to.cost ?? 0),
    newlyPriced: Number(from.cost === null && to.cost !== null),
    newlyUnpriced: Number(from.cost !== null && to.cost === null),
  };
}

function sumOf(a: Change, b: Change): Change {
  return {
    count: a.count + b.count,
    oldCost: a.oldCost + b.oldCost,
    newCost: a.newCost + b.newCost,
    newlyPriced: a.newlyPriced + b.newlyPriced,
    newlyUnpriced: a.newlyUnpriced + b.newlyUnpriced,
  };
}

function changeJson({ count, oldCost, newCost, newlyPriced, newlyUnpriced }: Change) {
  return {
    repricedCount: count,
    oldCostUsd: costUsd(oldCost),
    newCostUsd: costUsd(newCost),
    differenceUsd: costUsd(newCost - oldCost),
    newlyPricedCount: newlyPriced,
    newlyUnpricedCount: newlyUnpriced,
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
