import { z } from "zod";
import { adminClient } from "./admin_client.ts";
import { type CliSystem, CommandFailure, isoOf } from "./system.ts";
import { type Screen, tableOf } from "./table.ts";

export interface RepriceOptions {
  readonly since: number;
  /** Without it, now. */
  readonly until?: number;
  readonly dryRun?: true;
  /** Print each row that changes. */
  readonly rows?: true;
  readonly json?: true;
}

const changeShape = z.object({
  repricedCount: z.number(),
  oldCostUsd: z.string(),
  newCostUsd: z.string(),
  differenceUsd: z.string(),
  newlyPricedCount: z.number(),
  newlyUnpricedCount: z.number(),
});
const resultShape = changeShape.extend({
  dryRun: z.boolean(),
  since: z.string(),
  until: z.string(),
  priceVersion: z.string(),
  readCount: z.number(),
  changes: z.array(changeShape.extend({
    model: z.string().optional(),
    oldPriceVersion: z.string().optional(),
    newPriceVersion: z.string().optional(),
  })),
});
const lineShape = z.union([
  z.object({ progress: z.object({ read: z.number(), at: z.string().optional() }) }),
  z.object({ row: z.record(z.string(), z.unknown()) }),
  z.object({ result: resultShape }),
  z.object({ error: z.object({ message: z.string() }) }),
]);
type Result = z.output<typeof resultShape>;

/** `llmproxy reprice`: has the running proxy price rows again, and shows the difference. */
export async function repriceCommand(system: CliSystem, options: RepriceOptions): Promise<void> {
  const { since, until, dryRun = false, rows = false, json } = options;
  const query = new URLSearchParams({
    since: isoOf(since),
    ...(until !== undefined && { until: isoOf(until) }),
    dry_run: String(dryRun),
    rows: String(rows),
  });
  const lines = adminClient(system).lines("POST", `/internal/reprice?${query}`);
  let result: Result | null = null;
  const show = (text: string) => system.isTerminal() && system.stderr(`\r\x1b[K${text}`);
  for await (const line of lines) {
    const read = lineShape.safeParse(line);
    if (!read.success) {
      throw new CommandFailure("Cannot understand the answer: is it llmproxy's admin listener that answers there?");
    }
    if ("error" in read.data) throw new CommandFailure(`Cannot reprice: ${read.data.error.message}`);
    if ("progress" in read.data) {
      const { read: count, at } = read.data.progress;
      show(`${count} rows read${at === undefined ? "" : `, up to ${at}`}`);
    }
    if ("row" in read.data) system.stdout(`${JSON.stringify(read.data.row)}\n`);
    if ("result" in read.data) result = read.data.result;
  }
  show("");
  if (result === null) {
    throw new CommandFailure("The answer broke off: rows repriced so far keep their new price, the others are unchanged");
  }
  system.stdout(json ? `${JSON.stringify(result)}\n` : summaryOf(result, system.screen()));
}

function summaryOf(result: Result, screen: Screen | null): string {
  const { readCount, repricedCount, priceVersion, since, until, changes } = result;
  const did = result.dryRun ? "would change" : "were changed";
  const head = `${repricedCount} of ${readCount} rows ${did} by the prices ${priceVersion} (${since} to ${until})\n`;
  if (changes.length === 0) return head;
  const table = tableOf([
    ["MODEL", "FROM PRICES", "TO PRICES", "ROWS", "OLD USD", "NEW USD", "DIFFERENCE"],
    ...changes.map((change) => [
      change.model ?? "(none named)",
      change.oldPriceVersion ?? "unpriced",
      change.newPriceVersion ?? "unpriced",
      ...sumsOf(change),
    ]),
    ["total", "", "", ...sumsOf(result)],
  ], { numbers: ["ROWS", "OLD USD", "NEW USD", "DIFFERENCE"], screen });
  return head + table;
}

function sumsOf({ repricedCount, oldCostUsd, newCostUsd, differenceUsd }: z.output<typeof changeShape>): string[] {
  return [String(repricedCount), oldCostUsd, newCostUsd, differenceUsd];
}
