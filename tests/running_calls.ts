/** Calls in flight that no client makes. */
import type { StopReason } from "../src/call/stops.ts";
import type { Traffic } from "../src/call/traffic.ts";
import type { RunningCall } from "../src/domain/running_call.ts";

export function runningCallOf(given: Partial<RunningCall> = {}): RunningCall {
  return {
    id: "ar-1",
    workspaceId: "acme",
    sandboxId: "sb-1",
    traceId: "run-1",
    route: "messages",
    model: "claude-haiku-4-5",
    client: "claude-code",
    provider: "anthropic",
    upstream: "anthropic",
    createdAt: Date.UTC(2026, 0, 31, 11, 59),
    ageMs: 60_000,
    status: 200,
    accuracy: "estimated",
    inputTokens: 1_000,
    outputTokens: 50,
    cacheCreationInputTokens: 0,
    cacheReadInputTokens: 200,
    cost: 1_234_567,
    worker: null,
    ...given,
  };
}

/** Puts the call in flight. It notes why it is stopped, and leaves then. */
export function enterCall(traffic: Traffic, given: Partial<RunningCall> = {}): { readonly stoppedBy: readonly StopReason[] } {
  const call = runningCallOf(given);
  const stoppedBy: StopReason[] = [];
  const sandbox = { workspaceId: call.workspaceId, sandboxId: call.sandboxId, tokenId: null };
  const leave = traffic.enter(call.id, () => {}, {
    caller: { sandbox, token: "" },
    show: () => call,
    stop: (why) => {
      stoppedBy.push(why);
      leave();
    },
  });
  return { stoppedBy };
}
