import { traceIdOf } from "../../src/call/sessions.ts";
import type { UsageReading } from "../../src/domain/reading.ts";
import type { OpenCall } from "../../src/domain/usage.ts";
import type { Trace } from "../../src/domain/trace.ts";
import { closedCall, COMPLETED, type DemoCall, type Ending, endOf, openCall } from "./calls.ts";
import type { Dice } from "./dice.ts";
import { type DemoSandbox, HAIKU } from "./fleet.ts";

export interface DemoSession {
  readonly trace: Trace;
  /** In the order of their admission. */
  readonly calls: readonly DemoCall[];
}

/** How much a session does. */
export interface Pace {
  /** What a person asks of the agent, one after the other. */
  readonly prompts: number;
  /** Calls of one agent for one prompt, in the middle. */
  readonly turns: number;
  readonly subagents: number;
}

/** A conversation of one agent with the model. */
interface Agent {
  readonly agentId: string | null;
  readonly parentAgentId: string | null;
  readonly agentType: string | null;
  readonly requestClass: string | null;
  /** When it asks next. */
  now: number;
  /** Tokens of the conversation so far. */
  context: number;
  lastAt: number;
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const CACHE_LIVES_MS = 5 * MINUTE_MS;
/** Above it Claude Code makes a summary and begins again with that. */
const COMPACTED_AT = 150_000;
const OVERLOADED: Ending = { outcome: "upstream_error", accuracy: "exact", status: 529, errorType: "overloaded_error" };
const RATE_LIMITED: Ending = { outcome: "upstream_error", accuracy: "exact", status: 429, errorType: "rate_limit_error" };
const API_ERROR: Ending = { outcome: "upstream_error", accuracy: "exact", status: 500, errorType: "api_error" };
const BROKEN: Ending = { outcome: "upstream_broke", accuracy: "estimated", status: 200, errorType: null };
const LEFT: Ending = { outcome: "client_left", accuracy: "estimated", status: 200, errorType: null };
const LOST: Ending = { outcome: "unknown", accuracy: "unknown", status: null, errorType: null };

/** Each as often as a fleet sees it. */
const ENDINGS = [
  [960, COMPLETED],
  [12, OVERLOADED],
  [6, RATE_LIMITED],
  [2, API_ERROR],
  [5, BROKEN],
  [14, LEFT],
  [1, LOST],
] as const;

/** A session of a coding agent that begins then. */
export function codingSession(sandbox: DemoSandbox, start: number, { pace, dice }: {
  readonly pace: Pace;
  readonly dice: Dice;
}): DemoSession {
  const namesAgents = sandbox.client === "claude-code";
  const trace = traceOf(sandbox, start, traceIdOf(namesAgents ? dice.uuid() : `ses_${dice.hex(24)}`));
  const session = { sandbox, traceId: trace.id, dice };
  const main = agentOf(start, null);
  const calls: DemoCall[] = namesAgents ? [title(session, start)] : [];
  for (let prompt = 0; prompt < pace.prompts; prompt++) {
    const promptId = namesAgents ? dice.uuid() : null;
    const turns = dice.around(pace.turns);
    for (let turn = 0; turn < turns; turn++) {
      calls.push(...ask(session, main, promptId));
      if (namesAgents && turn === 1) calls.push(...delegate(session, main, { promptId, count: dice.whole(0, pace.subagents) }));
      if (main.context > COMPACTED_AT) calls.push(...compact(session, main, promptId));
    }
    // The person reads, and thinks.
    main.now += dice.around(4 * MINUTE_MS, 1);
  }
  calls.sort((a, b) => a.call.createdAt - b.call.createdAt);
  return { trace: { ...trace, updatedAt: calls.at(-1)!.call.createdAt }, calls };
}

/** Single questions of a program, each without a cache and in a session of its own. */
export function singleCall(sandbox: DemoSandbox, start: number, dice: Dice): DemoSession {
  const trace = traceOf(sandbox, start, `at-${dice.ulid(start)}`);
  const agent = agentOf(start, null);
  const call = openCall(sandbox, { createdAt: start, traceId: trace.id, streaming: dice.chance(0.5) }, dice);
  const tokens = { inputTokens: dice.around(2_500), outputTokens: dice.around(220) };
  return { trace, calls: [answered({ sandbox, traceId: trace.id, dice }, call, { agent, tokens })] };
}

interface Session {
  readonly sandbox: DemoSandbox;
  readonly traceId: string;
  readonly dice: Dice;
}

function traceOf({ workspaceId, sandboxId, client }: DemoSandbox, at: number, id: string): Trace {
  return {
    id,
    workspaceId,
    sandboxId,
    source: client === "anthropic-sdk-python" ? "auto" : client,
    createdAt: at,
    updatedAt: at,
  };
}

function agentOf(now: number, given: Pick<Agent, "agentId" | "parentAgentId" | "agentType"> | null): Agent {
  const unnamed = { agentId: null, parentAgentId: null, agentType: null, requestClass: null };
  return { ...(given === null ? unnamed : { ...given, requestClass: "subagent" }), now, context: 0, lastAt: 0 };
}

/** The next call of an agent, with retries until one is answered or the person gives up. */
function ask(session: Session, agent: Agent, promptId: string | null): readonly DemoCall[] {
  const { dice } = session;
  const calls: DemoCall[] = [];
  const fresh = agent.context === 0 ? dice.whole(14_000, 26_000) : dice.around(1_400, 0.9);
  const messagesHash = dice.hex(64);
  for (let attempt = 0; attempt < 4; attempt++) {
    const isCached = agent.context > 0 && agent.now - agent.lastAt < CACHE_LIVES_MS && !dice.chance(0.02);
    const tokens = {
      inputTokens: dice.whole(3, 14),
      ...writes(isCached ? fresh : agent.context + fresh),
      cacheReadInputTokens: isCached ? agent.context : 0,
      outputTokens: dice.around(420, 0.9),
      stopReason: "tool_use",
      ...(dice.chance(0.015) ? { serverToolUse: { web_search_requests: dice.whole(1, 3) } } : {}),
      ...(dice.chance(0.004) ? { serverToolUse: { code_execution_requests: 1 } } : {}),
    };
    const call = openCall(session.sandbox, { ...namesOf(session, agent, promptId), messagesHash }, dice);
    const ended = answered(session, call, { agent, tokens });
    calls.push(ended);
    agent.now = endOf(ended);
    if (ended.closing.status === 200) agent.lastAt = call.createdAt;
    const { outcome, reading } = ended.closing;
    if (outcome === "completed" || outcome === "client_left") {
      agent.context += fresh + reading.outputTokens;
      break;
    }
    agent.now += dice.around(3 * SECOND_MS) * (attempt + 1);
  }
  // The tools that the model asked for.
  agent.now += dice.around(5 * SECOND_MS, 1);
  return calls;
}

function answered(
  { sandbox, dice }: Session,
  call: OpenCall,
  { agent, tokens }: { readonly agent: Agent; readonly tokens: Partial<UsageReading> },
): DemoCall {
  const ending = dice.oneOf(ENDINGS);
  const ttft = dice.around(600 + agent.context / 100, 0.4);
  const isWhole = ending === COMPLETED;
  const outputTokens = isWhole ? tokens.outputTokens! : Math.ceil(tokens.outputTokens! * dice.next());
  const duration = ending.status === 200 ? ttft + Math.round(outputTokens * 14) : dice.around(900);
  const thinkingTokens = Math.floor(outputTokens * 0.3 * dice.next());
  const reading = { ...tokens, outputTokens, thinkingTokens, ...(isWhole ? {} : { stopReason: null }) };
  return closedCall(call, { tokens: reading, ending, ttft, duration }, { dice, sandbox });
}

/** Sub-agents work side by side, and the agent that sent them waits for the last. */
function delegate(
  session: Session,
  parent: Agent,
  { promptId, count }: { readonly promptId: string | null; readonly count: number },
): readonly DemoCall[] {
  const { dice } = session;
  const types = [[5, "Explore"], [3, "general-purpose"], [2, "code-reviewer"]] as const;
  const calls: DemoCall[] = [];
  let end = parent.now;
  for (let n = 0; n < count; n++) {
    const agent = agentOf(parent.now, {
      ...{ agentId: `agent-${dice.hex(8)}`, agentType: dice.oneOf(types) },
      parentAgentId: parent.agentId,
    });
    for (let turn = dice.around(5); turn > 0; turn--) calls.push(...ask(session, agent, promptId));
    end = Math.max(end, agent.now);
  }
  parent.now = end;
  return calls;
}

/** Reads the whole conversation, and goes on from a summary. */
function compact(session: Session, agent: Agent, promptId: string | null): readonly DemoCall[] {
  const { dice } = session;
  const names = { ...namesOf(session, agent, promptId), requestClass: "compaction" };
  const tokens = {
    inputTokens: 900,
    cacheReadInputTokens: agent.context,
    outputTokens: dice.whole(2_500, 4_500),
    stopReason: "end_turn",
  };
  const ended = answered(session, openCall(session.sandbox, names, dice), { agent, tokens });
  agent.now = endOf(ended);
  agent.context = 0;
  return [ended];
}

/** Claude Code names each session by its smallest model. */
function title(session: Session, createdAt: number): DemoCall {
  const names = { createdAt, traceId: session.traceId, requestClass: "auxiliary", requestedModel: HAIKU, maxTokens: 512 };
  const tokens = { inputTokens: session.dice.around(700), outputTokens: session.dice.whole(8, 30), stopReason: "end_turn" };
  return answered(session, openCall(session.sandbox, names, session.dice), { agent: agentOf(createdAt, null), tokens });
}

function namesOf({ traceId }: Session, agent: Agent, promptId: string | null) {
  const { now: createdAt, agentId, parentAgentId, agentType, requestClass } = agent;
  return { createdAt, traceId, agentId, parentAgentId, agentType, requestClass, promptId };
}

function writes(tokens: number) {
  return { cacheCreationInputTokens: tokens, cacheCreation5mTokens: tokens };
}
