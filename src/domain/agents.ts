import { NO_TOTALS, sumOfTotals, type UsageTotals } from "./totals.ts";

/** The ended calls of a trace that name the same agent, parent, type and class. Times are milliseconds since the epoch. */
export interface AgentCalls extends UsageTotals {
  /** As the client named them; empty where it did not. */
  readonly agentId: string;
  readonly parentAgentId: string;
  readonly agentType: string;
  readonly requestClass: string;
  /** Admission of the first. */
  readonly firstAt: number;
  /** End of the last to end. */
  readonly lastAt: number;
  /** What is beyond `MAX_AGENT_GROUPS`, in one; whose it was is not told. */
  readonly isRest: boolean;
}

/** The most groups of calls of one trace that are told apart: ids come from clients, who may send any number. */
export const MAX_AGENT_GROUPS = 1_000;

/** What a node of the tree is. `other`: of a class that is not known, or beyond what is told apart. */
export type AgentKind = "main" | "subagent" | "workflow" | "compaction" | "auxiliary" | "side_reply" | "other";

/** An agent, or what was called for it on the side, with its own calls; those of its children are theirs. */
export interface AgentNode {
  readonly kind: AgentKind;
  readonly agentId: string;
  readonly parentAgentId: string;
  readonly agentType: string;
  readonly totals: UsageTotals;
  /** Null where it has no calls itself. */
  readonly firstAt: number | null;
  readonly lastAt: number | null;
  /** The first to begin comes first. */
  readonly children: readonly AgentNode[];
}

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
 * The agents of a trace as a tree whose root is main, which is there also where it has no calls.
 *
 * Calls that name an agent are that agent's, all others are main's. Compactions, auxiliary calls and side replies are nodes of
 * their own below whoever made them, and so are sub-agents and workflows that name no agent, all of a kind in one node. An
 * agent's parent and type are the first that its calls name. It hangs below main where it names no parent or one that made no
 * call here, and where following parents would lead back to it.
 *
 * `groups`: the first to begin comes first.
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

/** Of the agents in a circle the first to begin hangs below main, and so the circle is none. */
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
