import type { Command } from "commander";
import { z } from "zod";
import { durationText, wholeText } from "../http/dashboard/figures.tsx";
import { adminClient } from "./admin_client.ts";
import { JSON_OUTPUT, readId, readName } from "./arguments.ts";
import { exactJson } from "./exact_json.ts";
import { callShape, outcomeCell } from "./call_cells.ts";
import {
  about,
  costCell,
  count,
  dollars,
  timeCell,
  TOTAL_HEADINGS,
  TOTAL_NUMBERS,
  totalCells,
  totalsShape,
  usd,
} from "./figures.ts";
import type { CliSystem } from "./system.ts";
import { tableOf, visible } from "./table.ts";

interface TraceOptions {
  readonly workspace?: string;
  readonly json?: true;
}

const agentShape = totalsShape.extend({
  kind: z.string(),
  agentId: z.string().optional(),
  agentType: z.string().optional(),
  get children(): z.ZodArray<z.ZodType<Agent>> {
    return z.array(agentShape);
  },
});
interface Agent extends z.output<typeof totalsShape> {
  readonly kind: string;
  readonly agentId?: string | undefined;
  readonly agentType?: string | undefined;
  readonly children: Agent[];
}
const detailShape = z.looseObject({
  trace: z.looseObject({
    ...{ id: z.string(), workspaceId: z.string(), sandboxId: z.string(), source: z.string() },
    ...{ createdAt: z.string(), updatedAt: z.string() },
  }),
  requests: z.array(callShape),
  agents: z.array(agentShape),
  cache: z.looseObject({
    ...{ readTokens: count, savedUsd: usd, writePremiumUsd: usd, missedTokens: count, missCostUsd: usd, unpricedCount: count },
    isWhole: z.boolean(),
  }),
});
type Detail = z.output<typeof detailShape>;

export function addTraceCommand(program: Command, system: CliSystem): void {
  program.command("trace").description("show one session: its agents as a tree, its calls, its cache")
    .argument("<id>", "the session's id, as traces shows it", readName)
    .option("--workspace <id>", "its workspace, if the id is in several", readId)
    .option(...JSON_OUTPUT)
    .action((id, options) => traceCommand(system, id, options));
}

async function traceCommand(system: CliSystem, id: string, { workspace, json }: TraceOptions): Promise<void> {
  const query = workspace === undefined ? "" : `?workspace_id=${encodeURIComponent(workspace)}`;
  const detail = await adminClient(system).question(`/internal/traces/${encodeURIComponent(id)}${query}`, detailShape);
  system.stdout(json ? `${exactJson(detail)}\n` : textOf(detail, system));
}

function textOf({ trace, agents, requests, cache }: Detail, system: CliSystem): string {
  const screen = system.screen();
  const head = [
    `Session ${trace.id} of sandbox ${trace.sandboxId} in workspace ${trace.workspaceId} (named by: ${trace.source})`,
    `from ${timeCell(trace.createdAt)} to ${timeCell(trace.updatedAt)}`,
  ];
  const tree = agents.flatMap((agent) => branchesOf(agent));
  const tables = [
    tableOf([["AGENT", ...TOTAL_HEADINGS], ...tree], { numbers: TOTAL_NUMBERS, screen }),
    tableOf([CALL_HEADINGS, ...requests.map(callCells)], { numbers: CALL_NUMBERS, screen }),
  ];
  return [`${head.map(visible).join("\n")}\n`, ...tables, cacheText(cache)].join("\n");
}

/** The agent and those below it, each with its own calls only. */
function branchesOf(agent: Agent, lead: { readonly own: string; readonly below: string } = { own: "", below: "" }): string[][] {
  const type = agent.agentType === undefined ? agent.kind : `${agent.kind} ${agent.agentType}`;
  const name = agent.agentId === undefined ? type : `${type} ${agent.agentId}`;
  const below = agent.children.flatMap((child, n) => {
    const isLast = n === agent.children.length - 1;
    return branchesOf(child, {
      own: `${lead.below}${isLast ? "└─ " : "├─ "}`,
      below: `${lead.below}${isLast ? "   " : "│  "}`,
    });
  });
  return [[`${lead.own}${name}`, ...totalCells(agent)], ...below];
}

const CALL_HEADINGS = [
  ...["AT", "CALL", "MODEL", "UPSTREAM", "OUTCOME", "FIRST TOKEN", "TOOK", "INPUT", "CACHE READ", "OUTPUT", "COST", "AGENT"],
];
const CALL_NUMBERS = ["FIRST TOKEN", "TOOK", "INPUT", "CACHE READ", "OUTPUT", "COST"];

function callCells(call: Detail["requests"][number]): string[] {
  return [
    ...[timeCell(call.createdAt), call.id, call.model, call.upstream ?? "-", outcomeCell(call)],
    call.ttft > 0 ? durationText(call.ttft) : "-",
    durationText(call.duration),
    wholeText(call.inputTokens),
    wholeText(call.cacheReadInputTokens),
    about(wholeText(call.outputTokens), call.accuracy),
    costCell(call.costUsd, call.accuracy),
    call.agentId ?? call.requestClass ?? "main",
  ];
}

function cacheText(cache: Detail["cache"]): string {
  const { savedUsd, writePremiumUsd, readTokens, missedTokens, missCostUsd, unpricedCount, isWhole } = cache;
  const unpriced = BigInt(unpricedCount) === 0n ? "" : ` ${wholeText(unpricedCount)} calls have no price and are left out.`;
  return `The prompt cache: ${wholeText(readTokens)} tokens read saved ${dollars(savedUsd)}; writing cost ${
    dollars(writePremiumUsd)
  } more than plain input. ${wholeText(missedTokens)} tokens missed cost ${dollars(missCostUsd)}.${unpriced}${
    isWhole ? "" : " Only the oldest 100,000 calls are counted."
  }\n`;
}
