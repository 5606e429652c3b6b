import { type Command, InvalidArgumentError } from "commander";
import { z } from "zod";
import { DEFAULT_GROUPING, type Grouping, GROUPINGS, USAGE_ORDERS } from "../domain/query.ts";
import { adminClient } from "./admin_client.ts";
import { JSON_OUTPUT, refuseEmptySpan } from "./arguments.ts";
import { addCallFilters, type CallOptions, queryOf } from "./call_filters.ts";
import { exactJson } from "./exact_json.ts";
import { timeCell, TOTAL_HEADINGS, TOTAL_NUMBERS, totalCells, totalsShape } from "./figures.ts";
import { pagesOf } from "./pages.ts";
import type { CliSystem } from "./system.ts";
import { tableOf } from "./table.ts";

interface UsageOptions extends CallOptions {
  readonly by: readonly Grouping[];
}

const name = z.string().optional();
const groupShape = totalsShape.extend({
  ...{
    provider: name,
    upstream: name,
    model: name,
    workspaceId: name,
    sandboxId: name,
    traceId: name,
    agentId: name,
    client: name,
  },
  ...{ day: name, hour: name },
});
const usageShape = z.looseObject({ usage: z.array(groupShape), totals: totalsShape, nextCursor: name });
type Group = z.output<typeof groupShape>;

/** The fields of each grouping, and their headings. */
const KEYS: Readonly<Record<Grouping, readonly (readonly [heading: string, field: keyof Group])[]>> = {
  provider: [["PROVIDER", "provider"]],
  upstream: [["UPSTREAM", "upstream"]],
  model: [["MODEL", "model"]],
  workspace: [["WORKSPACE", "workspaceId"]],
  sandbox: [["SANDBOX", "sandboxId"]],
  trace: [["WORKSPACE", "workspaceId"], ["TRACE", "traceId"]],
  agent: [["AGENT", "agentId"]],
  client: [["CLIENT", "client"]],
  day: [["DAY", "day"]],
  hour: [["HOUR", "hour"]],
};

export function addUsageCommand(program: Command, system: CliSystem): void {
  const command = program.command("usage").description("show what was used and what it cost, in groups")
    .option("--by <groups>", `${GROUPINGS.join(", ")}; several with commas between them`, readGroups, DEFAULT_GROUPING);
  addCallFilters(command, system, { what: "groups", orders: USAGE_ORDERS })
    .option(...JSON_OUTPUT)
    .action(async (options: UsageOptions, command: Command) => {
      refuseEmptySpan(command, options, system.now());
      await usageCommand(system, options);
    });
}

async function usageCommand(system: CliSystem, options: UsageOptions): Promise<void> {
  const query = queryOf(options);
  query.set("group_by", options.by.join(","));
  const pages = await Array.fromAsync(
    pagesOf(adminClient(system), { path: "/internal/usage", query, limit: options.limit, shape: usageShape }),
  );
  const last = pages.at(-1)!;
  const groups = pages.flatMap(({ usage }) => usage);
  if (options.json) return system.stdout(`${exactJson({ ...last, usage: groups })}\n`);
  // A trace brings its workspace.
  const keys = [...new Map(options.by.flatMap((grouping) => KEYS[grouping])).entries()];
  const rows = groups.map((group) => [...keys.map(([, field]) => keyCell(group[field])), ...totalCells(group)]);
  const total = [...keys.map((_, n) => n === 0 ? "total" : ""), ...totalCells(last.totals)];
  const headings = [...keys.map(([heading]) => heading), ...TOTAL_HEADINGS];
  system.stdout(tableOf([headings, ...rows, total], { numbers: TOTAL_NUMBERS, screen: system.screen() }));
  if (last.nextCursor !== undefined) {
    system.stderr("There are more groups, and the total counts them; --limit all prints them.\n");
  }
}

/** Empty: the calls that name none. */
function keyCell(value: unknown): string {
  return typeof value === "string" && value !== "" ? timeCell(value) : "-";
}

function readGroups(text: string): readonly Grouping[] {
  const groups = text.split(",").map((word) => GROUPINGS.find((grouping) => grouping === word));
  if (groups.includes(undefined) || new Set(groups).size < groups.length) {
    throw new InvalidArgumentError(`Expected one or more of ${GROUPINGS.join(", ")}, each once, with commas between them.`);
  }
  return groups as readonly Grouping[];
}
