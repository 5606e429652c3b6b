import { NO_TOTALS, sumOfTotals, type UsageTotals } from "./totals.ts";

/**
 * The ended calls of a trace that name the same agent, parent, type and class. Times are
 * milliseconds since the epoch.
 */
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
  /** All calls beyond `MAX_AGENT_GROUPS`; their agents are not told. */
  readonly isRest: boolean;
}

/** The most groups of one trace: ids come from clients, who may send any number. */
export const MAX_AGENT_GROUPS = 1_000;

/** `other`: an unknown class, or calls beyond `MAX_AGENT_GROUPS`. */
export type AgentKind = "main" | "subagent" | "workflow" | "compaction" | "auxiliary" | "side_reply" | "other";

/**
 * An agent, or calls that were made for it on the side. It has its own calls only, not those of its
 * children.
 */
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

/** By class; calls without a class are the agent's own. */
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
 * The agents of a trace as a tree. Its root is main, which may have no calls.
 *
 * Calls that name an agent are that agent's; all others are main's. Compactions, auxiliary calls
 * and side replies are nodes of their own below the agent that made them. So are sub-agents and
 * workflows that name no agent, one node for each kind. An agent's parent and type are the first
 * that its calls name. It is below main if it names no parent, if its parent made no call here, or
 * if following the parents would lead back to it.
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
  return {
    agentId: "",
    parentAgentId: "",
    agentType: "",
    totals: NO_TOTALS,
    firstAt: null,
    lastAt: null,
    children: [],
    ...given,
  };
}

function namesAgent({ agentId, isRest }: AgentCalls): boolean {
  return agentId !== "" && !isRest;
}

function kindOf({ requestClass, isRest }: AgentCalls): AgentKind {
  return isRest ? "other" : KINDS.get(requestClass) ?? "other";
}

/** In a circle of agents, the first to begin is moved below main. */
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
  node.totals = sumOfTotals(node.totals, calls);
  node.firstAt = Math.min(node.firstAt ?? Infinity, calls.firstAt);
  node.lastAt = Math.max(node.lastAt ?? -Infinity, calls.lastAt);
}

function inOrder(node: Growing): AgentNode {
  const children = node.children.map(inOrder);
  return { ...node, children: children.sort((a, b) => (a.firstAt ?? Infinity) - (b.firstAt ?? Infinity)) };
}
