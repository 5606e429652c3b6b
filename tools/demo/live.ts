import { setTimeout as sleep } from "node:timers/promises";
import { directFetch } from "../../src/cli/direct_fetch.ts";
import type { LocalProxy } from "../local_proxy.ts";
import { type Dice, diceOf } from "./dice.ts";
import { type DemoSandbox, OPUS, SONNET } from "./fleet.ts";
import type { Month } from "./month.ts";
import { RUNAWAY_MODEL } from "./stories.ts";

export interface Live {
  readonly stop: () => Promise<void>;
}

/** A client that has been refused, or cut, asks again after so long. */
const REFUSED_MS = 20_000;
const SENTENCE = "The tests of the payment module fail after the upgrade. ";
/** In a prompt at most: some 70,000 tokens. */
const MOST_SENTENCES = 5_000;

/**
 * Keeps so many calls in flight through the real proxy, as Claude Code would make them. The first
 * one belongs to the runaway, whose session goes on today.
 */
export async function callLive(proxy: LocalProxy, { fleet, runaway, suspended }: Month, count: number): Promise<Live> {
  const ended = new AbortController();
  const others = fleet.filter((sandbox) => sandbox !== runaway.sandbox && sandbox !== suspended.sandbox);
  const callers = Array.from({ length: count }, (_, n): Omit<Caller, "token" | "url"> => {
    const dice = diceOf(n);
    if (n === 0) return { sandbox: runaway.sandbox, sessionId: runaway.sessionId, model: RUNAWAY_MODEL, dice };
    return {
      sandbox: others[dice.whole(0, others.length - 1)]!,
      sessionId: dice.uuid(),
      model: n % 3 === 0 ? OPUS : SONNET,
      dice,
    };
  });
  const running: Promise<void>[] = [];
  for (const caller of callers) {
    const { workspaceId, sandboxId } = caller.sandbox;
    const token = await proxy.makeToken(workspaceId, sandboxId);
    running.push(callOn({ ...caller, token, url: proxy.url }, ended.signal));
  }
  return {
    stop: async () => {
      ended.abort();
      await Promise.all(running);
    },
  };
}

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
