import assert from "node:assert/strict";
import { moneyOf } from "../../tests/conformance/samples.ts";
import { type AgentCalls, type AgentNode, agentTree } from "./agents.ts";
import { NO_TOTALS } from "./totals.ts";

Deno.test("agentTree() gives main without calls for a trace without calls", () => {
  const tree = agentTree([]);
  assert.deepEqual([tree.kind, tree.totals.requestCount, tree.firstAt, tree.children], ["main", 0, null, []]);
});

Deno.test("agentTree() hangs agents below the parents that they name, with the first type and parent that their calls name", () => {
  const tree = agentTree([
    calls({ requestClass: "main" }),
    calls({ agentId: "a", requestClass: "subagent" }),
    calls({ agentId: "b", parentAgentId: "a", agentType: "Explore" }),
    calls({ agentId: "a", agentType: "general-purpose" }),
    calls({ agentId: "b", parentAgentId: "c", agentType: "Plan" }),
    calls({ agentId: "c", parentAgentId: "b", requestClass: "workflow" }),
  ]);
  assert.equal(shapeOf(tree), "main 1 (subagent a general-purpose 2 (subagent b Explore 2 (workflow c 1)))");
});

Deno.test("agentTree() gives compactions, auxiliary calls and side replies nodes below the agent that made them", () => {
  const tree = agentTree([
    calls({}),
    calls({ requestClass: "main" }),
    calls({ requestClass: "auxiliary" }),
    calls({ requestClass: "compaction" }),
    calls({ agentId: "a", requestClass: "subagent" }),
    calls({ agentId: "a", requestClass: "compaction" }),
    calls({ agentId: "a", requestClass: "main" }),
    calls({ requestClass: "side_reply" }),
    calls({ requestClass: "compaction" }),
  ]);
  assert.equal(shapeOf(tree), "main 2 (auxiliary 1) (compaction 2) (subagent a 2 (compaction 1)) (side_reply 1)");
});

Deno.test("agentTree() keeps what it cannot place: sub-agents without a name, unknown classes, and what is beyond the bound", () => {
  const tree = agentTree([
    calls({ requestClass: "subagent" }),
    calls({ requestClass: "workflow", agentType: "x" }),
    calls({ requestClass: "of tomorrow" }),
    calls({ agentId: "a", requestClass: "of tomorrow" }),
    calls({ agentId: "a", isRest: true }),
  ]);
  assert.equal(shapeOf(tree), "main 0 (subagent 1) (workflow 1) (other 2) (subagent a 0 (other 1))");
});

Deno.test("agentTree() hangs below main whom no known agent started, and ends circles of parents", () => {
  const tree = agentTree([
    calls({ agentId: "lost", parentAgentId: "nobody" }),
    calls({ agentId: "own", parentAgentId: "own" }),
    calls({ agentId: "tail", parentAgentId: "x" }),
    calls({ agentId: "x", parentAgentId: "y" }),
    calls({ agentId: "y", parentAgentId: "z" }),
    calls({ agentId: "z", parentAgentId: "x" }),
    calls({ agentId: "__proto__", parentAgentId: "constructor" }),
  ]);
  assert.equal(
    shapeOf(tree),
    "main 0 (subagent lost 1) (subagent own 1) (subagent x 1 (subagent tail 1) (subagent z 1 (subagent y 1))) (subagent __proto__ 1)",
  );
});

Deno.test("agentTree() adds up what each agent used, and when it began and ended", () => {
  const money = { cost: 5n, estimatedCost: 2n, estimatedCount: 1, unknownCount: 0, unpricedCount: 3, partlyPricedCount: 2 };
  const one = calls({
    agentId: "a",
    inputTokens: 2n ** 53n,
    outputTokens: 2n,
    requestCount: 4,
    ...money,
    firstAt: 10,
    lastAt: 90,
  });
  const [agent] = agentTree([one, { ...one, agentType: "x", firstAt: 20, lastAt: 40 }]).children;
  assert.deepEqual([agent!.firstAt, agent!.lastAt, agent!.totals.inputTokens, agent!.totals.requestCount], [
    10,
    90,
    2n ** 54n,
    8,
  ]);
  assert.deepEqual(moneyOf(agent!.totals), {
    cost: 10n,
    estimatedCost: 4n,
    estimatedCount: 2,
    unknownCount: 0,
    unpricedCount: 6,
    partlyPricedCount: 4,
  });
});

let lastAt = 0;

function calls(given: Partial<AgentCalls>): AgentCalls {
  return {
    agentId: "",
    parentAgentId: "",
    agentType: "",
    requestClass: "",
    firstAt: ++lastAt,
    lastAt,
    isRest: false,
    ...NO_TOTALS,
    requestCount: 1,
    ...given,
  };
}

function shapeOf({ kind, agentId, agentType, totals, children }: AgentNode): string {
  const own = [kind, agentId, agentType, totals.requestCount].filter((part) => part !== "").join(" ");
  return [own, ...children.map((child) => `(${shapeOf(child)})`)].join(" ");
}
