import { setTimeout as sleep } from "node:timers/promises";
import { traceIdOf } from "../../src/call/sessions.ts";
import { directFetch } from "../../src/cli/direct_fetch.ts";
import type { LocalProxy } from "../local_proxy.ts";
import { type Dice, diceOf } from "./dice.ts";
import type { DemoSandbox } from "./fleet.ts";
import type { Month } from "./month.ts";
import { RUNAWAY_MODEL } from "./stories.ts";

export interface Live {
  /** Fewer than asked for if the month has fewer sessions. */
  readonly count: number;
  readonly stop: () => Promise<void>;
}

/** A client that has been refused, or cut, asks again after so long. */
const REFUSED_MS = 20_000;
const SENTENCE = "The tests of the payment module fail after the upgrade. ";
/** In a prompt at most: some 70,000 tokens. */
const MOST_SENTENCES = 5_000;

/**
 * Keeps so many calls in flight through the real proxy, as Claude Code would make them: the
 * runaway's and those of the latest sessions, which go on.
 */
export async function callLive(proxy: LocalProxy, month: Month, count: number): Promise<Live> {
  const ended = new AbortController();
  const callers = [runawayCaller(month), ...latestCallers(month)].slice(0, count);
  const running: Promise<void>[] = [];
  for (const caller of callers) {
    const { workspaceId, sandboxId } = caller.sandbox;
    const token = await proxy.makeToken(workspaceId, sandboxId);
    running.push(callOn({ ...caller, token, url: proxy.url }, ended.signal));
  }
  return {
    count: callers.length,
    stop: async () => {
      ended.abort();
      await Promise.all(running);
    },
  };
}

function runawayCaller({ runaway: { sandbox, sessionId } }: Month): Going {
  return { sandbox, sessionId, model: RUNAWAY_MODEL, dice: diceOf(0) };
}

/** One for each session of Claude Code, the latest first. */
function latestCallers({ fleet, traces, runaway, suspended }: Month): readonly Going[] {
  const stopped = [runaway.sandbox, suspended.sandbox];
  const sandboxes = new Map(fleet.filter((sandbox) => !stopped.includes(sandbox)).map((sandbox) => [sandbox.sandboxId, sandbox]));
  return traces.toSorted((a, b) => b.updatedAt - a.updatedAt).flatMap(({ id, source, sandboxId }, n) => {
    const sandbox = sandboxes.get(sandboxId);
    if (sandbox === undefined || source !== "claude-code") return [];
    return [{ sandbox, sessionId: id.slice(traceIdOf("").length), model: sandbox.model, dice: diceOf(n + 1) }];
  });
}

type Going = Omit<Caller, "token" | "url">;

interface Caller {
  readonly sandbox: DemoSandbox;
  readonly sessionId: string;
  readonly model: string;
  readonly token: string;
  readonly url: string;
  readonly dice: Dice;
}

/** One call after the other until the signal. */
async function callOn(caller: Caller, signal: AbortSignal): Promise<void> {
  for (let turn = 1; !signal.aborted; turn++) {
    const isServed = await call(caller, turn, signal).catch(() => false);
    await sleep(isServed ? caller.dice.whole(200, 2_000) : REFUSED_MS, null, { signal }).catch(() => {});
  }
}

async function call({ model, sessionId, token, url, dice }: Caller, turn: number, signal: AbortSignal): Promise<boolean> {
  const helper = dice.chance(0.3)
    ? {
      "x-claude-code-agent-id": `agent-${dice.hex(8)}`,
      "x-claude-code-agent-type": "Explore",
      "x-claude-code-request-class": "subagent",
    }
    : {};
  const text = SENTENCE.repeat(dice.whole(500, MOST_SENTENCES));
  const answer = await directFetch(`${url}/v1/messages`, {
    method: "POST",
    signal,
    headers: {
      "x-api-key": token,
      "anthropic-version": "2023-06-01",
      "content-type": "application/json",
      "user-agent": "claude-cli/2.1.330 (external, cli)",
      "x-claude-code-session-id": sessionId,
      ...helper,
    },
    body: JSON.stringify({
      model,
      max_tokens: 8_000,
      stream: true,
      system: [{ type: "text", text, cache_control: { type: "ephemeral" } }],
      messages: Array.from({ length: Math.min(turn, 5) * 2 - 1 }, (_, n) => ({
        role: n % 2 === 0 ? "user" : "assistant",
        content: `${turn}.${n}: run the tests again`,
      })),
    }),
  });
  for await (const _ of answer.body ?? []);
  return answer.ok;
}
