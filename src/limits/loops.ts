import { LRUCache } from "lru-cache";
import type { TellOperator } from "../domain/events.ts";
import type { Loops } from "../domain/limits.ts";

export interface LoopsOptions {
  /** Calls with the same question within `LOOP_MS` that are a loop; 0: none are. */
  readonly calls: number;
  readonly pauseMs: number;
  readonly tell: TellOperator;
}

/** How long a question is remembered. */
const LOOP_MS = 10 * 60_000;
const MOST_QUESTIONS = 20_000;
const MOST_PAUSED = 10_000;

/** Finds traces that ask the same again and again, as this process sees them. */
export function loopsOf({ calls, pauseMs, tell }: LoopsOptions): Loops {
  if (calls === 0) return { pausedUntil: () => null };
  /** When each question of a trace was asked. */
  const asked = new LRUCache<string, number[]>({ max: MOST_QUESTIONS });
  const paused = new LRUCache<string, number>({ max: MOST_PAUSED });
  return {
    pausedUntil({ workspaceId, sandboxId, traceId, messagesHash, createdAt }) {
      const trace = JSON.stringify([workspaceId, traceId]);
      const end = paused.get(trace) ?? 0;
      if (end > createdAt) return end;
      if (messagesHash === null) return null;
      const question = `${trace} ${messagesHash}`;
      const times = (asked.get(question) ?? []).filter((at) => at > createdAt - LOOP_MS);
      times.push(createdAt);
      asked.set(question, times);
      if (times.length < calls) return null;
      asked.delete(question);
      const until = createdAt + pauseMs;
      paused.set(trace, until);
      tell({ type: "trace.paused", workspaceId, sandboxId, traceId, why: "loop", until });
      return until;
    },
  };
}
