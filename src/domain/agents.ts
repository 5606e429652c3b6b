import type { UsageTotals } from "./usage.ts";

/** Ended calls of a trace with the same agent, parent, type and class. Times are ms, UTC. */
export interface AgentCalls extends UsageTotals {
  /** As the client named them; empty if it did not. */
  readonly agentId: string;
  readonly parentAgentId: string;
  readonly agentType: string;
  readonly requestClass: string;
  /** Admission of the first. */
  readonly firstAt: number;
  /** End of the last to end. */
  readonly lastAt: number;
  /** All calls beyond `MAX_AGENT_GROUPS`, of any agent. */
  readonly isRest: boolean;
}

/** The most groups of one trace that are told apart: clients may send any number of ids. */
export const MAX_AGENT_GROUPS = 1_000;

/** `other`: of an unknown class, or beyond `MAX_AGENT_GROUPS`. */
export type AgentKind = "main" | "subagent" | "workflow" | "compaction" | "auxiliary" | "side_reply" | "other";

/** An agent, or calls on its side, without those of its children. */
export interface AgentNode {
  readonly kind: AgentKind;
  readonly agentId: string;
  readonly parentAgentId: string;
  readonly agentType: string;
  readonly totals: UsageTotals;
  /** Null if it has no calls itself. */
  readonly firstAt: number | null;
  readonly lastAt: number | null;
  /** In the order of their first calls. */
  readonly children: readonly AgentNode[];
}

const NO_CALLS: UsageTotals = {
  inputTokens: 0n,
  outputTokens: 0n,
  cacheCreationInputTokens: 0n,
  cacheReadInputTokens: 0n,
  requestCount: 0,
  money: { cost: 0n, estimatedCost: 0n, estimatedCount: 0, unknownCount: 0, unpricedCount: 0, partlyPricedCount: 0 },
  retries: { count: 0, cost: 0n },
};

/** What calls of a class are, by the class; calls without one are their agent's own. */
const KINDS: ReadonlyMap<string, AgentKind> = new Map([
  ["", "main"],
  ["main", "main"],
  ["subagent", "subagent"],
  ["workflow", "workflow"],
  ["compaction", "compaction"],
  ["auxiliary", "auxiliary"],
  ["side_reply", "side_reply"],
]);

/**
 * The agents of a trace as a tree under main, which is there even without calls.
 *
 * Calls that name an agent are that agent's, all others are main's. Compactions, auxiliary calls
 * and side replies are nodes below the agent that made them. So are sub-agents and workflows that
 * name no agent, one node for each kind. An agent's parent and type are the first that its calls
 * name. It hangs below main if its parent is not named or made no call here, or if it is its own
 * ancestor.
 *
 * `groups` are in the order of their first calls.
 */
export function agentTree(groups: readonly AgentCalls[]): AgentNode {
  const main = newNode({ kind: "main" });
  const agents = new Map<string, Growing>();
  for (const group of groups) {
    if (!namesAgent(group)) continue;
    const agent = agents.get(group.agentId) ?? newNode({ kind: "subagent", agentId: group.agentId });
    agents.set(group.agentId, agent);
    if (group.requestClass === "workflow") agent.kind = "workflow";
    agent.agentType ||= group.agentType;
    agent.parentAgentId ||= group.parentAgentId;
  }
  hang(agents, main);
  for (const group of groups) {
    const owner = namesAgent(group) ? agents.get(group.agentId)! : main;
    const kind = kindOf(group);
    const isOwn = kind === "main" || (owner !== main && (kind === "subagent" || kind === "workflow"));
    addCalls(isOwn ? owner : sideOf(owner, kind), group);
  }
  return inOrder(main);
}

type Growing = { -readonly [K in keyof Omit<AgentNode, "children">]: AgentNode[K] } & { children: Growing[] };

function newNode(given: Pick<AgentNode, "kind"> & Partial<Pick<AgentNode, "agentId">>): Growing {
  return { agentId: "", parentAgentId: "", agentType: "", totals: NO_CALLS, firstAt: null, lastAt: null, children: [], ...given };
}

function namesAgent({ agentId, isRest }: AgentCalls): boolean {
  return agentId !== "" && !isRest;
}

function kindOf({ requestClass, isRest }: AgentCalls): AgentKind {
  return isRest ? "other" : KINDS.get(requestClass) ?? "other";
}

/** The first agent of a circle hangs below main, which opens the circle. */
function hang(agents: ReadonlyMap<string, Growing>, main: Growing): void {
  const parents = new Map([...agents.values()].map(({ agentId, parentAgentId }) => [agentId, parentAgentId]));
  for (const [id, agent] of agents) {
    const passed = new Set<string>();
    let above = parents.get(id);
    while (above !== undefined && above !== id && !passed.has(above)) {
      passed.add(above);
      above = parents.get(above);
    }
    if (above === id) parents.delete(id);
    (agents.get(parents.get(id) ?? "") ?? main).children.push(agent);
  }
}

function sideOf(owner: Growing, kind: AgentKind): Growing {
  const there = owner.children.find((child) => child.kind === kind && child.agentId === "");
  if (there !== undefined) return there;
  const side = newNode({ kind });
  owner.children.push(side);
  return side;
}

function addCalls(node: Growing, calls: AgentCalls): void {
  node.totals = sumOf(node.totals, calls);
  node.firstAt = Math.min(node.firstAt ?? Infinity, calls.firstAt);
  node.lastAt = Math.max(node.lastAt ?? -Infinity, calls.lastAt);
}

function inOrder(node: Growing): AgentNode {
  const children = node.children.map(inOrder);
  return { ...node, children: children.sort((a, b) => (a.firstAt ?? Infinity) - (b.firstAt ?? Infinity)) };
}

function sumOf(a: UsageTotals, b: UsageTotals): UsageTotals {
  return {
    inputTokens: a.inputTokens + b.inputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    cacheCreationInputTokens: a.cacheCreationInputTokens + b.cacheCreationInputTokens,
    cacheReadInputTokens: a.cacheReadInputTokens + b.cacheReadInputTokens,
    requestCount: a.requestCount + b.requestCount,
    money: {
      cost: a.money.cost + b.money.cost,
      estimatedCost: a.money.estimatedCost + b.money.estimatedCost,
      estimatedCount: a.money.estimatedCount + b.money.estimatedCount,
      unknownCount: a.money.unknownCount + b.money.unknownCount,
      unpricedCount: a.money.unpricedCount + b.money.unpricedCount,
      partlyPricedCount: a.money.partlyPricedCount + b.money.partlyPricedCount,
    },
    retries: { count: a.retries.count + b.retries.count, cost: a.retries.cost + b.retries.cost },
  };
}
